"""What erasure does with every column that can hold words. A new column must say so here; the whole is tried in
tests/e2e/test_forgetting.py."""

import asyncpg
import pytest

from shared.services import WITH_DATABASE
from tests.support import Databases

COLUMNS = """
SELECT c.relname || '.' || a.attname FROM pg_attribute a
JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_type t ON t.oid = a.atttypid
WHERE n.nspname IN ('public', 'crm') AND c.relkind IN ('r', 'p') AND NOT c.relispartition
  AND c.relname <> 'schema_migrations' AND a.attnum > 0 AND NOT a.attisdropped
  AND t.typname IN ('text', 'varchar', 'json', 'jsonb', 'bytea', 'inet', '_text', '_varchar', 'bpchar', 'xml', '_bytea')
ORDER BY 1
"""
# Kept.
OURS = "a code, a key or a count that our own code writes"
MACHINE = "an identifier that a till or a provider made"
CAFE = "the cafe's own: its names, texts, settings and rules"
STAFF = "somebody of the staff, or a credential"
# Not kept.
EMPTIED = "emptied when the guest is erased"
GONE = "its row is deleted when the guest is erased"
PASSING = "there until the broker has it"

COMMON = {
    CAFE: "cafes.approval_when cafes.name cafes.time_zone cafes.calendar cafes.currency_unit till_keys.device_name",
    STAFF: "user_cafe_access.role till_keys.key_id till_keys.key_hash till_keys.signing_key_sealed till_keys.scopes",
    PASSING: "outbox.topic outbox.key outbox.type outbox.headers outbox.payload",
    OURS: "facts.name facts.value positions.topic"
    " parked.topic parked.event_type parked.trace parked.reason parked.detail parked.resolution",
    EMPTIED: "parked.key parked.event_id parked.headers_sealed parked.body_sealed",
}
OF_SERVICE: dict[str, dict[str, str]] = {
    "identity": {
        CAFE: "cafes.language branches.code branches.name policy_steps.before policy_steps.after",
        OURS: "policy_steps.step",
        STAFF: "user_cafe_access.display_name users.password_hash user_logins.login_hash user_logins.kind"
        " invitations.code_hash invitations.login_hash invitations.login_sealed invitations.role"
        " invitations.display_name sessions.seed sessions.device_name sessions.address password_resets.code_hash"
        " user_logins.login_sealed login_attempts.login_hash signing_keys.key_id signing_keys.private_key_sealed"
        " signing_keys.public_key",
    },
    "customer": {
        EMPTIED: "customers.phone_sealed customers.phone_hash customers.phone_last4 customers.name"
        " customers.name_english customers.name_key customers.email_sealed customers.notes_sealed"
        " customers.preferences customers.address_sealed customers.city customers.city_key customers.postal_code"
        " consent_history.source",
        GONE: "consents.source",
        OURS: "customer_activity.currency_unit segment_history.reason segment_history.left_reason"
        " guest_views.kind"
        " segment_recalculations.reason",
        CAFE: "customer_segments.name customer_segments.description customer_segments.segment_key"
        " customer_segments.criteria customer_segments.color_hex customer_segments.icon_name",
    },
    "visit": {
        EMPTIED: "customer_visits.items_ordered customer_visits.table_number customer_visits.server_name"
        " customer_visits.visit_notes customer_visits.attributes customer_visits.words_sealed"
        " customer_visits.void_reason visit_receipts.void_reason hand_entries.body_sealed",
        GONE: "guests.phone_hash guest_consents.source",
        MACHINE: "customer_visits.device_id customer_visits.receipt_number visit_receipts.device_id"
        " visit_receipts.receipt_number till_devices.device_id device_gaps.device_id",
        OURS: "hand_entries.kind hand_entries.state"
        " customer_visits.currency_unit customer_visits.feedback_categories customer_visits.redemption_refusal"
        " visit_receipts.fingerprint visit_receipts.corrected_fingerprint visit_receipts.dated_ahead",
        # A name that stands on the bills of several guests, and so is the cafe's own.
        CAFE: "branches.code branches.name dish_months.name",
    },
    "loyalty": {
        EMPTIED: "loyalty_transactions.order_reference redemptions.order_reference adjustments.order_reference"
        " vouchers.order_reference"
        " adjustments.reason",
        MACHINE: "visit_earnings.device_id visit_earnings.receipt_number visit_earnings.facts redemptions.till_key_id"
        " referral_codes.code referrals.till_key_id"
        " vouchers.till_key_id",
        OURS: "notices.kind notices.occasion program_proposals.state club_figures.what club_changes.what"
        " customer_loyalty.currency_unit loyalty_transactions.description loyalty_transactions.notes"
        " loyalty_transactions.currency_unit visit_earnings.state visit_earnings.currency_unit redemptions.refusal"
        " visit_earnings.parts customer_loyalty.counts customer_loyalty.cards vouchers.state"
        " grants.occasion grants.state referrals.state referrals.reason"
        " grant_runs.kind grant_runs.state"
        # Ids of guests and numbers.
        " rehearsals.mode rehearsals.state rehearsals.report rehearsals.error rehearsal_guests.guests",
        # Why a group of guests gets something, not a word about one.
        CAFE: "grant_runs.segment_keys grant_runs.reason"
        " rewards.key reward_versions.name reward_versions.conditions segment_moves.segment_key"
        " programs.rules program_proposals.rules programs.earning programs.menu_codes program_proposals.earning"
        " rehearsals.rules rehearsals.menu_codes vouchers.card_key vouchers.card_name vouchers.reward",
    },
    "campaign": {
        STAFF: "duty_people.phone_sealed duty_people.phone_hash duty_people.label",
        EMPTIED: "contacts.phone_sealed contacts.phone_hash contacts.name_sealed"
        " campaign_deliveries.recipient_phone_sealed campaign_deliveries.recipient_phone_hash"
        " campaign_deliveries.recipient_name_sealed campaign_deliveries.personalized_content_sealed"
        " campaign_deliveries.error_message",
        GONE: "consents.source segment_members.segment_key segment_members.reason unclear_replies.words_sealed",
        MACHINE: "campaign_deliveries.provider_message_id",
        OURS: "case_notices.table_number campaigns.failure_reason campaign_results.outcome campaign_results.reason"
        " campaign_days.what campaign_days.reason"
        " unclear_replies.settled_as campaign_trail.what campaign_trail.detail journey_versions.state"
        " sms_providers.last_error contacts.language campaign_deliveries.error_code campaign_deliveries.currency_unit"
        " campaign_deliveries.provider_name send_decisions.reason send_decisions.checks journey_runs.reason"
        " campaigns.currency_unit sms_providers.currency_unit messaging_settings.currency_unit",
        # `message_content` is the template, before any name is put in.
        CAFE: "cafe_segments.keys cafe_segments.off_keys"
        " journey_versions.template_content journey_versions.template_variables"
        " campaign_deliveries.message_content campaigns.name campaigns.description campaigns.target_segment"
        " campaigns.template_content campaigns.template_variables campaign_templates.name campaign_templates.content"
        " campaign_templates.variables campaign_templates.category journeys.journey_key journeys.name"
        " journeys.segment_key sms_providers.provider_name sms_providers.api_endpoint sms_providers.api_key_sealed"
        " sms_providers.sender_line journeys.starts_on journeys.reentry"
        " journey_versions.starts_on",
    },
    "feedback": {
        EMPTIED: "customer_feedback.comment customer_feedback.comment_language customer_feedback.source_reference"
        " customer_feedback.table_number customer_feedback.response_text customer_feedback.device_info"
        " customer_feedback.ip_address feedback_cases.resolution visits.table_number",
        CAFE: "feedback_points.branch feedback_points.table_number feedback_points.label",
        OURS: "feedback_points.code feedback_points.kind"
        " customer_feedback.category_ratings customer_feedback.feedback_categories"
        " customer_feedback.currency_unit visits.currency_unit feedback_links.token_sha256",
    },
}


def told(service: str) -> dict[str, str]:
    """Column -> what erasure does with it."""
    lists = [*COMMON.items(), *OF_SERVICE[service].items()]
    return {column: what for what, columns in lists for column in columns.split()}


@pytest.mark.parametrize("service", WITH_DATABASE)
async def test_every_column_that_can_hold_words_says_what_erasure_does_with_it(
    service: str, database: Databases
) -> None:
    conn = await asyncpg.connect(await database.owner_dsn(service))
    try:
        there = {row[0] for row in await conn.fetch(COLUMNS)}
        assert there - told(service).keys() == set(), "say in this file what erasure does with these, and do it"
        assert told(service).keys() - there == set(), "these are no more"
        await conn.execute("CREATE TABLE new (cafe_id uuid, words text)")
        assert {row[0] for row in await conn.fetch(COLUMNS)} - told(service).keys() == {"new.words"}
    finally:
        await conn.close()
