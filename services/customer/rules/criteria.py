"""Criteria as people write them (JSON) -> a tree that can be compiled, or a list of what is wrong with them.

An object is true when all of its entries are. An entry is an attribute with its test, or `all` / `any` with a list of
objects, or `not` with one object: so `{"created_within_days": 30, "visit_count": {"max": 3}}` is an AND of two.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, Final, Literal

from services.customer.rules.attributes import ATTRIBUTES, FORMS, Attribute, AttributeKind
from shared.errors import Problem, Rejected
from shared.inputs.amounts import INSIDE
from shared.inputs.bounds import MOST_OF_UNIT
from shared.persian.money import Unit, rounded
from shared.persian.text import search_key

DEEPEST = 10
MOST_CLAUSES = 200
# Of all segments of a cafe together: a statement holds 32,767 parameters, and a clause takes up to `MOST_VALUES`.
MOST_CLAUSES_OF_CAFE = 2000
MOST_VALUES = 4
MOST_CHOICES = 100
LONGEST_CHOICE = 100
_LONGEST_NUMBER = 30


@dataclass(frozen=True)
class Range:
    """Between both bounds, inclusive; at least one is given."""

    attribute: Attribute
    least: Decimal | None
    most: Decimal | None


@dataclass(frozen=True)
class Newer:
    """Less than `days` days ago."""

    attribute: Attribute
    days: int


@dataclass(frozen=True)
class OneOf:
    """Any of these words."""

    attribute: Attribute
    words: tuple[str, ...]


@dataclass(frozen=True)
class Is:
    """Yes or no."""

    attribute: Attribute
    wanted: bool


@dataclass(frozen=True)
class Group:
    """`all` or `any` of the parts."""

    how: Literal["all", "any"]
    parts: tuple["Node", ...]


@dataclass(frozen=True)
class Not:
    """The opposite."""

    part: "Node"


Node = Range | Newer | OneOf | Is | Group | Not


@dataclass
class _Faults:
    """What was found so far; reading goes on, so that one answer names every fault."""

    problems: list[Problem]
    stored: bool = False
    unit: Unit = INSIDE
    clauses: int = 0

    def add(self, field: str, code: str, en: str, fa: str) -> None:
        self.problems.append(Problem(field, code, en, fa))


def parse(raw: Any, *, stored: bool = False, unit: Unit = INSIDE) -> Node:
    """The tree of `raw`, decoded JSON. Of `stored` criteria only the form is looked at: bounds may have been others.
    Amounts are held to the bound of `unit`.

    Raises:
        Rejected: with one problem per fault, each naming its path (`criteria.any.0.visit_count.min`).
    """
    faults = _Faults([], stored, unit)
    node = _object(raw, "criteria", 1, faults)
    if faults.clauses > MOST_CLAUSES and not stored:
        faults.add(
            "criteria",
            "too_many_clauses",
            f"at most {MOST_CLAUSES} clauses; there are {faults.clauses}",
            f"حداکثر {MOST_CLAUSES} شرط مجاز است؛ اکنون {faults.clauses} شرط هست",
        )
    if faults.problems or node is None:
        raise Rejected(
            "invalid_criteria", "The criteria are not right.", "شرط‌های بخش درست نیست.", problems=faults.problems
        )
    return node


def attributes_of(node: Node) -> Iterator[Attribute]:
    """Every attribute that the tree asks about, with repeats."""
    if isinstance(node, Group):
        for part in node.parts:
            yield from attributes_of(part)
    elif isinstance(node, Not):
        yield from attributes_of(node.part)
    else:
        yield node.attribute


def clauses_of(node: Node) -> int:
    """How many clauses the tree has."""
    return sum(1 for _ in attributes_of(node))


def _object(raw: Any, field: str, depth: int, faults: _Faults) -> Node | None:
    if depth > DEEPEST:
        faults.add(field, "too_deep", f"nested deeper than {DEEPEST} levels", f"بیش از {DEEPEST} لایه تودرتو است")
        return None
    if not isinstance(raw, Mapping) or not raw:
        faults.add(
            field,
            "not_an_object",
            'needs an object with at least one condition, such as {"visit_count": {"min": 3}}',
            'باید یک شیء با دست‌کم یک شرط باشد، مانند {"visit_count": {"min": 3}}',
        )
        return None
    parts = [_entry(str(name), value, f"{field}.{name}", depth, faults) for name, value in raw.items()]
    found = tuple(part for part in parts if part is not None)
    return found[0] if len(found) == 1 else Group("all", found)


def _entry(name: str, value: Any, field: str, depth: int, faults: _Faults) -> Node | None:
    if name == "all":
        return _group("all", value, field, depth, faults)
    if name == "any":
        return _group("any", value, field, depth, faults)
    if name == "not":
        part = _object(value, field, depth + 1, faults)
        return None if part is None else Not(part)
    faults.clauses += 1
    attribute = ATTRIBUTES.get(name)
    if attribute is None:
        known = ", ".join(ATTRIBUTES)
        faults.add(
            field,
            "unknown_attribute",
            f"is not known; use all, any, not, or one of: {known}",
            f"شناخته نیست؛ یکی از این‌ها را بنویسید: all، any، not، {known}",
        )
        return None
    return _READERS[attribute.kind](attribute, value, field, faults)


def _group(how: Literal["all", "any"], value: Any, field: str, depth: int, faults: _Faults) -> Node | None:
    if not isinstance(value, list) or not value:
        faults.add(field, "not_a_list", "needs a list of conditions", "باید فهرستی از شرط‌ها باشد")
        return None
    if len(value) > MOST_CLAUSES:
        faults.clauses += len(value)
        return None
    parts = [_object(part, f"{field}.{index}", depth + 1, faults) for index, part in enumerate(value)]
    return Group(how, tuple(part for part in parts if part is not None))


def _range(attribute: Attribute, value: Any, field: str, faults: _Faults) -> Node | None:
    if not isinstance(value, Mapping) or not value:
        _wrong_form(attribute, field, faults)
        return None
    bounds: dict[str, Decimal | None] = {"min": None, "max": None}
    for operator, bound in value.items():
        if operator in bounds:
            bounds[operator] = _number(attribute, bound, f"{field}.{operator}", faults)
        else:
            faults.add(
                f"{field}.{operator}", "unknown_operator", "is not known; use min and max", "شناخته نیست؛ min و max"
            )
    least, most = bounds["min"], bounds["max"]
    if least is not None and most is not None and least > most:
        faults.add(field, "empty_range", "min is larger than max", "کمینه از بیشینه بزرگ‌تر است")
    return Range(attribute, least, most)


def _number(attribute: Attribute, value: Any, field: str, faults: _Faults) -> Decimal | None:
    whole = attribute.kind in (
        AttributeKind.COUNT,
        AttributeKind.DAYS_SINCE,
        AttributeKind.NEWEST,
        AttributeKind.NEWER_THAN,
    )
    # A float has already lost money; as a score it is what people write.
    kinds = {AttributeKind.MONEY: (int, str, Decimal), AttributeKind.SCORE: (int, str, float, Decimal)}.get(
        attribute.kind, (int,)
    )
    number = None
    if isinstance(value, kinds) and not isinstance(value, bool) and len(str(value)) <= _LONGEST_NUMBER:
        try:
            number = Decimal(str(value))
        except InvalidOperation:
            number = None
        # By its exponent a short text can be a number of a thousand million digits, once it is written out.
        if number is not None and abs(number.adjusted()) > _LONGEST_NUMBER:
            number = None
    if number is None or not number.is_finite():
        en, fa = ("a whole number", "عدد صحیح") if whole else ("a number, decimals as text", "عدد، اعشاری درون گیومه،")
        faults.add(field, "not_a_number", f"needs {en}", f"باید {fa} باشد")
        return None
    if faults.stored:
        return number
    is_money = attribute.kind is AttributeKind.MONEY
    most = MOST_OF_UNIT[faults.unit] if is_money else attribute.most
    if not 0 <= number <= most:
        faults.add(field, "out_of_range", f"must be from 0 to {most}", f"باید میان ۰ و {most} باشد")
        return None
    if is_money and number != rounded(number):
        faults.add(field, "two_decimals", "may have at most two decimals", "حداکثر دو رقم اعشار می‌تواند داشته باشد")
        return None
    return number


def _newer(attribute: Attribute, value: Any, field: str, faults: _Faults) -> Node | None:
    days = _number(attribute, value, field, faults)
    return None if days is None else Newer(attribute, int(days))


def _one_of(attribute: Attribute, value: Any, field: str, faults: _Faults) -> Node | None:
    words = [value] if isinstance(value, str) else value
    fits = isinstance(words, list) and 0 < len(words) <= MOST_CHOICES
    if not fits or not all(isinstance(word, str) and len(word) <= LONGEST_CHOICE for word in words):
        _wrong_form(attribute, field, faults)
        return None
    unknown = [word for word in words if attribute.choices and word not in attribute.choices]
    if unknown:
        known = ", ".join(attribute.choices)
        faults.add(field, "unknown_choice", f"may hold only: {known}", f"تنها این‌ها مجاز است: {known}")
        return None
    return OneOf(attribute, tuple(words if attribute.choices else (search_key(word) for word in words)))


def _is(attribute: Attribute, value: Any, field: str, faults: _Faults) -> Node | None:
    if not isinstance(value, bool):
        _wrong_form(attribute, field, faults)
        return None
    return Is(attribute, value)


def _wrong_form(attribute: Attribute, field: str, faults: _Faults) -> None:
    form = FORMS[attribute.kind] if not attribute.choices else str(list(attribute.choices[:2])).replace("'", '"')
    faults.add(field, "wrong_form", f"write it as {form}", f"به این شکل بنویسید: {form}")


_READERS: Final[dict[AttributeKind, Callable[[Attribute, Any, str, _Faults], Node | None]]] = {
    AttributeKind.COUNT: _range,
    AttributeKind.MONEY: _range,
    AttributeKind.SCORE: _range,
    AttributeKind.DAYS_SINCE: _range,
    AttributeKind.NEWEST: _range,
    AttributeKind.NEWER_THAN: _newer,
    AttributeKind.CHOICE: _one_of,
    AttributeKind.FLAG: _is,
}
