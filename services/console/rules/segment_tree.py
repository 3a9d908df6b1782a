"""A segment's rule in its three shapes: the tree a person edits, the fields of the form, and the JSON of the API."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any, Final, get_args

from services.console.models.segments import GroupHow, RuleGroup, RuleNode, RulePath, RuleRow
from shared.persian.text import latin_digits

RANGE: Final = ("at_least", "at_most", "between")
# How each kind of attribute may be compared; the first is what a new row begins with.
OPERATORS: Final[Mapping[str, tuple[str, ...]]] = {
    "count": RANGE,
    "money": RANGE,
    "score": RANGE,
    "newest": RANGE,
    "days_since": ("at_most", "at_least", "between"),
    "newer_than": ("within",),
    "choice": ("one_of",),
    "flag": ("yes", "no"),
}
# The API reads ten levels of groups; more than three of them nobody reads on a screen.
DEEPEST: Final = 3
MOST_ROWS: Final = 200
MOST_PARTS: Final = 60
_HOW, _OF, _IS, _WITH = "how", "of", "is", "v"


def key(name: str, path: RulePath) -> str:
    """The name of a field of the form, as `of.0.2`."""
    return ".".join((name, *map(str, path)))


def typed(value: str) -> str:
    """A value as it is kept: Latin digits, and a number without what parts its thousands."""
    plain = latin_digits(value).strip()
    number = plain.replace("٬", "").replace(",", "").replace("٫", ".").replace(" ", "")
    return number if _decimal(number) is not None else plain


def is_number(value: str) -> bool:
    """Whether that is a number, as `typed` keeps one."""
    return _decimal(value) is not None


def values_of(operator: str, given: Sequence[str]) -> tuple[str, ...]:
    """What was typed, as many values as the operator has places for; of words those that are not empty, each once."""
    if operator == "one_of":
        words = [typed(word) for each in given for word in each.replace("،", ",").split(",")]
        return tuple(dict.fromkeys(word for word in words if word))
    places = {"between": 2, "yes": 0, "no": 0}.get(operator, 1)
    return tuple(typed(value) for value in (*given, "", "")[:places])


def from_form(fields: Mapping[str, Sequence[str]]) -> RuleGroup:
    """The tree of the form's fields: each name with its values, in their order. What is no field of ours is passed
    over."""

    def group(path: RulePath) -> RuleGroup:
        said = (fields.get(key(_HOW, path)) or ("all",))[0]
        how: GroupHow = next((each for each in get_args(GroupHow) if each == said), "all")
        return RuleGroup(how, tuple(parts(path)))

    def parts(path: RulePath) -> Iterator[RuleNode]:
        for place in range(MOST_PARTS):
            here = (*path, place)
            if key(_OF, here) in fields:
                operator = (fields.get(key(_IS, here)) or ("",))[0]
                yield RuleRow(
                    fields[key(_OF, here)][0], operator, values_of(operator, fields.get(key(_WITH, here), ()))
                )
            elif key(_HOW, here) in fields and len(here) <= DEEPEST_READ:
                yield group(here)
            else:
                return

    return group(())


# As deep as the API takes criteria, so that what another program wrote is not lost here.
DEEPEST_READ: Final = 10


def to_form(tree: RuleGroup) -> dict[str, tuple[str, ...]]:
    """The fields that give this tree."""
    fields: dict[str, tuple[str, ...]] = {}

    def put(node: RuleNode, path: RulePath) -> None:
        if isinstance(node, RuleGroup):
            fields[key(_HOW, path)] = (node.how,)
            for place, part in enumerate(node.parts):
                put(part, (*path, place))
        else:
            fields[key(_OF, path)] = (node.attribute,)
            fields[key(_IS, path)] = (node.operator,)
            if node.values:
                fields[key(_WITH, path)] = node.values

    put(tree, ())
    return fields


def shaped(tree: RuleGroup, kinds: Mapping[str, str]) -> RuleGroup:
    """The tree in which every row is compared as its attribute can be: after another attribute was chosen."""

    def fit(node: RuleNode) -> RuleNode:
        if isinstance(node, RuleGroup):
            return RuleGroup(node.how, tuple(fit(part) for part in node.parts))
        known = OPERATORS.get(kinds.get(node.attribute, ""), ())
        if not known or node.operator in known:
            return node
        return RuleRow(node.attribute, known[0], values_of(known[0], ()))

    return RuleGroup(tree.how, tuple(fit(part) for part in tree.parts))


def changed(tree: RuleGroup, path: RulePath, change: Callable[[RuleNode], RuleNode | None]) -> RuleGroup:
    """The tree with another part at `path`, without it where `change` gives None, and as it was where no part is."""

    def at(node: RuleNode, rest: RulePath) -> RuleNode | None:
        if not rest:
            return change(node)
        if not isinstance(node, RuleGroup) or rest[0] >= len(node.parts):
            return node
        new = at(node.parts[rest[0]], rest[1:])
        around = (node.parts[: rest[0]], node.parts[rest[0] + 1 :])
        return RuleGroup(node.how, (*around[0], *(() if new is None else (new,)), *around[1]))

    found = at(tree, path)
    return found if isinstance(found, RuleGroup) else tree


def with_row(tree: RuleGroup, path: RulePath, row: RuleRow) -> RuleGroup:
    """A row more in the group at `path`."""
    return changed(tree, path, lambda node: _longer(node, row) if _rows(tree) < MOST_ROWS else node)


def with_group(tree: RuleGroup, path: RulePath, row: RuleRow) -> RuleGroup:
    """A group more in the group at `path`, as the other kind than that one, with a row to begin with."""
    if len(path) >= DEEPEST:
        return tree
    return changed(tree, path, lambda node: _longer(node, RuleGroup(_other(node), (row,))))


def without(tree: RuleGroup, path: RulePath) -> RuleGroup:
    """The tree without the part at `path`; the first group stays."""
    return changed(tree, path, lambda _: None) if path else tree


def to_criteria(tree: RuleGroup) -> dict[str, Any]:
    """The rule as the API takes it. Rows must be whole: see `faults`."""

    def entry(node: RuleNode) -> dict[str, Any]:
        if isinstance(node, RuleRow):
            return {node.attribute: _compared(node)}
        parts = [entry(part) for part in node.parts]
        return {"not": {"any": parts}} if node.how == "none" else {node.how: parts}

    return entry(tree)


def from_criteria(criteria: Mapping[str, Any], kinds: Mapping[str, str]) -> RuleGroup:
    """The tree of criteria as they stand in the API. Raises ValueError for what no row can show."""

    def both(raw: Mapping[str, Any]) -> RuleNode:
        parts = tuple(entry(name, value) for name, value in raw.items())
        return parts[0] if len(parts) == 1 else RuleGroup("all", parts)

    def entry(name: str, value: Any) -> RuleNode:
        if name in ("all", "any"):
            return RuleGroup("all" if name == "all" else "any", tuple(both(each) for each in value))
        if name == "not":
            inner = both(value)
            return RuleGroup("none", inner.parts if isinstance(inner, RuleGroup) and inner.how == "any" else (inner,))
        return _row(name, value, kinds.get(name, ""))

    whole = both(criteria)
    return whole if isinstance(whole, RuleGroup) else RuleGroup("all", (whole,))


def faults(tree: RuleGroup, kinds: Mapping[str, str], choices: Mapping[str, Sequence[str]]) -> dict[RulePath, str]:
    """What has to be mended before the API is asked: by place, the key of a sentence."""
    found: dict[RulePath, str] = {}
    for path, node in walk(tree):
        if isinstance(node, RuleGroup):
            if not node.parts:
                found[path] = "row_fault.empty"
        elif node.attribute not in kinds:
            found[path] = "row_fault.attribute"
        elif node.operator not in OPERATORS.get(kinds[node.attribute], ()):
            found[path] = "row_fault.operator"
        elif fault := _fault(node, choices.get(node.attribute, ())):
            found[path] = fault
    return found


def walk(node: RuleNode, path: RulePath = ()) -> Iterator[tuple[RulePath, RuleNode]]:
    """Every part with its place, the whole tree first."""
    yield path, node
    if isinstance(node, RuleGroup):
        for place, part in enumerate(node.parts):
            yield from walk(part, (*path, place))


def place_of(field: str) -> RulePath:
    """The place that the API means by `criteria.any.0.all.1.visit_count.min`."""
    return tuple(int(part) for part in field.split(".") if part.isdecimal())


def _fault(row: RuleRow, choices: Sequence[str]) -> str | None:
    if row.operator == "one_of":
        if not row.values:
            return "row_fault.choice"
        return "row_fault.choice" if choices and not set(row.values) <= set(choices) else None
    numbers = [_decimal(value) for value in row.values]
    if any(number is None for number in numbers):
        return "row_fault.number"
    least, most = (*numbers, None, None)[:2]
    return "row_fault.order" if least is not None and most is not None and least > most else None


def _compared(row: RuleRow) -> Any:
    if row.operator in ("yes", "no"):
        return row.operator == "yes"
    if row.operator == "one_of":
        return list(row.values)
    numbers = [_plain(value) for value in row.values]
    if row.operator == "within":
        return numbers[0]
    names = {"at_least": ("min",), "at_most": ("max",), "between": ("min", "max")}[row.operator]
    return dict(zip(names, numbers, strict=True))


def _row(name: str, value: Any, kind: str) -> RuleRow:
    if isinstance(value, bool):
        return RuleRow(name, "yes" if value else "no", ())
    if isinstance(value, Mapping) and value and set(value) <= {"min", "max"}:
        operator = "between" if len(value) == 2 else "at_least" if "min" in value else "at_most"
        return RuleRow(name, operator, tuple(_written(value[each]) for each in ("min", "max") if each in value))
    if isinstance(value, str | list) and kind in ("choice", ""):
        return RuleRow(name, "one_of", (value,) if isinstance(value, str) else tuple(map(str, value)))
    if isinstance(value, int | float | str):
        return RuleRow(name, "within", (_written(value),))
    raise ValueError(name)


def _written(number: Any) -> str:
    exact = _decimal(str(number))
    if exact is None:
        raise ValueError("not a number that is typed")
    return str(int(exact)) if exact == exact.to_integral_value() else f"{exact:f}"


def _plain(value: str) -> int | str:
    # A number with decimals is sent as it was typed: no float in between.
    number = Decimal(value)
    return int(number) if number == number.to_integral_value() else value


# As many as are told exactly, with two decimals.
_LONGEST: Final = 25


def _decimal(value: str) -> Decimal | None:
    try:
        number = Decimal(value)
    except InvalidOperation:
        return None
    return number if number.is_finite() and "e" not in value.lower() and len(value) <= _LONGEST else None


def _longer(node: RuleNode, part: RuleNode) -> RuleNode:
    if not isinstance(node, RuleGroup) or len(node.parts) >= MOST_PARTS:
        return node
    return RuleGroup(node.how, (*node.parts, part))


def _other(node: RuleNode) -> GroupHow:
    return "any" if isinstance(node, RuleGroup) and node.how == "all" else "all"


def _rows(tree: RuleGroup) -> int:
    return sum(isinstance(node, RuleRow) for _, node in walk(tree))
