"""`crm cafe|branch|user|apikey`: an operator sets up a cafe, and a script can read what was made."""

import asyncio
import json
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
import typer
from typer.testing import CliRunner

from deploy.crm import identity_commands
from shared.database import db
from shared.security import auth
from shared.security.ids import parse_api_key
from shared.settings import Settings
from tests.identity.given import PASSWORD, a_cafe, a_person, client, joins, running
from tests.support import Databases

OTHERS = "chosen by somebody else"


def crm() -> Callable[..., Any]:
    """`await run("cafe", "create", "name")` gives the command's result."""
    app = typer.Typer()
    identity_commands.add_to(app)

    async def run(*words: str, password: str | None = None) -> Any:
        # In a thread, because a command starts an event loop of its own.
        return await asyncio.to_thread(CliRunner().invoke, app, list(words), input=password)

    return run


async def test_operator_sets_up_a_cafe_from_nothing(config: Settings, database: Databases) -> None:
    pool, run = await database("identity"), crm()
    made = await run("cafe", "create", "كافه نادري")
    assert made.exit_code == 0, made.output
    cafe = UUID(made.stdout.strip())
    assert UUID((await run("branch", "create", "valiasr", "ولیعصر", "--cafe", str(cafe))).stdout.strip())
    words = ("user", "add", "sara@example.com", "سارا", "--cafe", str(cafe), "--role", "owner", "--password-stdin")
    added = await run(*words, password=PASSWORD)
    assert added.exit_code == 0, added.output
    key = await run("apikey", "create", "till 1", "--cafe", str(cafe), "--scope", "ingest")
    assert key.exit_code == 0, key.output
    async with db.transaction(pool) as conn:
        [till] = await auth.verify_tills(conn, [key.stdout.strip()])
    assert till
    assert (till.cafe_id, till.scopes) == (cafe, {"ingest"})
    async with running(config) as app, client(app) as http:
        session = (await http.post("/sessions", json={"login": "sara@example.com", "password": PASSWORD})).json()
        headers = {"Authorization": f"Bearer {session['access_token']}"}
        listed = (await http.get(f"/cafes/{cafe}/branches", headers=headers)).json()
    assert [branch["code"] for branch in listed] == ["valiasr"]
    assert session["user_id"] == added.stdout.strip()


async def test_a_cafe_and_its_owners_invitation_are_made_together(config: Settings, database: Databases) -> None:
    await database("identity")
    run = crm()
    words = ("cafe", "create", "کافه نادری", "--owner", "sara@example.com", "--owner-name", "سارا")
    made = await run(*words)
    assert made.exit_code == 0, made.output
    cafe, code = made.stdout.split()
    async with running(config) as app, client(app) as http:
        read = (await http.post("/invitations/read", json={"code": code})).raise_for_status().json()
        assert (read["cafe_name"], read["display_name"], read["role"]) == ("کافه نادری", "سارا", "owner")
        accepted = await http.post("/invitations/accept", json={"code": code, "password": PASSWORD})
        assert accepted.status_code == 201, accepted.text
    another = json.loads((await run("cafe", "create", "دیگری", "--owner", "sara@example.com", "--json")).stdout)
    assert another["cafe"]["cafe_id"] != cafe
    assert another["invitation"]["code"]


async def test_no_cafe_is_made_for_an_owner_who_cannot_be_invited(config: Settings, database: Databases) -> None:
    pool, run = await database("identity"), crm()
    made = await run("cafe", "create", "کافه نادری", "--owner", "not a login")
    assert made.exit_code == 2
    assert await pool.fetchval("SELECT count(*) FROM cafes") == 0


async def test_key_is_listed_without_its_secret_and_revoked(config: Settings, database: Databases) -> None:
    await database("identity")
    run = crm()
    cafe = (await run("cafe", "create", "A")).stdout.strip()
    key = parse_api_key((await run("apikey", "create", "till 1", "--cafe", cafe)).stdout.strip())
    assert key is not None
    listed = await run("apikey", "list", "--cafe", cafe)
    assert key.key_id in listed.stdout
    assert key.secret not in listed.stdout
    assert (await run("apikey", "revoke", key.key_id, "--cafe", cafe)).exit_code == 0
    assert (await run("apikey", "revoke", key.key_id, "--cafe", cafe)).exit_code == 1


async def test_answers_are_read_by_programs_too_and_fit_a_terminal(config: Settings, database: Databases) -> None:
    await database("identity")
    run = crm()
    cafe = (await run("cafe", "create", "A")).stdout.strip()

    async def answer(*words: str, password: str | None = None) -> Any:
        done = await run(*words, "--json", password=password)
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)

    assert await answer("apikey", "list", "--cafe", cafe) == await answer("user", "list", "--cafe", cafe) == []
    made = await answer("apikey", "create", "صندوق کنار در ورودی با نامی بسیار بلند", "--cafe", cafe)
    assert parse_api_key(made["api_key"]).key_id == made["key_id"]
    listed = await run("apikey", "list", "--cafe", cafe)
    assert max(map(len, listed.stdout.splitlines())) < 80
    assert (made["key_id"] in listed.stdout, made["api_key"] in listed.stdout) == (True, False)
    assert (await answer("apikey", "revoke", made["key_id"], "--cafe", cafe))["revoked_at"]
    [key] = await answer("apikey", "list", "--cafe", cafe)
    assert (key["key_id"], key["revoked_at"] is None, "api_key" in key) == (made["key_id"], False, False)

    add = ("user", "add", "sara@example.com", "سارا", "--cafe", cafe)
    invited = await answer(*add, "--role", "owner")
    assert (invited["role"], len(invited["code"]) > 10) == ("owner", True)
    added = await answer(*add, "--password-stdin", password=PASSWORD)
    [member] = await answer("user", "list", "--cafe", cafe)
    assert (member["user_id"], member["role"], member["display_name"]) == (added["user_id"], "staff", "سارا")
    shown = await run("user", "list", "--cafe", cafe)
    assert max(map(len, shown.stdout.splitlines())) < 80
    assert added["user_id"] in shown.stdout
    assert (await answer("user", "password", "sara@example.com"))["code"]
    by_hand = await answer("user", "password", "sara@example.com", "--password-stdin", password=f"{OTHERS}\n")
    assert by_hand == added


async def test_wrong_input_is_named_and_makes_nothing(config: Settings, database: Databases) -> None:
    pool, run = await database("identity"), crm()
    nowhere = "00000000-0000-7000-8000-0000000000ca"
    wrong = await run("cafe", "create", "A", "--calendar", "hijri")
    assert wrong.exit_code == 2
    assert "calendar" in wrong.output
    assert wrong.stdout == ""
    for words in (
        ("branch", "create", "b", "b", "--cafe", nowhere),
        ("apikey", "create", "till", "--cafe", nowhere),
        ("user", "add", "sara@example.com", "Sara", "--cafe", nowhere),
    ):
        missing = await run(*words, password=PASSWORD)
        assert missing.exit_code == 1, missing.output
        assert "no such cafe" in missing.output
    assert await pool.fetchval("SELECT count(*) FROM crm.outbox") == 0


async def test_operator_invites_a_person_who_then_has_access(config: Settings, database: Databases) -> None:
    pool, run = await database("identity"), crm()
    cafe = (await run("cafe", "create", "A")).stdout.strip()
    invited = await run("user", "add", "sara@example.com", "سارا", "--cafe", cafe, "--role", "owner")
    assert invited.exit_code == 0, invited.output
    assert "/invitations/accept" in invited.stderr
    assert "sara@example.com" not in invited.output
    assert await pool.fetchval("SELECT count(*) FROM users") == 0
    async with running(config) as app, client(app) as http:
        body = {"code": invited.stdout.strip(), "password": "violet teapot marches"}
        accepted = await http.post("/invitations/accept", json=body)
        assert (accepted.status_code, accepted.json()["role"]) == (201, "owner")
        again = await run(
            "user", "add", "sara@example.com", "سارا", "--cafe", cafe, "--password-stdin", password=OTHERS
        )
        assert (again.exit_code, again.stdout) == (1, "")
        assert "its password stays" in again.stderr.replace("\n", " ")
        signed_in = await http.post("/sessions", json={"login": "sara@example.com", "password": OTHERS})
        assert signed_in.status_code == 401


@pytest.mark.parametrize("removed", [False, True])
async def test_account_made_by_one_cafe_does_not_open_another_that_an_operator_adds_it_to(
    removed: bool, config: Settings, database: Databases
) -> None:
    pool, run = await database("identity"), crm()
    cafe_a = await a_cafe(pool, "A")
    owner = await a_person(pool, "a@example.com", cafe_a, "owner")
    cafe_b = (await run("cafe", "create", "B")).stdout.strip()
    async with running(config) as app, client(app, owner) as http:
        kept = await joins(http, cafe_a, "victim@example.com", "staff", OTHERS)
        if removed:
            await http.delete(f"/cafes/{cafe_a}/members/{kept}")
        invited = await run("user", "add", "victim@example.com", "V", "--cafe", cafe_b, "--role", "manager")
        signed_in = await http.post("/sessions", json={"login": "victim@example.com", "password": OTHERS})
        assert signed_in.status_code == 201
        headers = {"Authorization": f"Bearer {signed_in.json()['access_token']}"}
        assert (await http.get(f"/cafes/{cafe_b}/branches", headers=headers)).status_code == 404
        body = {"code": invited.stdout.strip(), "password": "violet teapot marches"}
        # Who can't prove the password begins a new account, once the old one opens nothing.
        assert (await http.post("/invitations/accept", json=body)).status_code == (201 if removed else 401)


async def test_operator_resets_a_password_by_a_code_and_by_hand(config: Settings, database: Databases) -> None:
    pool, run = await database("identity"), crm()
    sara = await a_person(pool, "sara@example.com", await a_cafe(pool), "owner")
    async with running(config) as app, client(app, sara) as http:
        made = await run("user", "password", "SARA@example.com")
        assert made.exit_code == 0, made.output
        assert "all sessions have ended" in made.stderr
        assert (await http.get("/cafes")).status_code == 401
        body = {"code": made.stdout.strip(), "new_password": "violet teapot marches"}
        assert (await http.post("/password-resets/use", json=body)).status_code == 204
        by_hand = await run("user", "password", "sara@example.com", "--password-stdin", password=f"{OTHERS}\n")
        assert (by_hand.exit_code, by_hand.stdout) == (0, "")
        for password, status in ((body["new_password"], 401), (OTHERS, 201)):
            answer = await http.post("/sessions", json={"login": sara.login, "password": password})
            assert answer.status_code == status


@pytest.mark.parametrize(
    ("words", "typed", "code", "said"),
    [
        (("password", "nobody@example.com"), None, 1, "No account has this login"),
        (("password", "nobody"), None, 2, "neither an e-mail address"),
        (("password", "sara@example.com", "--password-stdin"), "password1234", 2, "guess"),
        (("password", "sara@example.com", "--password-stdin"), "sara@example.com", 1, "guess"),
        (("add", "new@example.com", "N", "--cafe", "CAFE", "--password-stdin"), "new@example.com", 1, "guess"),
        (("add", "new@example.com", "N", "--cafe", "CAFE", "--password-stdin"), "", 2, "password"),
    ],
)
async def test_what_a_command_can_not_do_it_says(
    words: tuple[str, ...], typed: str | None, code: int, said: str, config: Settings, database: Databases
) -> None:
    pool, run = await database("identity"), crm()
    cafe = await a_cafe(pool)
    await a_person(pool, "sara@example.com", cafe, "owner")
    done = await run("user", *(str(cafe) if word == "CAFE" else word for word in words), password=typed)
    assert (done.exit_code, done.stdout) == (code, "")
    assert said in done.stderr.replace("\n", " ")
    assert await pool.fetchval("SELECT count(*) FROM users") == 1
