"""The seed schema's tables of this service exist whole, and each of its faults that concerns them is settled."""

from decimal import Decimal
from typing import Any

import pytest

from shared.clock import new_id, now
from shared.events.feedback import FeedbackReceived
from tests.campaign.conftest import Simulator, World

# The seed's columns; a sealed one carries that in its name.
SEED = {
    "campaigns": """
        id name description campaign_type target_segment estimated_recipients template_content template_variables
        scheduled_date sent_date status estimated_cost actual_cost cost_per_message messages_sent messages_delivered
        messages_failed messages_opened created_at updated_at created_by approved_by approved_at
    """,
    "campaign_deliveries": """
        id campaign_id customer_id recipient_phone_sealed recipient_name_sealed message_content
        personalized_content_sealed delivery_status delivery_attempts queued_at sent_at delivered_at opened_at
        failed_at error_code error_message message_cost provider_name provider_message_id link_clicks reply_received
    """,
    "campaign_templates": "id name template_type content variables category is_system_template created_at",
    "sms_providers": """
        id provider_name api_endpoint api_key_sealed cost_per_sms is_active priority_order daily_limit monthly_limit
        created_at
    """,
}
INDEXES = """
    idx_campaigns_type idx_campaigns_status idx_campaigns_date idx_campaigns_creator idx_deliveries_campaign
    idx_deliveries_customer idx_deliveries_status idx_deliveries_phone
"""
ENUMS = {
    "campaign_type_enum": "sms instagram email push",
    "campaign_status_enum": "draft scheduled sending sent completed cancelled failed",
    "delivery_status_enum": "queued sending sent delivered failed bounced opened",
}


async def columns(world: World, table: str) -> dict[str, Any]:
    rows = await world.pool.fetch(
        "SELECT * FROM information_schema.columns WHERE table_schema = 'public' AND table_name = $1", table
    )
    return {row["column_name"]: row for row in rows}


@pytest.mark.parametrize("table", SEED)
async def test_table_has_every_column_of_the_seed(table: str, world: World) -> None:
    assert set(SEED[table].split()) <= set(await columns(world, table))


async def test_every_index_of_the_seed_exists(world: World) -> None:
    found = {row["indexname"] for row in await world.pool.fetch("SELECT indexname FROM pg_indexes")}
    assert set(INDEXES.split()) <= found


@pytest.mark.parametrize("enum", ENUMS)
async def test_enum_has_the_labels_of_the_seed(enum: str, world: World) -> None:
    labels = await world.pool.fetchval(f"SELECT enum_range(NULL::{enum})::text[]")
    assert labels[: len(ENUMS[enum].split())] == ENUMS[enum].split()


async def test_no_foreign_key_leaves_the_service(world: World) -> None:
    rows = await world.pool.fetch(
        """
        SELECT a.attname FROM pg_constraint c
        JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = any(c.conkey) WHERE c.contype = 'f'
        """
    )
    used = {row["attname"] for row in rows}
    assert used.isdisjoint({"customer_id", "created_by", "approved_by", "visit_id"})


async def test_every_row_has_its_cafe_and_every_unique_key_begins_with_it(world: World) -> None:
    rows = await world.pool.fetch(
        """
        SELECT c.relname, i.relname AS index_name, a.attname FROM pg_index x
        JOIN pg_class c ON c.oid = x.indrelid JOIN pg_class i ON i.oid = x.indexrelid
        JOIN pg_namespace n ON n.oid = c.relnamespace
        JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = x.indkey[0]
        WHERE x.indisunique AND n.nspname = 'public' AND c.relname <> 'schema_migrations'
        """
    )
    assert len(rows) > 10
    assert {row["attname"] for row in rows} == {"cafe_id"}


async def test_money_holds_rial_and_names_its_unit(world: World) -> None:
    for table in SEED:
        found = await columns(world, table)
        money = [row for row in found.values() if row["data_type"] == "numeric"]
        assert all((row["numeric_precision"], row["numeric_scale"]) in ((18, 2), (30, 2)) for row in money)
        assert not money or "currency_unit" in found
    # 12 million Toman in Rial overflowed the seed's numeric(10, 2).
    large = Decimal("120000000.00")
    await world.pool.execute("UPDATE campaigns SET budget = $1, estimated_cost = $1, actual_cost = $1", large)
    assert (await world.campaign())["actual_cost"] == large


async def test_phone_is_in_no_clear_column(world: World, simulator: Simulator) -> None:
    await world.record_visit(await world.add_guest())
    await world.run_jobs()
    for table in (*SEED, "contacts", "consents", "segment_members", "journey_runs", "send_decisions"):
        for row in await world.pool.fetch(f"SELECT * FROM {table}"):
            assert "9121112233" not in str(dict(row))


async def test_every_column_is_filled_by_something(world: World, simulator: Simulator) -> None:
    """Journeys, a campaign, an account of the cafe's own, every kind of end: afterwards no column is empty."""
    await everything_happens(world, simulator)
    empty = []
    for table, names in SEED.items():
        for column in names.split():
            row = await world.pool.fetchrow(
                f"""
                SELECT count(*) FROM {table}
                WHERE {column} IS NOT NULL AND {column}::text NOT IN ('0', '0.00', '{{}}', '')
                """
            )
            if not row[0]:
                empty.append(f"{table}.{column}")
    assert empty == []


async def everything_happens(world: World, simulator: Simulator) -> None:
    from pydantic import SecretStr

    from services.campaign.campaigns.handlers import campaigns
    from services.campaign.campaigns.models.http import Target, WriteCampaign
    from services.campaign.channels.handlers import accounts
    from services.campaign.channels.models.http import WriteProvider
    from services.campaign.messages.handlers import openings, replies
    from services.campaign.texts import handlers as texts_handlers
    from services.campaign.texts.models.http import WriteTemplate
    from shared.database.db import transaction

    simulator.network.ends = {"09120000001": 11}
    simulator.network.refused = {"09120000002"}
    guests = [await world.add_guest(f"+98912000000{number}") for number in range(4)]
    author, approver = new_id(), new_id()
    async with transaction(world.pool) as conn:
        await accounts.add_provider(
            conn, world.config, world.cafe_id,
            WriteProvider(
                provider_name="kavenegar", api_endpoint=simulator.url, api_key=SecretStr("the-installation-s-key"),
                cost_per_sms=Decimal(1200), priority_order=1, daily_limit=900, monthly_limit=9000,
            ),
        )  # fmt: skip
        text = WriteTemplate(name="عید", content="{{name}}", variables={"name": "x"}, category="عید")
        await texts_handlers.add_template(conn, world.cafe_id, text)
        body = WriteCampaign(
            name="یلدا", description="شب یلدا", target=Target(everyone=True), template="{{name}}",
            fallbacks={"name": "دوست"},
        )  # fmt: skip
        campaign = await campaigns.write_draft(conn, world.cafe_id, author, body)
        await campaigns.schedule(conn, world.cafe_id, campaign, author, now().replace(year=now().year + 1))
        await campaigns.approve(conn, world.cafe_id, campaign, approver)
    await world.pool.execute("UPDATE campaigns SET scheduled_date = now() WHERE status = 'scheduled'")
    visits = [await world.record_visit(guest) for guest in guests]
    await world.run_jobs()
    for _ in range(3):
        simulator.network.move(everything=True)
    await world.ask("sent")
    await world.poll()
    async with transaction(world.pool) as conn:
        await replies.take_reply(conn, world.config.keys, world.cafe_id, "09120000000", "ممنون")
    answer = FeedbackReceived(
        cafe_id=world.cafe_id, occurred_at=now(), customer_id=guests[3], visit_id=visits[3].visit_id,
        feedback_id=new_id(), visit_at=None, source="sms_link", overall_rating=5,
    )  # fmt: skip
    await world.react(openings.on_feedback_received, answer)
