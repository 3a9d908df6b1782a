"""Criteria -> SQL over the projection: which segments a guest is in, and when that could change by time alone.

Values travel as parameters; only the expression for the next evaluation holds whole numbers of days. Time enters only
as "less than so many days ago" about moments in stored columns, so the first change comes when the earliest of these
periods ends that has not ended yet. Days are subtracted from now once for all guests; they are added to a guest's
moment only where that end is still ahead. A day is written as 24 hours: PostgreSQL adds days by way of the calendar,
which took as long as all the rest of an evaluation.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import msgspec

from services.customer.models.values import DaysAgo, Evaluation, SegmentRule
from services.customer.rules.attributes import MONTH_DAYS, Attribute, AttributeKind
from services.customer.rules.criteria import Group, Is, Newer, Node, Not, OneOf, Range, attributes_of, parse

NEVER = "NULL::timestamptz"
LOOKED_UP = "(SELECT {} FROM customers AS c WHERE c.cafe_id = a.cafe_id AND c.id = a.customer_id)"


@dataclass
class _Writing:
    """Parameters and moments collected while a tree is written down."""

    first: int
    by_key: bool = False
    values: list[Any] = field(default_factory=list)
    moments: list[str] = field(default_factory=list)

    def put(self, value: Any, sql_type: str) -> str:
        self.values.append(value)
        return f"${self.first + len(self.values) - 1}::{sql_type}"

    def sql_of(self, attribute: Attribute) -> str:
        if attribute.needs_customer and self.by_key:
            return LOOKED_UP.format(attribute.sql)
        return attribute.sql

    def since(self, moment: str, days: int) -> str:
        """The condition that `moment` is less than so many days ago; it flips when they have passed."""
        is_so = f"{moment} > {self.put(DaysAgo(days), 'timestamptz')}"
        self.moments.append(f"CASE WHEN {is_so} THEN {moment} + make_interval(hours => {days * 24}) END")
        return f"COALESCE({is_so}, false)"


@lru_cache(maxsize=1024)
def read(criteria: str) -> Node:
    """The tree of criteria in JSON, as stored."""
    return parse(msgspec.json.decode(criteria), stored=True)


@lru_cache(maxsize=256)
def compile_rules(rulesets: tuple[tuple[SegmentRule, ...], ...], first: int, *, by_key: bool = False) -> Evaluation:
    """One evaluation of guests who are each under one of several rule sets (those of their cafe).

    Args:
        rulesets: with more than one, the SQL reads the index of the guest's own from `t.ruleset`.
        first: number of the first free parameter; `$1` is now.
        by_key: for some guests instead of all: rows in `customers` are looked up only where the result depends on them.
    """
    writing = _Writing(first, by_key)
    written = [_ruleset(rules, writing) for rules in rulesets]
    asked = {attribute for rules in rulesets for rule in rules for attribute in attributes_of(read(rule.criteria))}
    return Evaluation(
        mask=_by_ruleset([mask for mask, _ in written]),
        check_at=_by_ruleset([check_at for _, check_at in written]),
        values=tuple(writing.values),
        needs_customer=not by_key and any(attribute.needs_customer for attribute in asked),
    )


def compile_condition(node: Node, first: int) -> Evaluation:
    """The criteria of one segment as a mask of bit 0; parameters from number `first` on."""
    writing = _Writing(first)
    mask = f"({_condition(node, writing)})::integer::bigint"
    needs_customer = any(attribute.needs_customer for attribute in attributes_of(node))
    return Evaluation(mask, _earliest(writing.moments), tuple(writing.values), needs_customer)


def _by_ruleset(sqls: Sequence[str]) -> str:
    if len(sqls) == 1:
        return sqls[0]
    cases = " ".join(f"WHEN {index} THEN {sql}" for index, sql in enumerate(sqls))
    return f"CASE t.ruleset {cases} END"


def _ruleset(rules: tuple[SegmentRule, ...], writing: _Writing) -> tuple[str, str]:
    start = len(writing.moments)
    bits = [
        f"CASE WHEN {_condition(read(rule.criteria), writing)} THEN {1 << rule.slot}::bigint ELSE 0 END"
        for rule in rules
    ]
    return " | ".join(bits) or "0::bigint", _earliest(writing.moments[start:])


def _earliest(moments: Sequence[str]) -> str:
    return f"LEAST({', '.join(moments)})" if moments else NEVER


def _condition(node: Node, writing: _Writing) -> str:
    if isinstance(node, Group):
        # PostgreSQL asks in this order, and no further than it must.
        parts = sorted(node.parts, key=lambda part: any(each.needs_customer for each in attributes_of(part)))
        return "(" + f" {_JOINTS[node.how]} ".join(_condition(part, writing) for part in parts) + ")"
    if isinstance(node, Not):
        return f"NOT {_condition(node.part, writing)}"
    if isinstance(node, Newer):
        return writing.since(node.attribute.sql, node.days)
    if isinstance(node, OneOf):
        words = writing.put(list(node.words), f"{node.attribute.sql_type}[]")
        return f"COALESCE({writing.sql_of(node.attribute)} = ANY({words}), false)"
    if isinstance(node, Is):
        return f"COALESCE(({writing.sql_of(node.attribute)}) = {writing.put(node.wanted, 'boolean')}, false)"
    return _range(node, writing)


_JOINTS = {"all": "AND", "any": "OR"}


def _range(node: Range, writing: _Writing) -> str:
    write = {AttributeKind.DAYS_SINCE: _days_since, AttributeKind.NEWEST: _newest}.get(node.attribute.kind, _plain)
    return "(" + " AND ".join(write(node.attribute, node, writing)) + ")"


def _plain(attribute: Attribute, node: Range, writing: _Writing) -> list[str]:
    # Comparing whole numbers as numeric would cost more than reading the row.
    sql_type, read_as = ("bigint", int) if attribute.kind is AttributeKind.COUNT else ("numeric", lambda number: number)
    bounds = [(">=", node.least), ("<=", node.most)]
    return [
        f"COALESCE({attribute.sql} {operator} {writing.put(read_as(bound), sql_type)}, false)"
        for operator, bound in bounds
        if bound is not None
    ]


def _days_since(attribute: Attribute, node: Range, writing: _Writing) -> list[str]:
    """`min` n is met from n whole days on; `max` n is met until n + 1 whole days have passed."""
    tests = [f"{attribute.sql} IS NOT NULL"]
    if node.least:
        tests.append(f"NOT {writing.since(attribute.sql, int(node.least))}")
    if node.most is not None:
        tests.append(writing.since(attribute.sql, int(node.most) + 1))
    return tests


def _newest(attribute: Attribute, node: Range, writing: _Writing) -> list[str]:
    """A period holds n visits while the n-th newest is in it; that one leaves it at a known moment."""
    tests = []
    for count, prefix in ((node.least, ""), (None if node.most is None else node.most + 1, "NOT ")):
        if count:
            nth = writing.put(int(count), "integer")
            tests.append(prefix + writing.since(f"{attribute.sql}[{nth}]", MONTH_DAYS))
    return tests or ["true"]
