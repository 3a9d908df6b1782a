"""What all services say of why something is as it is, read from their databases; and whether it is what the ledger
says. It only reads."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from uuid import UUID

from services.campaign.journeys.handlers import tracing as campaign
from services.campaign.journeys.rules.explaining import code_of
from services.customer.handlers import explaining as customer
from services.feedback.handlers import explaining as feedback
from services.loyalty.handlers import explaining as loyalty
from services.visit.handlers import explaining as visit
from shared.clock import now
from shared.database import db
from shared.database.db import Connection
from shared.inputs.explaining import ALWAYS, NEVER, ExplainedStep, Explanation
from shared.settings import Settings

EXPLAINING = ("visit", "loyalty", "customer", "campaign", "feedback")
OF_VISIT = """
SELECT cafe_id, visit_id, customer_id FROM visit_receipts WHERE visit_id = $1 AND ($2::uuid IS NULL OR cafe_id = $2)
"""
SOME_GUESTS = """
SELECT cafe_id, customer_id, count(*) AS visits FROM visit_earnings
WHERE $1::uuid IS NULL OR cafe_id = $1 GROUP BY cafe_id, customer_id ORDER BY md5(customer_id::text)
"""
SKIPPED = """
SELECT d.cafe_id, d.id, d.error_code, s.checks FROM campaign_deliveries d
CROSS JOIN LATERAL (
    SELECT checks, outcome FROM send_decisions s
    WHERE s.cafe_id = d.cafe_id AND s.delivery_id = d.id ORDER BY decided_at DESC, id DESC LIMIT 1
) AS s
WHERE d.delivery_status = 'skipped' AND s.outcome = 'skip' AND ($1::uuid IS NULL OR d.cafe_id = $1)
ORDER BY md5(d.id::text) LIMIT $2
"""
# What ends a message without a check.
WITHOUT_A_CHECK = ("visit_voided", "erased")


@dataclass(frozen=True)
class Subject:
    """What is to be explained: a visit and its guest, or a guest."""

    cafe_id: UUID
    visit_id: UUID | None
    customer_id: UUID | None


@dataclass(frozen=True)
class Contradiction:
    """Where an explanation is not what is kept. Holds nothing personal."""

    invariant: str
    cafe_id: UUID
    id: UUID
    found: str


@asynccontextmanager
async def opened(config: Settings) -> AsyncIterator[dict[str, Connection]]:
    """A connection to each of the five databases, as the service, at one moment of its own and read-only."""
    async with AsyncExitStack() as stack:
        connections: dict[str, Connection] = {}
        for service in EXPLAINING:
            conn = await db.connect(config.dsn(service), name="crm explain")
            stack.push_async_callback(conn.close)
            await stack.enter_async_context(conn.transaction(isolation="repeatable_read", readonly=True))
            connections[service] = conn
        yield connections


async def find_visit(conn: Connection, visit_id: UUID, cafe_id: UUID | None) -> Subject | None:
    """The visit with that id, in one cafe or in any."""
    row = await conn.fetchrow(OF_VISIT, visit_id, cafe_id)
    return Subject(row["cafe_id"], row["visit_id"], row["customer_id"]) if row else None


async def explain(connections: dict[str, Connection], subject: Subject) -> list[ExplainedStep]:
    """Everything that the five say, the newest first; of a guest the newest of each."""
    told = await _of_visit(connections, subject) if subject.visit_id else await _of_guest(connections, subject)
    steps = [step for each in told for step in each.steps]
    return sorted(steps, key=lambda step: (step.at, step.service, step.what), reverse=True)


def differences(steps: Sequence[ExplainedStep]) -> list[ExplainedStep]:
    """The steps in which the rules give something else than the ledger."""
    return [step for step in steps if step.outcome == "differs"]


async def check_points(conn: Connection, cafe_id: UUID | None, visits: int) -> tuple[int, list[Contradiction]]:
    """Explains guests until `visits` bills are explained; how many were, and where the ledger says something else."""
    explained, found = 0, list[Contradiction]()
    for guest in await conn.fetch(SOME_GUESTS, cafe_id):
        if explained >= visits:
            break
        before = NEVER
        while True:
            told = await loyalty.explain_guest(conn, guest["cafe_id"], guest["customer_id"], ALWAYS, before)
            explained += sum(step.what == "points" for step in told.steps)
            found += [_difference(guest["cafe_id"], step) for step in differences(told.steps)]
            if told.next_before is None:
                break
            before = told.next_before
    return explained, found


async def check_skipped(conn: Connection, cafe_id: UUID | None, messages: int) -> tuple[int, list[Contradiction]]:
    """Whether the first check that failed is the code of each skipped message; of how many messages."""
    rows = await conn.fetch(SKIPPED, cafe_id, messages)
    found = []
    for row in rows:
        codes = [code_of(each) for each in row["checks"] if not each["passed"]]
        if codes[:1] != [row["error_code"]] and row["error_code"] not in WITHOUT_A_CHECK:
            said = f"code {row['error_code']}, first failed check {codes[0] if codes else 'none'}"
            found.append(
                Contradiction("skipped_messages_have_the_code_of_their_check", row["cafe_id"], row["id"], said)
            )
    return len(rows), found


async def _of_visit(connections: dict[str, Connection], subject: Subject) -> list[Explanation]:
    cafe_id, visit_id, customer_id = subject.cafe_id, subject.visit_id, subject.customer_id
    assert visit_id is not None
    return [
        await visit.explain_visit(connections["visit"], cafe_id, visit_id),
        await loyalty.explain_visit(connections["loyalty"], cafe_id, visit_id, customer_id),
        await customer.explain_visit(connections["customer"], cafe_id, visit_id, customer_id, now=now()),
        await campaign.explain_visit(connections["campaign"], cafe_id, visit_id, customer_id),
        await feedback.explain_visit(connections["feedback"], cafe_id, visit_id),
    ]


async def _of_guest(connections: dict[str, Connection], subject: Subject) -> list[Explanation]:
    assert subject.customer_id is not None
    asked = (subject.cafe_id, subject.customer_id, ALWAYS, NEVER)
    return [
        await visit.explain_guest(connections["visit"], *asked),
        await loyalty.explain_guest(connections["loyalty"], *asked),
        await customer.explain_guest(connections["customer"], *asked, now=now()),
        await campaign.explain_guest(connections["campaign"], *asked),
        await feedback.explain_guest(connections["feedback"], *asked),
    ]


def _difference(cafe_id: UUID, step: ExplainedStep) -> Contradiction:
    expected = step.values.get("expected", step.values.get("points"))
    said = f"the ledger says {step.values['ledger']}, the rules give {expected}"
    return Contradiction("explained_points_are_the_ledger", cafe_id, step.id, said)
