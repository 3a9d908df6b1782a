"""What is given without a bill."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid5

from services.loyalty.models.accounts import Account, EntryDraft, Lot, Plan, Posting
from services.loyalty.models.grants import Grant
from services.loyalty.rules import announcing, counting, lapsing, ledger, lots, tiers
from services.loyalty.rules.announcing import DESCRIPTIONS
from services.loyalty.rules.lots import Lots


def birthday(plan: Plan, account: Account, year: int, reached_at: datetime, moment: datetime) -> Grant | None:
    """What the guest gets for the birthday in that year of the cafe's calendar, by the rules in force when it is given,
    on the day itself at the latest, and the tier that the guest had as it began."""
    program = tiers.in_force(plan, min(moment, reached_at + timedelta(days=1)))
    if program.birthday is None:
        return None
    points = program.birthday.get(tiers.rank(plan, account.standing, reached_at).tier, 0)
    if not points:
        return None
    return Grant(
        cafe_id=account.cafe_id, customer_id=account.customer_id, type="earned_birthday", occasion=f"birthday:{year}",
        points=points, program_version=program.version, granted_at=moment,
    )  # fmt: skip


def post(
    plan: Plan,
    account: Account,
    held: Lots,
    given: Iterable[Grant],
    about: dict[str, Any],
    taken: Iterable[Grant],
    moment: datetime,
) -> Posting:
    """All rows and events by which the guest gets what is `given` and loses what is `taken`. `held`: the guest's lots,
    at least where the guest owes or loses something."""
    after_lots, drafts = held, list[EntryDraft]()
    for grant in given:
        expires_at = lapsing.expiry(plan, tiers.in_force(plan, grant.granted_at), grant.granted_at)
        lot = Lot(
            grant.grant_id, grant.points, grant.points, grant.granted_at, expires_at, grant.available_at,
        )  # fmt: skip
        after_lots = lots.add(after_lots, lot, account.customer_id, grant.granted_at)
        drafts.append(
            EntryDraft(
                entry_id=grant.grant_id, type=grant.type, change=grant.points, occurred_at=grant.granted_at,
                description=DESCRIPTIONS.get(grant.occasion, DESCRIPTIONS[grant.type]),
                notes=f"grant {grant.occasion}", created_by=grant.created_by,
            )
        )  # fmt: skip
    for grant in taken:
        after_lots = lots.shrink(after_lots, grant.grant_id, grant.points, account.customer_id, moment)
        drafts.append(
            EntryDraft(
                entry_id=uuid5(grant.grant_id, "taken back"), type="adjustment_subtract", change=-grant.points,
                occurred_at=moment, description=DESCRIPTIONS["taken_back"], notes=f"taken back {grant.grant_id}",
            )
        )  # fmt: skip
    posted, entries = ledger.post(account, drafts, may_owe=True)
    after = counting.ranked(plan, posted, account.standing, moment)
    return Posting(
        before=account,
        after=after,
        entries=entries,
        lots=counting.changed_lots(held, after_lots),
        events=[
            *(announcing.points_change(after, entry, None, about) for entry in entries),
            *announcing.tier_change(account, after, moment, about),
        ],
    )
