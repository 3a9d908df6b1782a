"""How drafts become rows of a guest's ledger: numbered, each with the balance after it."""

from collections.abc import Iterable

from msgspec.structs import replace

from services.loyalty.models.accounts import Account, EntryDraft, LedgerEntry

_SPENDS = ("redeemed_discount", "redeemed_item")


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
