"""Who may invite, change, remove and reset whom."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Final
from uuid import UUID

from shared.events.identity import Role

LIVE_KEYS_PER_TILL: Final = 2
INVITATION_LIFETIME: Final = timedelta(hours=72)
RESET_LIFETIME: Final = timedelta(hours=24)
# Of one cafe at a time; what has been answered, revoked or has expired does not count.
OPEN_INVITATIONS: Final = 50
INVITATIONS_A_DAY: Final = 200
# Ended invitations are shown so long, and resets that nobody used are kept no longer.
INVITATIONS_FORGOTTEN_AFTER: Final = timedelta(days=30)

_RANK: Final[dict[Role, int]] = {"staff": 0, "manager": 1, "owner": 2}


def may_change_access(actor: Role, *roles: Role | None) -> bool:
    """Whether `actor` may turn one of `roles` into another: owners all, managers those below their own."""
    return actor == "owner" or all(role is None or _RANK[role] < _RANK[actor] for role in roles)


def may_reset(actor: Mapping[UUID, Role], person: Mapping[UUID, Role]) -> bool:
    """Whether somebody with the roles `actor` may hand a person with the roles `person` a new password, by cafe.

    Only who ranks above the person in every cafe that the person's account opens: a link for a new password opens all
    of them. A person without any cafe is nobody's.
    """
    return bool(person) and all(cafe in actor and _RANK[actor[cafe]] > _RANK[role] for cafe, role in person.items())
