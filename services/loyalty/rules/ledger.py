"""How drafts become rows of a guest's ledger: numbered, each with the balance after it."""

import re
from collections.abc import Iterable
from decimal import Decimal
from typing import Final, NamedTuple

from msgspec.structs import replace

from services.loyalty.models.accounts import Account, EntryDraft, LedgerEntry

# What `settling` and the store note of a purchase, and nothing else does.
_NOTED: Final = re.compile(r"v([0-9]{1,9}) x([0-9]{1,9}(?:\.[0-9]{1,2})?)")
_SPENDS = ("redeemed_discount", "redeemed_item")


class NotedRule(NamedTuple):
    """By which version of the rules a bill earned, and how much more its guest's tier gave."""

    program_version: int
    multiplier: Decimal


def noted_rule(notes: str | None) -> NotedRule | None:
    """The rule that an entry of a bill notes; None of other entries."""
    found = _NOTED.fullmatch(notes or "")
    return NotedRule(int(found[1]), Decimal(found[2])) if found else None


def post(account: Account, drafts: Iterable[EntryDraft], *, may_owe: bool = False) -> tuple[Account, list[LedgerEntry]]:
    """The account after `drafts`, and the rows they become.

    Only with `may_owe` a balance below zero is noted as owed; without, the database refuses it.
    """
    earned, redeemed, expired = account.earned, account.redeemed, account.expired
    version, balance = account.version, account.balance
    entries = []
    for draft in drafts:
        if draft.redemption_id is not None or draft.type in _SPENDS:
            redeemed -= draft.change
        elif draft.type == "expired":
            expired -= draft.change
        else:
            earned += draft.change
        version += 1
        balance += draft.change
        entries.append(LedgerEntry(draft, version, balance))
    if not entries:
        return account, entries
    owing = max(0, -balance)
    owed = owing if may_owe else min(account.owed, owing)
    after = replace(account, earned=earned, redeemed=redeemed, expired=expired, owed=owed, version=version)
    return after, entries
