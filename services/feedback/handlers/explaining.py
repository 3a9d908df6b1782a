"""What became of the question how a visit was: the link, its openings, the answer, the case, the cafe's response."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from services.feedback import rules
from services.feedback.store import explaining as store
from shared.clock import now
from shared.database.db import Connection
from shared.inputs.explaining import MOST_EXPLAINED, Condition, ExplainedStep, Explanation, Outcome, facts, next_before
from shared.security.access import unit_of

# What a step or a condition names as its rule, beside where an answer came from.
RULES = ("link", "low_rating", "no_link")


async def explain_visit(conn: Connection, cafe_id: UUID, visit_id: UUID) -> Explanation:
    """What became of the question about one visit."""
    unit, moment = await unit_of(conn, cafe_id), now()
    links = await store.link_of_visit(conn, cafe_id, visit_id)
    answers = await store.answers_of_visit(conn, cafe_id, visit_id, MOST_EXPLAINED)
    steps = [step for each in links for step in _of_link(each, moment)]
    if not answers:
        steps.append(_not_answered(visit_id, links[0] if links else None, moment))
    return Explanation.of([*steps, *(step for each in answers for step in _of_answer(each, moment))], unit)


async def explain_guest(
    conn: Connection, cafe_id: UUID, customer_id: UUID, since: datetime, before: datetime
) -> Explanation:
    """The guest's links and answers between two moments."""
    unit, moment = await unit_of(conn, cafe_id), now()
    links = await store.links(conn, cafe_id, customer_id, since, before, MOST_EXPLAINED + 1)
    answers = await store.answers(conn, cafe_id, customer_id, since, before, MOST_EXPLAINED + 1)
    cut = next_before(sorted((each["at"] for each in (*links, *answers)), reverse=True)[: MOST_EXPLAINED + 1])
    least = cut or since
    steps = [step for each in links if each["at"] >= least for step in _of_link(each, moment)]
    steps += [step for each in answers if each["at"] >= least for step in _of_answer(each, moment)]
    return Explanation.of(steps, unit, cut)


def _of_link(link: Mapping[str, Any], moment: datetime) -> list[ExplainedStep]:
    state = rules.state_of(link["used_at"], link["closed_at"], link["expires_at"], moment)
    became: Outcome = "open" if state == "unknown" else state
    opened: Outcome = "opened" if link["times"] else "not_opened"
    return [
        ExplainedStep(
            id=link["id"], at=link["at"], service="feedback", what="link", outcome=became,
            rule="link", as_of="now", values=facts(expires_at=link["expires_at"], used_at=link["used_at"]),
            because=[link["visit_id"]],
        ),
        ExplainedStep(
            id=link["id"], at=link["at"], service="feedback", what="opening", outcome=opened, as_of="now",
            values=facts(times=link["times"], day=link["day"]), because=[link["id"]],
        ),
    ]  # fmt: skip


def _not_answered(visit_id: UUID, link: Mapping[str, Any] | None, moment: datetime) -> ExplainedStep:
    if link is None:
        condition = Condition(rule="no_link", held=False)
    else:
        state = rules.state_of(link["used_at"], link["closed_at"], link["expires_at"], moment)
        condition = Condition(rule="link", held=state == "open", values=facts(state=state))
    return ExplainedStep(
        id=visit_id, at=moment, service="feedback", what="answer", outcome="not_answered", as_of="now",
        because=[link["id"]] if link else [visit_id], conditions=[condition],
        not_because=[] if condition.held else [condition.rule],
    )  # fmt: skip


def _of_answer(answer: Mapping[str, Any], moment: datetime) -> list[ExplainedStep]:
    low = Condition(
        rule="low_rating", held=answer["rating"] <= rules.LOW_RATING,
        values=facts(rating=answer["rating"], most=rules.LOW_RATING),
    )  # fmt: skip
    responded = answer["response_date"]
    steps = [
        ExplainedStep(
            id=answer["id"], at=answer["at"], service="feedback", what="answer", outcome="answered",
            rule=answer["source"], values=facts(rating=answer["rating"], has_comment=answer["has_comment"]),
            because=[answer["visit_id"]] if answer["visit_id"] else [], conditions=[low],
        ),
        ExplainedStep(
            id=answer["id"], at=responded or answer["at"], service="feedback", what="response",
            outcome="responded" if responded else "not_responded", because=[answer["id"]],
        ),
    ]  # fmt: skip
    return [*steps, _of_case(answer, moment)] if answer["case_id"] else steps


def _of_case(answer: Mapping[str, Any], moment: datetime) -> ExplainedStep:
    is_open = answer["case_status"] == "open"
    return ExplainedStep(
        id=answer["case_id"], at=answer["opened_at"], service="feedback", what="case",
        outcome="open" if is_open else "closed", rule="low_rating", as_of="now",
        values=facts(
            due_at=answer["due_at"], closed_at=answer["closed_at"], overdue=is_open and answer["due_at"] < moment
        ),
        because=[answer["id"]],
    )  # fmt: skip
