"""Guests who bring guests: codes, claims, and the job that sees what becomes of them."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID, uuid5

from services.loyalty.handlers.grants import give
from services.loyalty.handlers.guests import plans_of
from services.loyalty.models.accounts import Plan, Visit
from services.loyalty.models.grants import Grant
from services.loyalty.models.referrals import Referral, ReferralClaim, ReferralTerms, RefusedReferral
from services.loyalty.rules import referrals as rules
from services.loyalty.rules import tiers
from services.loyalty.store import accounts, referrals, visits
from shared.clock import now
from shared.database.db import Connection, Pool
from shared.errors import Problem, Rejected
from shared.events.base import Event
from shared.events.loyalty import ReferralCompleted
from shared.jobs.by_cafe import ByCafe
from shared.messaging import outbox
from shared.persian.calendar import day_bounds, local_date, month_of

REFERRALS_AT_ONCE = 500
ATTEMPTS = 20

_judging = ByCafe("loyalty", "loyalty.judge_referrals")
SENTENCES: dict[RefusedReferral, tuple[str, str]] = {
    "unknown_code": (
        "No guest has this code; look at its letters.", "هیچ مهمانی این کد را ندارد؛ حرف‌هایش را بررسی کنید.",
    ),
    "own_code": ("This is the guest's own code.", "این کدِ خود مهمان است."),
    "already_referred": ("Another guest has brought this one before.", "این مهمان را پیش‌تر کس دیگری معرفی کرده است."),
    "existing_guest": ("This guest has been here before.", "این مهمان پیش‌تر هم آمده است."),
    "referral_circle": (
        "This guest has brought the one whose code it is.", "صاحب این کد را خودِ همین مهمان معرفی کرده است.",
    ),
    "referrer_too_new": (
        "Whose code this is has not come often enough yet.", "صاحب این کد هنوز به اندازهٔ کافی نیامده است.",
    ),
    "referrals_of_month": (
        "Whose code this is has brought as many this month as may be.",
        "صاحب این کد در این ماه به سقف معرفی رسیده است.",
    ),
    "same_device": (
        "Whose code this is has just paid at this till.", "صاحب این کد همین حالا در همین صندوق پرداخت کرده است.",
    ),
}  # fmt: skip


async def code_of(conn: Connection, cafe_id: UUID, customer_id: UUID) -> str | None:
    """The guest's code, made when it is first asked for; None while the program gives nothing for it."""
    if (await _terms(conn, cafe_id, now()))[1] is None:
        return None
    for attempt in range(ATTEMPTS):
        if code := await referrals.code_of(conn, cafe_id, customer_id):
            return code
        if await referrals.add_code(conn, cafe_id, code := rules.code_for(customer_id, attempt), customer_id):
            return code
    raise RuntimeError("no code is free")


async def claim(
    conn: Connection,
    cafe_id: UUID,
    referee_id: UUID,
    code: str,
    *,
    device_id: str | None = None,
    created_by: UUID | None = None,
    till_key_id: str | None = None,
) -> Referral:
    """Notes who has brought a guest, once; a repeat has no effect and gets the same answer.

    Raises Rejected with the reason as its code, and while the program gives nothing for it.
    """
    await referrals.take_turn(conn, cafe_id)
    moment = now()
    plan, terms = await _terms(conn, cafe_id, moment)
    if terms is None:
        raise Rejected(
            "no_referrals",
            "This cafe gives no points for guests who bring others.",
            "این کافه برای معرفی مهمان امتیازی نمی‌دهد.",
            status=409,
        )
    referrer_id = await referrals.whose(conn, cafe_id, code)
    known = await referrals.find(conn, cafe_id, referee_id)
    if known is not None and known.referrer_id == referrer_id:
        return known
    facts = ReferralClaim(referee_id=referee_id, referrer_id=None)
    if referrer_id is not None:
        first, last = month_of(local_date(moment, plan.time_zone), plan.calendar)
        month = day_bounds(first, plan.time_zone)[0], day_bounds(last, plan.time_zone)[1]
        facts = await referrals.look_at(conn, cafe_id, referee_id, referrer_id, month, device_id, moment, rules.NEAR)
    if (reason := rules.refusal(terms, facts)) is not None or referrer_id is None:
        raise _refused(reason or "unknown_code")
    made = Referral(
        cafe_id=cafe_id, referee_id=referee_id, referrer_id=referrer_id, claimed_at=moment,
        ends_at=moment + timedelta(days=terms.within_days),
        program_version=tiers.in_force(plan, moment).version, created_by=created_by, till_key_id=till_key_id,
        check_at=moment,
    )  # fmt: skip
    await referrals.insert(conn, made)
    return made


async def judge(pool: Pool) -> int:
    """Sees what became of at most `REFERRALS_AT_ONCE` referrals whose time it is; how many."""
    moment = now()
    return await _judging.run(
        pool,
        lambda conn, aside: referrals.list_due(conn, moment, aside, REFERRALS_AT_ONCE),
        _judge,
    )


async def _judge(conn: Connection, keys: Sequence[tuple[UUID, UUID, UUID]]) -> int:
    guests = sorted({(cafe_id, guest) for cafe_id, *both in keys for guest in both})
    locked = await accounts.lock_existing(conn, guests)
    moment = now()
    plans = await plans_of(conn, {cafe_id for cafe_id, _, _ in keys})
    due = await referrals.lock(conn, keys)
    histories = await visits.load_histories(conn, [(each.cafe_id, each.referee_id) for each in due])
    found: list[Visit | RefusedReferral | None] = [
        rules.deciding_bill(
            each, _terms_of(plans[each.cafe_id], each),
            [counted.visit for counted in histories.get((each.cafe_id, each.referee_id), {}).values()],
        )
        for each in due
    ]  # fmt: skip
    near = await referrals.near(
        conn,
        [
            (each.cafe_id, each.referee_id, each.referrer_id, bill.device_id, bill.occurred_at)
            for each, bill in zip(due, found, strict=True)
            if isinstance(bill, Visit)
        ],
        rules.NEAR,
    )
    after = [
        rules.decided(each, bill, is_same_device=(each.cafe_id, each.referee_id) in near, moment=moment)
        for each, bill in zip(due, found, strict=True)
    ]
    await referrals.save(conn, after)
    turned = [(old, new) for old, new in zip(due, after, strict=True) if (old.state, new.state).count("completed") == 1]
    wanted = [grant for _, new in turned if new.state == "completed" for grant in _grants(plans, new, moment)]
    taken = [grant for old, _ in turned if old.state == "completed" for grant in _grants(plans, old, moment)]
    await give(conn, plans, locked, wanted, {}, taken)
    await outbox.emit(conn, [_completed(new, moment) for _, new in turned if new.state == "completed"])
    return len(keys)


def _grants(plans: dict[UUID, Plan], referral: Referral, moment: datetime) -> list[Grant]:
    plan = plans[referral.cafe_id]
    terms, waiting = _terms_of(plan, referral), tiers.in_force(plan, moment).waiting
    sides = (
        (referral.referrer_id, referral.referee_id, terms.referrer),
        (referral.referee_id, referral.referrer_id, terms.referee),
    )
    return [
        Grant(
            cafe_id=referral.cafe_id, customer_id=guest, type="earned_referral",
            occasion=rules.occasion(referral, other), points=points, program_version=referral.program_version,
            granted_at=moment, available_at=moment + waiting.time if waiting else None,
        )
        for guest, other, points in sides
        if points
    ]  # fmt: skip


def _completed(referral: Referral, moment: datetime) -> Event:
    return ReferralCompleted(
        event_id=uuid5(referral.referee_id, f"referral.completed {referral.round}"), cafe_id=referral.cafe_id,
        customer_id=referral.referrer_id, occurred_at=moment, referee_id=referral.referee_id,
        visit_id=referral.visit_id,
    )  # fmt: skip


async def _terms(conn: Connection, cafe_id: UUID, moment: datetime) -> tuple[Plan, ReferralTerms | None]:
    plan = (await plans_of(conn, [cafe_id]))[cafe_id]
    return plan, tiers.in_force(plan, moment).referral


def _terms_of(plan: Plan, referral: Referral) -> ReferralTerms:
    terms = next(each.referral for each in plan.programs if each.version == referral.program_version)
    assert terms is not None
    return terms


def _refused(reason: RefusedReferral) -> Rejected:
    en, fa = SENTENCES[reason]
    return Rejected(reason, en, fa, status=409, problems=[Problem("code", reason, en, fa)])
