"""Why a guest is in a segment or not: the tree of its criteria, node by node, each with what it saw."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from services.customer.models.explaining import Defined, GuestRow, MoveRow
from services.customer.models.values import Evaluation
from services.customer.rules.attributes import MONTH_DAYS, Attribute, AttributeKind
from services.customer.rules.compile import compile_condition, read
from services.customer.rules.criteria import Group, Is, Newer, Node, Not, OneOf, Range, attributes_of
from shared.inputs.explaining import Condition, ExplainedStep, Outcome, amounts, facts, failed
from shared.persian.money import Unit

# What a step or a condition names as its rule, beside the attributes and the reasons of moves.
RULES: Final = ("criteria", "registered", "all", "any", "not")
_DAY: Final = timedelta(days=1)
# Typed by a person, and so not told.
_KEPT_BACK: Final = ("city",)


@dataclass(frozen=True)
class AskedNodes:
    """What is asked of one guest's row: the conditions of all leaves, and the attributes that they look at."""

    conditions: Mapping[Node, Evaluation]
    attributes: Sequence[Attribute]


@dataclass(frozen=True)
class SeenNodes:
    """What one guest's row says at a moment: which leaves hold, when time alone changes each, and the values of the
    attributes by their names. A guest who is not `registered` is in no segment."""

    moment: datetime
    registered: bool
    leaves: Mapping[Node, bool]
    changes: Mapping[Node, datetime | None]
    values: Mapping[str, Any]

    def held(self, node: Node) -> bool:
        """Whether a tree holds."""
        if isinstance(node, Group):
            return (all if node.how == "all" else any)(self.held(part) for part in node.parts)
        return not self.held(node.part) if isinstance(node, Not) else self.leaves[node]

    def changes_at(self, node: Node) -> datetime | None:
        """When time alone may change whether a tree holds: with the first of its leaves."""
        moments = [at for leaf, _ in _nodes(node, 0) if (at := self.changes.get(leaf)) is not None]
        return min(moments, default=None)


def ask(segments: Sequence[Defined], first: int) -> AskedNodes:
    """Every leaf of the segments' trees as SQL of its own, with parameters from number `first` on. What stands above
    them follows from them: as SQL it would say each leaf again on every level."""
    conditions: dict[Node, Evaluation] = {}
    names: dict[str, Attribute] = {}
    for segment in segments:
        for node, _ in _nodes(read(segment.criteria), 0):
            if not isinstance(node, Group | Not) and node not in conditions:
                conditions[node] = compile_condition(node, first)
                first += len(conditions[node].values)
        names |= {each.name: each for each in attributes_of(read(segment.criteria))}
    return AskedNodes(conditions, tuple(names.values()))


def seen(asked: AskedNodes, row: GuestRow, moment: datetime) -> SeenNodes:
    """The row with the names of what was asked."""
    return SeenNodes(
        moment,
        row.registered,
        dict(zip(asked.conditions, row.held, strict=True)),
        dict(zip(asked.conditions, row.changes_at, strict=True)),
        row.values,
    )


def segment_step(segment: Defined, seen: SeenNodes, unit: Unit, guest_id: UUID) -> ExplainedStep:
    """Whether the guest is in the segment now, and what each condition saw."""
    root = read(segment.criteria)
    inside = seen.registered and seen.held(root)
    conditions = [_condition(node, depth, seen, unit) for node, depth in _nodes(root, 0)]
    if not seen.registered:
        conditions.insert(0, Condition(rule="registered", held=False))
    return ExplainedStep(
        id=segment.id, at=seen.moment, service="customer", what="segment", outcome="inside" if inside else "outside",
        rule="criteria", as_of="now",
        values=facts(segment_key=segment.key, name=segment.name, changes_at=seen.changes_at(root)),
        because=[guest_id], conditions=conditions, not_because=[] if inside else _in_the_way(conditions),
    )  # fmt: skip


def move_step(move: MoveRow) -> ExplainedStep:
    """A move, with its cause where one was kept."""
    outcome: Outcome = "entered" if move.entered else "left"
    return ExplainedStep(
        id=move.segment_id, at=move.at, service="customer", what="stay", outcome=outcome, rule=move.reason,
        values=facts(segment_key=move.key, name=move.name),
        because=[each for each in (move.visit_id, move.event_id) if each],
    )  # fmt: skip


def _nodes(node: Node, depth: int) -> Iterator[tuple[Node, int]]:
    yield node, depth
    for part in node.parts if isinstance(node, Group) else (node.part,) if isinstance(node, Not) else ():
        yield from _nodes(part, depth + 1)


def _in_the_way(conditions: Sequence[Condition]) -> list[str]:
    """Conditions about the guest; a group is only what its parts make of it."""
    named = [each for each in conditions if each.rule not in ("all", "any")]
    return failed(named)


def _condition(node: Node, depth: int, seen: SeenNodes, unit: Unit) -> Condition:
    held = seen.held(node)
    if isinstance(node, Group):
        return Condition(rule=node.how, held=held, depth=depth)
    if isinstance(node, Not):
        return Condition(rule="not", held=held, depth=depth)
    name, wanted = node.attribute.name, _wanted(node)
    value = _value(node.attribute, seen.values[name], seen.moment)
    if node.attribute.kind is AttributeKind.MONEY:
        return Condition(rule=name, held=held, depth=depth, amounts=amounts(unit, "IRT", value=value, **wanted))
    return Condition(rule=name, held=held, depth=depth, values=facts(value=value, **wanted))


def _wanted(node: Range | Newer | OneOf | Is) -> dict[str, Any]:
    if isinstance(node, Range):
        return {name: bound for name, bound in (("least", node.least), ("most", node.most)) if bound is not None}
    if isinstance(node, Newer):
        return {"days": node.days}
    if isinstance(node, OneOf):
        return {"one_of": ", ".join(node.words)}
    return {"wanted": node.wanted}


def _value(attribute: Attribute, found: Any, moment: datetime) -> Any:
    """The guest's value as a person reads it: days instead of a moment, a number instead of moments."""
    if attribute.name in _KEPT_BACK or found is None:
        return None
    if attribute.kind is AttributeKind.NEWEST:
        return sum(each > moment - MONTH_DAYS * _DAY for each in found)
    if attribute.kind in (AttributeKind.DAYS_SINCE, AttributeKind.NEWER_THAN):
        return (moment - found) // _DAY
    return round(found, 2) if attribute.kind is AttributeKind.SCORE else found
