"""The first hour of a cafe: what is there, and what is missing until its first visit."""

import asyncio
from dataclasses import dataclass

from services.console.handlers.panels import panel
from services.console.models import people, work
from services.console.models.club import RulesVersion
from services.console.models.messages import SmsAccount
from services.console.models.session import Insider
from services.console.rules import roles
from services.console.store import club, identity, messages, visit
from services.console.store.upstream import Away, Upstream


@dataclass(frozen=True)
class StartPage:
    """What the cafe has so far; what could not be asked is `Away`."""

    branches: tuple[people.BranchOfCafe, ...] | Away
    keys: tuple[people.KeyOfTill, ...] | Away
    rules: tuple[RulesVersion, ...] | Away
    accounts: tuple[SmsAccount, ...] | Away
    newest: work.VisitRows | Away


async def show(up: Upstream, here: Insider) -> StartPage:
    """The page, in five calls beside each other. Accounts are for owners."""
    access, cafe_id = here.access, here.cafe.cafe_id
    branches, keys, rules, accounts, newest = await asyncio.gather(
        panel(identity.list_branches(up, access, cafe_id)),
        panel(identity.list_keys(up, access, cafe_id)),
        panel(club.versions(up, access, cafe_id)),
        panel(messages.accounts(up, access, cafe_id)) if roles.may(here.cafe.role, "see_accounts") else _none(),
        panel(visit.list_visits(up, access, cafe_id, {"limit": 1})),
    )
    return StartPage(branches, keys, rules, accounts, newest)


async def _none() -> tuple[SmsAccount, ...]:
    return ()
