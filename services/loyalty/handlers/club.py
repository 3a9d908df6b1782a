"""A cafe's club as a whole, what its points are worth, and the job that keeps its figures."""

from datetime import date, datetime, timedelta
from uuid import UUID

from services.loyalty.handlers.guests import plans_of
from services.loyalty.models.http import AskQuote, LapsingDay, LapsingGuest, Overview, Quote
from services.loyalty.rules import tiers
from services.loyalty.rules.club import tier_counts, total, worth
from services.loyalty.store import accounts, club, grants, programs
from shared.clock import now, unmoved
from shared.database.db import Connection, Pool, transaction
from shared.errors import NotFound, Problem, Rejected
from shared.inputs.amounts import INSIDE
from shared.jobs.by_cafe import ByCafe
from shared.security.access import unit_of

SOON = timedelta(days=30)
MOST_DAYS = 366
DAYS_OF_EXPIRY = 100
CHANGES_AT_ONCE = 20_000
# Rows are summed once they are a little older than any transaction that might just be telling the server that it began.
_SETTLED = timedelta(seconds=2)
# What was summed in one go, while it catches up with a ledger that was there before it.
_WINDOW = timedelta(days=1)
_LAPSING_EVERY = timedelta(hours=1)

_counting = ByCafe("loyalty", "loyalty.count_club")


async def count(pool: Pool) -> int:
    """Notes what the ledger and the passing of time have changed, and adds what is noted to the figures of the cafes;
    how much it did."""
    async with transaction(pool) as conn:
        # Up to the moment by which the database stamps the rows, wherever the clock of a development system stands.
        noted = await note(conn, unmoved() - _SETTLED)
    # Apart, because it reads the lots of all cafes: should it take too long, the ledger is summed all the same.
    async with transaction(pool) as conn:
        noted += await note_lapsing(conn, now() - _SETTLED)
    added = await _counting.run(
        pool,
        lambda conn, aside: club.list_changed(conn, aside, CHANGES_AT_ONCE),
        lambda conn, cafe_ids: club.add_changes(conn, cafe_ids, CHANGES_AT_ONCE),
        cafe_of=lambda cafe_id: cafe_id,
    )
    return noted + added


async def note(conn: Connection, moment: datetime) -> int:
    """Notes what the entries of the ledger before `moment` change, a day's at most. It writes into the queue alone,
    where nothing of a cafe's can fail."""
    since, _ = await club.progress(conn)
    # Asked before the ledger is read: whoever had ended by then is seen by the next statement.
    until = min(await club.oldest_open(conn, moment), since + _WINDOW)
    noted = await club.sum_ledger(conn, since, until) if since < until else 0
    return max(noted, int(until == since + _WINDOW))


async def note_lapsing(conn: Connection, moment: datetime) -> int:
    """Once an hour notes which points lapse soon."""
    _, counted_at = await club.progress(conn)
    return await club.count_lapsing(conn, moment + SOON, moment) if counted_at + _LAPSING_EVERY <= moment else 0


async def overview(conn: Connection, cafe_id: UUID, since: date | None, until: date | None) -> Overview:
    """The club's figures, of the last 30 days without dates.

    Raises NotFound for a cafe that nobody has told of, and Rejected for days in the wrong order or too many.
    """
    moment = now()
    today = await club.local_date(conn, cafe_id, moment)
    if today is None:
        raise NotFound("cafe", "این کافه")
    until = until or today
    since = since or until - SOON + timedelta(days=1)
    if since > until or (until - since).days >= MOST_DAYS:
        raise _wrong_days()
    unit, price = await unit_of(conn, cafe_id), await programs.price_of_point(conn, cafe_id, moment)
    figures = await club.figures(conn, cafe_id, since, until)
    steps = tiers.in_force((await plans_of(conn, [cafe_id]))[cafe_id], moment).steps
    outstanding, lapsing = total(figures, "outstanding"), total(figures, "lapsing")
    lapsing_sum = {"points": lapsing, "guests": total(figures, "lapsing_guests"), "worth": worth(lapsing, price)}
    shown = Overview.of(
        {
            "since": since,
            "until": until,
            "outstanding": outstanding,
            "worth": worth(outstanding, price),
            "point_worth": price,
            "currency_unit": INSIDE,
            "lapsing": {**lapsing_sum, "currency_unit": INSIDE},
            "tiers": tier_counts(figures, [step.tier for step in steps]),
        }
        | {
            name: total(figures, name)
            for name in ("members", "joined", "owed", "earned", "redeemed", "lapsed", "given", "taken")
        },
        unit,
    )
    return shown.model_copy(update={"lapsing": shown.lapsing.shown_in(unit)})


async def quote(conn: Connection, cafe_id: UUID, asked: AskQuote) -> Quote:
    """What spending points would mean now. It reserves nothing.

    Raises NotFound when the cafe has no such guest.
    """
    account = await accounts.show(conn, cafe_id, asked.customer_id)
    if account is None:
        raise NotFound("customer", "چنین مهمانی")
    price, balance = await programs.price_of_point(conn, cafe_id, now()), account["current_points"]
    most = max(0, balance - await grants.waiting(conn, cafe_id, asked.customer_id, now()))
    covered = asked.points is not None and asked.points <= most
    row = {
        "points": asked.points,
        "discount": worth(asked.points, price) if asked.points else None,
        "point_worth": price,
        "most_points": most,
        "most_discount": worth(most, price),
        "balance_after": balance - asked.points if asked.points and covered else None,
        "currency_unit": INSIDE,
    }
    return Quote.of(row, await unit_of(conn, cafe_id))


async def expiry(conn: Connection, cafe_id: UUID, customer_id: UUID) -> list[LapsingDay]:
    """The days on which a guest's points lapse.

    Raises NotFound when the cafe has no such guest.
    """
    if await accounts.show(conn, cafe_id, customer_id) is None:
        raise NotFound("customer", "چنین مهمانی")
    unit, price = await unit_of(conn, cafe_id), await programs.price_of_point(conn, cafe_id, now())
    return [
        LapsingDay.of({**row, "worth": worth(row["points"], price), "currency_unit": INSIDE}, unit)
        for row in await club.expiry(conn, cafe_id, customer_id, None, DAYS_OF_EXPIRY)
    ]


async def lapsing(conn: Connection, cafe_id: UUID, limit: int) -> list[LapsingGuest]:
    """The guests whose points lapse within 30 days, the soonest first."""
    return [LapsingGuest.model_validate(row) for row in await club.list_lapsing(conn, cafe_id, now(), SOON, limit)]


def _wrong_days() -> Rejected:
    problem = Problem(
        "since",
        "wrong_days",
        f"`since` comes first, and {MOST_DAYS} days are the most.",
        "نخست since و سپس until؛ حداکثر ۳۶۶ روز.",
    )
    return Rejected("invalid_input", problem.en, problem.fa, problems=[problem])
