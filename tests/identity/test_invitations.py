"""People come into a cafe by accepting: nobody chooses another's password, and no account can be taken beforehand."""

import asyncio
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx2
import pytest

from services.identity import worker
from services.identity.handlers import invitations, sessions
from services.identity.rules import access as rules
from shared import clock
from shared.database import db
from shared.events.identity import AccessGranted
from shared.settings import Settings
from tests.identity.given import PASSWORD, Person, a_cafe, a_person, client, emitted, joins, running
from tests.support import Databases

VICTIM = "victim@example.com"
OTHERS = "chosen by the attacker"
OWN = "violet teapot marches"


async def invited(http: httpx2.AsyncClient, cafe: UUID, login: str, role: str = "manager") -> dict[str, Any]:
    body = {"login": login, "role": role, "display_name": "Victim"}
    answer = await http.post(f"/cafes/{cafe}/invitations", json=body)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def accepted(
    http: httpx2.AsyncClient, invitation: dict[str, Any], password: str, new: str | None = None
) -> httpx2.Response:
    body = {"code": invitation["code"], "password": password} | ({"new_password": new} if new else {})
    return await http.post("/invitations/accept", json=body)


async def cafes_of(http: httpx2.AsyncClient, login: str, password: str) -> set[str] | None:
    """What the login opens with that password; None when it does not sign in."""
    answer = await http.post("/sessions", json={"login": login, "password": password})
    if answer.status_code == 401:
        return None
    headers = {"Authorization": f"Bearer {answer.json()['access_token']}"}
    return {cafe["cafe_id"] for cafe in (await http.get("/cafes", headers=headers)).json()}


async def test_person_without_account_chooses_a_password_and_only_then_has_access(
    config: Settings, database: Databases
) -> None:
    pool = await database("identity")
    cafe = await a_cafe(pool)
    owner = await a_person(pool, "owner@example.com", cafe, "owner")
    async with running(config) as app, client(app, owner) as http, client(app) as other:
        invitation = await invited(http, cafe, "sara@example.com", "staff")
        assert invitation["state"] == "open"
        assert invitation["login"] == "s•••@example.com"
        assert len((await http.get(f"/cafes/{cafe}/members")).json()) == 1
        assert not any(isinstance(event, AccessGranted) and event.role == "staff" for event in await emitted(pool))
        read = (await other.post("/invitations/read", json={"code": invitation["code"]})).json()
        assert (read["cafe_name"], read["role"], read["login"]) == ("کافه نادری", "staff", "s•••@example.com")
        answer = await accepted(other, invitation, OWN)
        assert answer.status_code == 201, answer.text
        assert answer.json()["role"] == "staff"
        assert await cafes_of(other, "sara@example.com", OWN) == {str(cafe)}
        assert (await accepted(other, invitation, OWN)).status_code == 404
        [listed] = (await http.get(f"/cafes/{cafe}/invitations")).json()
        assert listed["state"] == "accepted"
        assert "code" not in listed


async def test_inviting_a_login_with_an_account_looks_the_same(config: Settings, database: Databases) -> None:
    pool = await database("identity")
    cafe = await a_cafe(pool)
    owner = await a_person(pool, "owner@example.com", cafe, "owner")
    await a_person(pool, "reza@example.com", await a_cafe(pool), "owner")
    async with running(config) as app, client(app, owner) as http:
        shapes = []
        for login in ("reza@example.com", "nobody@example.com"):
            answer = await invited(http, cafe, login)
            varies = ("invitation_id", "code", "login", "invited_at", "expires_at")
            shapes.append((set(answer), {key: value for key, value in answer.items() if key not in varies}))
    assert shapes[0] == shapes[1]


async def test_person_with_an_account_proves_the_password(config: Settings, database: Databases) -> None:
    pool = await database("identity")
    elsewhere, cafe = await a_cafe(pool), await a_cafe(pool)
    reza = await a_person(pool, "reza@example.com", elsewhere, "owner")
    owner = await a_person(pool, "owner@example.com", cafe, "owner")
    async with running(config) as app, client(app, owner) as http:
        invitation = await invited(http, cafe, reza.login)
        assert (await accepted(http, invitation, OTHERS)).status_code == 401
        assert await cafes_of(http, reza.login, OTHERS) is None
        assert (await accepted(http, invitation, OTHERS, OWN)).status_code == 401
        answer = await accepted(http, invitation, PASSWORD, OWN)
        assert answer.json()["user_id"] == str(reza.user_id)
        assert await cafes_of(http, reza.login, OWN) == {str(elsewhere), str(cafe)}


# What the one who wants to take the account does before, between and after, while the other cafe invites its manager.
ORDERS = {
    "accepts for the victim, and removes the access": ("invite", "accept", "remove", "other invites", "victim"),
    "accepts for the victim, and keeps the access": ("invite", "accept", "other invites", "victim"),
    "invites before, accepts after": ("invite", "other invites", "victim", "accept"),
    "accepts between": ("other invites", "invite", "accept", "victim"),
    "removes after": ("invite", "accept", "other invites", "victim", "remove"),
    "makes a reset before": ("invite", "accept", "make reset", "other invites", "victim", "use reset"),
    "makes a reset after": ("invite", "accept", "other invites", "victim", "make reset", "use reset"),
    "comes last": ("other invites", "victim", "invite", "accept", "make reset", "use reset"),
}


@dataclass
class Attack:
    """Two cafes, and what became of their invitations and resets so far."""

    a: httpx2.AsyncClient
    b: httpx2.AsyncClient
    cafe_a: UUID
    cafe_b: UUID
    from_a: dict[str, Any] = field(default_factory=dict)
    from_b: dict[str, Any] = field(default_factory=dict)
    reset: dict[str, Any] = field(default_factory=dict)

    async def members(self) -> list[str]:
        """The paths of A's people."""
        root = f"/cafes/{self.cafe_a}/members"
        return [f"{root}/{member['user_id']}" for member in (await self.a.get(root)).json()]

    async def invite(self) -> None:
        self.from_a = await invited(self.a, self.cafe_a, VICTIM, "staff")

    async def accept(self) -> None:
        await accepted(self.a, self.from_a, OTHERS)

    async def remove(self) -> None:
        for path in await self.members():
            await self.a.delete(path)

    async def make_reset(self) -> None:
        for path in await self.members():
            made = await self.a.post(f"{path}/password-reset")
            self.reset = made.json() if made.status_code == 201 else self.reset

    async def use_reset(self) -> None:
        body = {"code": self.reset.get("code", "there is no such code"), "new_password": OTHERS}
        await self.a.post("/password-resets/use", json=body)

    async def other_invites(self) -> None:
        self.from_b = await invited(self.b, self.cafe_b, VICTIM)

    async def victim(self) -> None:
        """Accepts, also with the password that somebody from A told them, and a new one of their own."""
        for password, new in ((OWN, None), (OTHERS, None), (OTHERS, OWN)):
            await accepted(self.b, self.from_b, password, new)


@pytest.mark.parametrize("order", ORDERS.values(), ids=ORDERS.keys())
async def test_one_cafe_never_gets_into_another_by_the_login_of_its_manager(
    order: tuple[str, ...], config: Settings, database: Databases
) -> None:
    pool = await database("identity")
    cafe_a, cafe_b = await a_cafe(pool, "A"), await a_cafe(pool, "B")
    owner_a = await a_person(pool, "a@example.com", cafe_a, "owner")
    owner_b = await a_person(pool, "b@example.com", cafe_b, "owner")
    async with running(config) as app, client(app, owner_a) as a, client(app, owner_b) as b:
        attack = Attack(a, b, cafe_a, cafe_b)
        for step in order:
            await getattr(attack, step.replace(" ", "_"))()
        assert str(cafe_b) not in (await cafes_of(a, VICTIM, OTHERS) or ())
        managers = "SELECT count(*) FROM user_cafe_access WHERE cafe_id = $1 AND role = 'manager'"
        if await pool.fetchval(managers, cafe_b):
            assert str(cafe_b) in (await cafes_of(b, VICTIM, OWN) or ())


async def test_login_that_somebody_kept_is_free_once_it_opens_nothing(config: Settings, database: Databases) -> None:
    pool = await database("identity")
    cafe_a, cafe_b = await a_cafe(pool, "A"), await a_cafe(pool, "B")
    owner_a = await a_person(pool, "a@example.com", cafe_a, "owner")
    owner_b = await a_person(pool, "b@example.com", cafe_b, "owner")
    async with running(config) as app, client(app, owner_a) as a, client(app, owner_b) as b:
        kept = await joins(a, cafe_a, VICTIM, "staff", OTHERS)
        session = (await a.post("/sessions", json={"login": VICTIM, "password": OTHERS})).json()
        assert (await a.delete(f"/cafes/{cafe_a}/members/{kept}")).status_code == 204
        mine = await joins(b, cafe_b, VICTIM, "manager", OWN)
        assert mine != kept
        assert await cafes_of(a, VICTIM, OTHERS) is None
        assert await cafes_of(b, VICTIM, OWN) == {str(cafe_b)}
        renewed = await a.post("/sessions/renew", json={"refresh_token": session["refresh_token"]})
        assert renewed.status_code == 401


async def test_account_gets_a_new_password_before_it_opens_the_cafe_of_another_owner(
    config: Settings, database: Databases
) -> None:
    pool = await database("identity")
    cafe_a, cafe_b = await a_cafe(pool, "A"), await a_cafe(pool, "B")
    owner_a = await a_person(pool, "a@example.com", cafe_a, "owner")
    owner_b = await a_person(pool, "b@example.com", cafe_b, "owner")
    async with running(config) as app, client(app, owner_a) as a, client(app, owner_b) as b:
        await joins(a, cafe_a, VICTIM, "staff", OTHERS)
        theirs = (await a.post("/sessions", json={"login": VICTIM, "password": OTHERS})).json()
        invitation = await invited(b, cafe_b, VICTIM)
        asked = await accepted(b, invitation, OTHERS)
        assert (asked.status_code, asked.json()["code"]) == (409, "new_password_needed")
        assert asked.json()["errors"][0]["field"] == "new_password"
        assert (await accepted(b, invitation, OTHERS, OWN)).status_code == 201
        assert await cafes_of(a, VICTIM, OTHERS) is None
        headers = {"Authorization": f"Bearer {theirs['access_token']}"}
        assert (await a.get("/cafes", headers=headers)).status_code == 401
        assert await cafes_of(b, VICTIM, OWN) == {str(cafe_a), str(cafe_b)}


async def test_account_that_opens_cafes_of_one_owner_keeps_its_password_for_another_of_theirs(
    config: Settings, database: Databases
) -> None:
    pool = await database("identity")
    cafe = await a_cafe(pool)
    owner = await a_person(pool, "owner@example.com", cafe, "owner")
    async with running(config) as app, client(app, owner) as http:
        await joins(http, cafe, "sara@example.com", "staff")
        second = UUID((await http.post("/cafes", json={"name": "second"})).json()["cafe_id"])
        assert (await accepted(http, await invited(http, second, "sara@example.com"), PASSWORD)).status_code == 201
        assert await cafes_of(http, "sara@example.com", PASSWORD) == {str(cafe), str(second)}


async def test_invitation_is_renewed_revoked_and_ends(
    config: Settings, database: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = await database("identity")
    cafe = await a_cafe(pool)
    owner = await a_person(pool, "owner@example.com", cafe, "owner")
    async with running(config) as app, client(app, owner) as http:
        first = await invited(http, cafe, "sara@example.com")
        path = f"/cafes/{cafe}/invitations/{first['invitation_id']}"
        second = (await http.post(f"{path}/renewal")).json()
        assert (await accepted(http, first, OWN)).status_code == 404
        later = clock.now() + rules.INVITATION_LIFETIME + timedelta(minutes=1)
        monkeypatch.setattr(invitations, "now", lambda: later)
        assert (await accepted(http, second, OWN)).status_code == 404
        assert (await http.get(f"/cafes/{cafe}/invitations")).json()[0]["state"] == "expired"
        third = (await http.post(f"{path}/renewal")).json()
        assert (await http.delete(path)).status_code == 204
        assert [(await http.delete(path)).status_code, (await http.post(f"{path}/renewal")).status_code] == [409] * 2
        assert (await accepted(http, third, OWN)).status_code == 404
        assert len((await http.get(f"/cafes/{cafe}/members")).json()) == 1
    gone = later + rules.INVITATION_LIFETIME + rules.INVITATIONS_FORGOTTEN_AFTER + timedelta(minutes=1)
    monkeypatch.setattr(sessions, "now", lambda: gone)
    await worker.tidy_sessions(pool)
    assert await pool.fetchval("SELECT count(*) FROM invitations") == 0


async def test_invitation_of_who_lost_the_right_to_invite_is_over(config: Settings, database: Databases) -> None:
    pool = await database("identity")
    cafe = await a_cafe(pool)
    owner = await a_person(pool, "owner@example.com", cafe, "owner")
    manager = await a_person(pool, "manager@example.com", cafe, "manager")
    async with running(config) as app, client(app, owner) as http, client(app, manager) as other:
        invitation = await invited(other, cafe, "sara@example.com", "staff")
        await http.delete(f"/cafes/{cafe}/members/{manager.user_id}")
        assert (await accepted(http, invitation, OWN)).status_code == 404
        renewed = (await http.post(f"/cafes/{cafe}/invitations/{invitation['invitation_id']}/renewal")).json()
        assert (await accepted(http, renewed, OWN)).status_code == 201


async def test_member_is_not_changed_by_another_invitation(config: Settings, database: Databases) -> None:
    pool = await database("identity")
    cafe = await a_cafe(pool)
    owner = await a_person(pool, "owner@example.com", cafe, "owner")
    async with running(config) as app, client(app, owner) as http:
        again = await accepted(http, await invited(http, cafe, owner.login, "staff"), PASSWORD)
        assert (again.status_code, again.json()["code"]) == (409, "member_already")
        assert (await http.get("/cafes")).json()[0]["role"] == "owner"


async def test_two_who_accept_at_once_become_one_person(config: Settings, database: Databases) -> None:
    pool = await database("identity")
    cafe, other_cafe = await a_cafe(pool), await a_cafe(pool)
    owner = await a_person(pool, "owner@example.com", cafe, "owner")
    other: Person = await a_person(pool, "other@example.com", other_cafe, "owner")
    async with (
        running(config) as one,
        running(config) as two,
        client(one, owner) as http,
        client(two, other) as elsewhere,
    ):
        first = await invited(http, cafe, "sara@example.com")
        answers = await asyncio.gather(accepted(http, first, OWN), accepted(elsewhere, first, OWN))
        assert sorted(answer.status_code for answer in answers) == [201, 404]
        second, third = (
            await invited(http, cafe, "ali@example.com"),
            await invited(elsewhere, other_cafe, "ali@example.com"),
        )
        await asyncio.gather(accepted(http, second, OWN), accepted(elsewhere, third, OWN))
    assert await pool.fetchval("SELECT count(*) FROM user_logins") == 4


async def test_invitations_of_a_cafe_are_limited(
    config: Settings, database: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rules, "OPEN_INVITATIONS", 2)
    pool = await database("identity")
    cafe = await a_cafe(pool)
    owner = await a_person(pool, "owner@example.com", cafe, "owner")
    async with running(config) as app, client(app, owner) as http:
        first = await invited(http, cafe, "one@example.com")
        await invited(http, cafe, "two@example.com")
        body = {"login": "three@example.com", "role": "staff", "display_name": "Three"}
        refused = await http.post(f"/cafes/{cafe}/invitations", json=body)
        assert (refused.status_code, refused.json()["code"]) == (409, "too_many_invitations")
        await http.delete(f"/cafes/{cafe}/invitations/{first['invitation_id']}")
        assert (await http.post(f"/cafes/{cafe}/invitations", json=body)).status_code == 201


async def test_password_that_can_be_guessed_from_the_invitation_is_refused(
    config: Settings, database: Databases
) -> None:
    pool = await database("identity")
    cafe = await a_cafe(pool, "Cafe Naderi")
    owner = await a_person(pool, "owner@example.com", cafe, "owner")
    async with running(config) as app, client(app, owner) as http:
        invitation = await invited(http, cafe, "shahrzad@example.com")
        for guessable in ("naderi cafe 1402", "shahrzad@example", "Shahrzad1234", "tiny pw", "password1234"):
            refused = await accepted(http, invitation, guessable)
            assert refused.status_code == 422, guessable
            [problem] = refused.json()["errors"]
            assert problem["field"] == "password"
            assert problem["fa"]
            assert guessable not in refused.text


async def test_codes_are_nowhere_but_in_the_answer(
    config: Settings, database: Databases, capfd: pytest.CaptureFixture[str]
) -> None:
    pool = await database("identity")
    cafe = await a_cafe(pool)
    owner = await a_person(pool, "owner@example.com", cafe, "owner")
    async with running(config) as app, client(app, owner) as http:
        invitation = await invited(http, cafe, "sara@example.com", "staff")
        await accepted(http, invitation, OWN)
        sara = (await http.post("/sessions", json={"login": "sara@example.com", "password": OWN})).json()
        reset = (await http.post(f"/cafes/{cafe}/members/{sara['user_id']}/password-reset")).json()
    shown = [invitation["code"], reset["code"], sara["refresh_token"], sara["access_token"], sara["device_token"], OWN]
    stored = await everything(pool)
    written = "".join(capfd.readouterr())
    for secret in shown:
        for text in (stored, written):
            assert secret not in text
            assert secret.split(".")[-1] not in text


async def everything(pool: db.Pool) -> str:
    """All that the service's database holds, as text."""
    names = await pool.fetch(
        "SELECT schemaname || '.' || relname AS name FROM pg_stat_user_tables WHERE relname <> 'schema_migrations'"
    )
    rows = [row for (name,) in names for row in await pool.fetch(f"SELECT * FROM {name}")]
    return "".join(str(tuple(row)) for row in rows)


async def test_link_leads_to_the_console_and_keeps_the_code_from_servers(config: Settings, database: Databases) -> None:
    pool = await database("identity")
    cafe = await a_cafe(pool)
    owner = await a_person(pool, "owner@example.com", cafe, "owner")
    with_console = config.model_copy(update={"console_url": "https://crm.example.com/"})
    async with running(with_console) as app, client(app, owner) as http:
        invitation = await invited(http, cafe, "sara@example.com")
    assert invitation["link"] == f"https://crm.example.com/invitation#{invitation['code']}"
