"""What the other services say about cafes and guests, and the publishing of rules."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from services.loyalty.handlers.guests import plans_of, save
from services.loyalty.models.accounts import Posting, Program
from services.loyalty.models.earn_rules import words_of
from services.loyalty.models.http import PublishProgram, ShownProgram
from services.loyalty.models.programs import MOST_VERSIONS, ProgramRules, apart
from services.loyalty.rules import programs as program_rules
from services.loyalty.rules import tiers
from services.loyalty.rules.counting import ranked
from services.loyalty.rules.schemes import check_earning
from services.loyalty.store import (
    accounts,
    adjustments,
    grant_runs,
    ledger,
    notices,
    programs,
    redemptions,
    referrals,
    visits,
    vouchers,
)
from shared.clock import now
from shared.database.db import Connection
from shared.errors import Rejected
from shared.events.customer import CustomerErased, CustomerRegistered
from shared.events.identity import CafeChanged
from shared.messaging import parked
from shared.persian.calendar import local_date
from shared.security import access
from shared.security.crypto import Keys
from shared.security.ids import menu_code

# After this long every batch that was counted without the new rules has been committed.
SETTLED_AFTER = timedelta(minutes=1)


async def on_cafe_changed(conn: Connection, events: Sequence[CafeChanged]) -> None:
    """Cafes get their first program; another calendar or time zone means counting the guests anew."""
    cafe_ids = sorted({event.cafe_id for event in events})
    before = await programs.load_calendars(conn, cafe_ids)
    await access.on_cafe_changed(conn, events)
    after = await programs.load_calendars(conn, cafe_ids)
    await programs.found(
        conn,
        {
            cafe_id: apart(program_rules.default_rules(calendar).model_dump(mode="json"))[0]
            for cafe_id, (_, calendar) in after.items()
        },
    )
    counted_by = {cafe_id: before.get(cafe_id, program_rules.BEFORE_THE_CAFE) for cafe_id in cafe_ids}
    await programs.ask_recount(conn, [each for each in cafe_ids if after[each] != counted_by[each]], now())


async def on_customer_registered(conn: Connection, events: Sequence[CustomerRegistered]) -> None:
    """Guests have an account from their registration on, whether or not they ever come."""
    moment = now()
    plans = await plans_of(conn, {event.cafe_id for event in events})
    locked = await accounts.lock(conn, list({(event.cafe_id, event.customer_id) for event in events}))
    opened = [
        Posting(before=account, after=ranked(plans[account.cafe_id], account, tiers.NOBODY, moment))
        for account in locked.values()
        if account.is_new
    ]
    await save(conn, opened)


async def on_customer_erased(conn: Connection, events: Sequence[CustomerErased]) -> None:
    """The account and the entries of its ledger stay, so that the cafe's sums stay exact; what somebody typed goes."""
    guests = sorted({(event.cafe_id, event.customer_id) for event in events})
    for forget in (
        adjustments.forget,
        redemptions.forget,
        vouchers.forget,
        ledger.forget,
        referrals.forget_codes,
        grant_runs.forget,
    ):
        await forget(conn, guests)
    await parked.forget(conn, [customer_id for _, customer_id in guests])


async def check_program(conn: Connection, cafe_id: UUID, wanted: PublishProgram, keys: Keys) -> Program:
    """The version that the rules would be, published now.

    Raises Rejected for a moment in the past, before the version before, for a tier period unlike that version's, for
    one version too many, and for earning rules that do not fit together or can never match.
    """
    moment = now()
    valid_from = wanted.valid_from or moment
    last = (await plans_of(conn, [cafe_id]))[cafe_id].programs[-1]
    new = await check_rules(conn, cafe_id, wanted.rules, valid_from, keys)
    if last.version >= MOST_VERSIONS:
        raise Rejected(
            "too_many_versions",
            f"A cafe has at most {MOST_VERSIONS} versions of its rules, and yours has them all; the last one stays.",
            "هر کافه حداکثر ۲۰۰ نسخه از قاعده‌ها دارد و به این حد رسیده‌اید؛ نسخهٔ آخر می‌ماند.",
            status=409,
        )
    if valid_from < moment or valid_from <= last.valid_from:
        raise _too_early(max(moment, last.valid_from))
    return new


async def check_rules(
    conn: Connection, cafe_id: UUID, rules: ProgramRules, valid_from: datetime, keys: Keys
) -> Program:
    """The version that the rules would be, from that moment on, whenever that is.

    Raises Rejected for another tier period than that of the version before, and for earning rules that do not fit
    together or can never match.
    """
    plan = (await plans_of(conn, [cafe_id]))[cafe_id]
    last = plan.programs[-1]
    check_earning(rules, local_date(valid_from, plan.time_zone))
    new = program_rules.program(last.version + 1, valid_from, rules, codes_of(cafe_id, rules, keys))
    if new.tier_period != last.tier_period and await visits.has_any(conn, cafe_id):
        raise Rejected(
            "tier_period_is_fixed",
            "Guests have earned by the present tier period; it can't change any more.",
            "مهمان‌ها با دورهٔ کنونی امتیاز گرفته‌اند و دورهٔ سطح دیگر عوض نمی‌شود.",
            status=409,
        )
    return new


async def publish_program(
    conn: Connection, cafe_id: UUID, author: UUID, wanted: PublishProgram, keys: Keys
) -> ShownProgram:
    """The cafe's next version of rules. Whether its author may has been decided before (`proposals`).

    Raises Rejected as `check_program`.
    """
    new = await check_program(conn, cafe_id, wanted, keys)
    rules = wanted.rules.model_dump(mode="json")
    codes = codes_of(cafe_id, wanted.rules, keys)
    created_at = await programs.publish(
        conn, cafe_id, new.version, new.valid_from, rules, author, codes, wanted.rehearsal_id
    )
    if created_at is None:
        raise program_changed()
    await programs.ask_recount(conn, [cafe_id], new.valid_from + SETTLED_AFTER)
    if new.warns is not None:
        await notices.ask_turns(conn, [notices.NoticeTurn(cafe_id, new.valid_from)])
    version = {
        "version": new.version,
        "valid_from": new.valid_from,
        "created_by": author,
        "created_at": created_at,
        "rehearsal_id": wanted.rehearsal_id,
    }
    return ShownProgram.of({**version, **program_rules.priced(rules)}, await access.unit_of(conn, cafe_id))


def codes_of(cafe_id: UUID, rules: ProgramRules, keys: Keys) -> dict[str, str]:
    """The words that the rules name, as codes: events have no words of the menu."""
    return {word: menu_code(keys, cafe_id, word) for word in words_of(rules.base, (*rules.earn, *rules.cards))}


def program_changed() -> Rejected:
    """The rules are not those that the author saw."""
    return Rejected(
        "program_changed",
        "Somebody else has published a version meanwhile; look at it and try again.",
        "در این میان نسخهٔ دیگری منتشر شد؛ آن را ببینید و دوباره تلاش کنید.",
        status=409,
    )


def _too_early(earliest: datetime) -> Rejected:
    return Rejected(
        "valid_from_too_early",
        f"Rules come into force now or later, and after those before them: from {earliest.isoformat()} on.",
        f"قاعده‌ها از اکنون یا پس از آن، و پس از نسخهٔ پیشین آغاز می‌شوند: از {earliest.isoformat()}.",
        status=409,
    )
