"""`crm cafe|branch|user|apikey`: an operator sets up a cafe, and a script can read what was made."""

import asyncio
from collections.abc import Callable
from typing import Any
from uuid import UUID

import typer
from typer.testing import CliRunner

from deploy.crm import identity_commands
from shared import auth, db
from shared.ids import parse_api_key
from shared.settings import Settings
from tests.identity.given import PASSWORD, client, running
from tests.support import Databases


def crm() -> Callable[..., Any]:
    """`await run("cafe", "create", "name")` gives the command's result."""
    app = typer.Typer()
    identity_commands.add_to(app)

    async def run(*words: str, password: str | None = None) -> Any:
        # In a thread, because a command starts an event loop of its own.
        environment = {"CRM_USER_PASSWORD": password} if password else {}
        return await asyncio.to_thread(CliRunner().invoke, app, list(words), env=environment)

    return run


async def test_operator_sets_up_a_cafe_from_nothing(config: Settings, database: Databases) -> None:
    pool, run = await database("identity"), crm()
    made = await run("cafe", "create", "كافه نادري")
    assert made.exit_code == 0, made.output
    cafe = UUID(made.stdout.strip())
    assert UUID((await run("branch", "create", "valiasr", "ولیعصر", "--cafe", str(cafe))).stdout.strip())
    added = await run(
        "user", "add", "sara@example.com", "سارا", "--cafe", str(cafe), "--role", "owner", password=PASSWORD
    )
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
