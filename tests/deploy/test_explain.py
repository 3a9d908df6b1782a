"""`crm explain`: the chain of a visit and of a guest over all services; loud when the ledger says something else."""

import asyncio
import random

import asyncpg
import pytest
from click.testing import Result
from typer.testing import CliRunner

from deploy.crm import explaining
from deploy.crm.main import app
from deploy.demo import till
from shared.settings import Settings
from tests.chaos.house import House, open_house
from tests.deploy.test_audit import VISITS, lived_in
from tests.support import Databases


@pytest.fixture
async def house(config: Settings, database: Databases) -> House:
    """All services on fresh databases."""
    return await open_house(config, database, random.Random(6))


async def run(*words: str) -> Result:
    return await asyncio.to_thread(CliRunner().invoke, app, list(words))


async def break_the_books(database: Databases) -> None:
    owner = await asyncpg.connect(await database.owner_dsn("loyalty"))
    await owner.execute("UPDATE visit_earnings SET final_amount = final_amount + 50000 WHERE state <> 'voided'")
    await owner.close()


async def test_chain_of_a_visit_and_of_a_guest_is_told_by_all_services(house: House) -> None:
    cafe_id = await lived_in(house)
    visit_id = await house.pools["visit"].fetchval("SELECT id FROM customer_visits WHERE receipt_number = '4'")
    answer = await run("explain", str(visit_id))
    assert answer.exit_code == 0, answer.output
    told = (
        "visit: correction corrected", "loyalty: points earned by program", "customer: segment inside by criteria",
        "campaign: journey not_enrolled by too_late", "feedback: link open",
    )  # fmt: skip
    for line in told:
        assert line in answer.stdout, line
    assert "in the way: too_late" in answer.stdout
    phone = till.phone_of(1)
    answer = await run("explain", phone, "--cafe", str(cafe_id))
    assert answer.exit_code == 0, answer.output
    assert "loyalty: balance agrees" in answer.stdout
    assert "customer: stay entered by " in answer.stdout
    assert phone not in answer.stdout
    assert (await run("explain", phone)).exit_code == 2
    assert (await run("explain", "nonsense")).exit_code == 2
    assert (await run("explain", "00000000-0000-7000-8000-000000000009")).exit_code == 2


async def test_books_that_say_something_else_end_it_with_one(house: House, database: Databases) -> None:
    cafe_id = await lived_in(house)
    answer = await run("audit", "--explain", "100")
    assert answer.exit_code == 0, answer.output
    assert f"explained {VISITS + 1} bills" in answer.stderr
    await break_the_books(database)
    answer = await run("explain", till.phone_of(1), "--cafe", str(cafe_id))
    assert answer.exit_code == 1
    assert "loyalty: balance differs" in answer.stdout
    assert "not what the ledger says" in answer.stderr
    answer = await run("audit", "--explain", "100", "--second-look", "0", "--cafe", str(cafe_id))
    assert answer.exit_code == 1
    assert "explained_points_are_the_ledger (loyalty)" in answer.stdout


async def test_bill_that_spends_and_bill_of_nobody_are_explained(house: House) -> None:
    await lived_in(house)
    pool = house.pools["visit"]
    rows = await pool.fetch("SELECT receipt_number, id FROM customer_visits")
    ids = {row["receipt_number"]: row["id"] for row in rows}
    async with explaining.opened(house.config) as connections:
        steps = {}
        for receipt in (str(VISITS), str(VISITS + 1), "5"):
            found = await explaining.find_visit(connections["visit"], ids[receipt], None)
            assert found
            steps[receipt] = {(step.what, step.outcome) for step in await explaining.explain(connections, found)}
    assert ("guest", "nobody") in steps[str(VISITS)]
    assert not {what for what, _ in steps[str(VISITS)]} & {"points", "segment", "journey"}
    assert ("redemption", "completed") in steps[str(VISITS + 1)]
    assert {("bill", "voided"), ("void", "voided"), ("points", "voided"), ("link", "closed")} <= steps["5"]
