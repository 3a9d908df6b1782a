"""What each role may see and do in the console. The APIs are the wall; this table only keeps people from doors that are
locked, and a test holds both against each other."""

from collections.abc import Mapping
from typing import Final

from shared.events.identity import Role

_RANK: Final[dict[Role, int]] = {"staff": 0, "manager": 1, "owner": 2}
# action: the least role
ALLOWED: Final[Mapping[str, Role]] = {
    "see_money": "manager",
    "void": "manager",
    "adjust": "manager",
    "erase": "manager",
    "approve": "manager",
    "see_people": "manager",
    "invite": "manager",
    "make_keys": "owner",
    "end_keys": "manager",
    "see_looks": "owner",
    "change_cafe": "manager",
    "write_rules": "manager",
    "keep_rewards": "manager",
    "give_bonus": "manager",
    "edit_segments": "manager",
    "send_campaigns": "manager",
    "see_messages": "manager",
    "set_messaging": "owner",
    "see_accounts": "owner",
}


def may(role: Role, action: str) -> bool:
    """Whether that role is enough. Raises KeyError for an action that the table does not have."""
    return reaches(role, ALLOWED[action])


def reaches(role: Role, least: Role) -> bool:
    """Whether that role is `least` or a higher one."""
    return _RANK[role] >= _RANK[least]


def below(role: Role) -> tuple[Role, ...]:
    """The roles that somebody with `role` may give: owners any, managers those below."""
    return ("staff", "manager", "owner") if role == "owner" else ("staff",) if role == "manager" else ()
