"""Texts, parts, hours and checks: nothing here needs a server."""

from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.campaign.audience.models.values import Contact, Notice
from services.campaign.channels.models.values import DeliveryReceipt, Provider, SendResult
from services.campaign.channels.rules import sms_address_of, sms_render
from services.campaign.journeys.handlers.defaults import DEFAULTS
from services.campaign.messages.decide import CHECKS, Facts, decide, decide_all, write_text
from services.campaign.messages.models.values import CafeRules, Decided, Handed, MessageFacts, Pending, SentSoFar
from services.campaign.messages.rules import pace, settling
from services.campaign.texts.rules import template, wording
from services.campaign.texts.rules.parts import count_parts
from shared.errors import Rejected

NOON = datetime(2026, 11, 24, 8, 30, tzinfo=UTC)  # 12:00 in Tehran
CAFE = CafeRules(
    cafe_id=UUID(int=1), name="نمونه", time_zone="Asia/Tehran", calendar="jalali", quiet_from=time(22),
    quiet_until=time(9), is_active=True, guest_daily_cap=3, monthly_budget=None,
)  # fmt: skip
PROVIDER = Provider(
    id=UUID(int=3), cafe_id=UUID(int=1), provider_name="kavenegar", api_endpoint=None, api_key_sealed=None,
    sender_line=None, cost_per_sms=Decimal(100), is_active=True, priority_order=1, daily_limit=None,
    monthly_limit=None,
)  # fmt: skip
PENDING = Pending(
    id=UUID(int=4), cafe_id=UUID(int=1), campaign_id=UUID(int=5), customer_id=UUID(int=6), trigger_id=UUID(int=9),
    visit_id=None, local_id=7, template="t", fallbacks={}, purpose="marketing", ignores_quiet_hours=False, budget=None,
    spent=Decimal(0), campaign_status="sending", queued_at=NOON, expires_at=NOON + timedelta(days=1), attempts=0,
    provider_id=None, refused_by=(), correlation_id=UUID(int=8), causation_id=None, channel="sms",
)  # fmt: skip
CONTACT = Contact(
    phone="+989121112233", name="سارا", status="active", line_blocked=False, erased=False, consents={"marketing": True}
)
HANDED = Handed(
    id=UUID(int=4), cafe_id=UUID(int=1), campaign_id=UUID(int=5), customer_id=UUID(int=6), provider_id=UUID(int=3),
    provider_name="kavenegar", local_id=7, provider_message_id=None, status="sending", parts=2, cost=Decimal(200),
    day=NOON.date(), sending_at=NOON, sent_at=None, correlation_id=UUID(int=8), causation_id=None,
)  # fmt: skip


def facts(**changes: Any) -> Facts:
    values = {
        "pending": PENDING, "cafe": CAFE, "contact": CONTACT, "stays": {}, "text": "سلام", "parts": 1,
        "providers": (PROVIDER,), "tally": SentSoFar(), "moment": NOON,
    } | changes  # fmt: skip
    contact = values["contact"]
    return Facts(**({"address": contact and sms_address_of(contact)} | values))


# --- texts ---


def test_values_are_filled_in_and_missing_ones_fall_back() -> None:
    content = "{{name}}! {{ cafe }} {{link}} {{ {{x"
    text = template.render(content, {"name": None, "cafe": "ک", "link": "http://l"}, {"name": "مهمان"})
    assert text == "مهمان! ک http://l {{ {{x"


def test_what_is_filled_in_is_not_looked_at_again() -> None:
    assert template.render("{{name}}", {"name": "{{cafe}}", "cafe": "x"}, {}) == "{{cafe}}"


@pytest.mark.parametrize("nasty", ["{name.__class__}", "{0}", "%(name)s", "${name}", "{% for %}", "{{name.__class__}}"])
def test_other_template_languages_are_plain_text(nasty: str) -> None:
    assert template.render(nasty, {"name": "x"}, {}) == nasty


@given(st.text(max_size=200), st.dictionaries(st.sampled_from(["name", "cafe", "link"]), st.text(max_size=50)))
def test_rendering_never_fails(content: str, values: dict[str, str]) -> None:
    template.render(content, values, {})


@pytest.mark.parametrize(
    ("content", "fallbacks", "code"),
    [
        ("{{phone}}", {}, "unknown_variable"),
        ("{{link}}", {}, "unknown_variable"),
        ("{{name}}", {"name": "y", "cafe": "x"}, "unused_fallback"),
        *(
            (slip, {}, "unknown_variable")
            for slip in (
                "{{Name}}",
                "{{ NAME }}",
                "{{نام}}",
                "{{first name}}",
                "{{name}",
                "name}}",
                "سلام {{name",
                "{{}}",
                "{{name.x}}",
                "{{na\u200cme}}",
                "\uff5b\uff5bname\uff5d\uff5d",
                "{{\nname}}",
                "{{Name|دوست}}",
            )
        ),
        ("{{name}} عزیز", {}, "fallback_needed"),
        ("{{name}} عزیز", {"name": " "}, "fallback_needed"),
        ("{{name|}} عزیز", {}, "fallback_needed"),
        ("{{name|دوست}} و {{name|مهمان}}", {}, "two_fallbacks"),
        ("{{name|دوست}}", {"name": "مهمان"}, "two_fallbacks"),
        ("{{name}}", {"name": "{{cafe}}"}, "braces_in_fallback"),
        (" \u200c ", {}, "wrong_length"),
        ("م" * 901, {}, "wrong_length"),
    ],
)
def test_faulty_text_is_refused_when_saved(content: str, fallbacks: dict[str, str], code: str) -> None:
    with pytest.raises(Rejected) as refused:
        wording.check_text(content, fallbacks, template.VARIABLES[None])
    assert {problem.code for problem in refused.value.problems} == {code}


def test_unknown_variable_is_named_with_those_there_are_and_no_number_is_repeated() -> None:
    with pytest.raises(Rejected) as refused:
        wording.check_text("{{Point}} {{09121112233}}", {}, template.VARIABLES[None], ("content", "variables"))
    first, second = refused.value.problems
    assert first.field == "content"
    assert all("Point" in text and "{{cafe}}, {{name}}" in text for text in (first.en, first.fa))
    assert "09121112233" not in second.en + second.fa


def test_fallback_is_written_inside_or_beside_the_text() -> None:
    known = template.VARIABLES[None]
    inside = wording.check_text("{{ name | دوست من }} عزیز از {{cafe}}", {}, known)
    assert inside == wording.check_text("{{name}} عزیز از {{cafe}}", {"name": "دوست من"}, known)
    assert template.render(inside.content, {"cafe": "ک"}, inside.fallbacks) == "دوست من عزیز از ک"


@pytest.mark.parametrize(
    ("content", "codes"),
    [
        ("سلام {name}", {"looks_like_a_variable"}), ("سلام %name%", {"looks_like_a_variable"}),
        ("سلام $name", {"looks_like_a_variable"}), ("سلام ${name}", {"looks_like_a_variable"}),
        ("سلام [نام]", {"looks_like_a_variable"}), ("سلام } ما", {"stray_brace"}), ("{{{cafe}}}", {"stray_brace"}),
        ("۲۰٪ تخفیف، 50% و 20% دیگر، $5 و {{cafe}}", set()),
        ("{{Old}} {{name}}", {"unknown_variable", "fallback_needed"}),
    ],
)  # fmt: skip
def test_what_looks_like_a_slip_is_told_of(content: str, codes: set[str]) -> None:
    found = wording.warnings_of(content, {}, template.VARIABLES[None])
    assert {remark.code for remark in found} == codes
    assert all(remark.fa and remark.en for remark in found)


@given(st.text(alphabet="{}|name %$[]<>\nا", max_size=60))
def test_text_that_is_taken_leaves_no_double_brace_to_a_guest(content: str) -> None:
    try:
        text = wording.check_text(content, {}, template.VARIABLES[None])
    except Rejected:
        return
    assert wording.is_whole(text.content)


def test_text_from_before_fallbacks_were_asked_for_never_begins_with_a_comma() -> None:
    assert template.render("{{name}} عزیز، سلام", {"name": None}, {}) == "مهمان عزیز، سلام"
    assert template.render("Dear {{name}}", {"name": None}, {}) == "Dear guest"


def test_texts_that_cafes_begin_with_pass() -> None:
    for each in DEFAULTS:
        known = template.VARIABLES[each.trigger]
        assert wording.check_text(each.content, each.fallbacks, known) == wording.Wording(each.content, each.fallbacks)
        assert wording.warnings_of(each.content, each.fallbacks, known) == []


def test_advertising_ends_with_the_stop_line_once() -> None:
    once = template.with_stop_line("بیایید ", "marketing")
    assert once == "بیایید\nلغو۱۱"
    assert template.with_stop_line(once, "marketing") == once
    assert template.with_stop_line("ممنون", "service") == "ممنون"


@pytest.mark.parametrize("name", ["سارا", "علی‌رضا محمدی", "Sara O'Hara"])
def test_names_are_presentable(name: str) -> None:
    assert template.presentable(name) == name


@pytest.mark.parametrize("name", [None, "", "  ", "http://x.ir", "bit.ly/x", "a@b", "www", "برنده ۱۰۰", "x" * 41])
def test_names_that_could_carry_a_link_are_not_presentable(name: str | None) -> None:
    assert template.presentable(name) is None


# --- parts ---


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", 1), ("م" * 70, 1), ("م" * 71, 2), ("م" * 134, 2), ("م" * 135, 3),
        ("a" * 160, 1), ("a" * 161, 2), ("a" * 306, 2), ("a" * 307, 3),
        ("€" * 80, 1), ("€" * 81, 2), ("a" * 160 + "م", 3),
        ("😀" * 35, 1), ("😀" * 36, 2), ("م" * 66 + "😀" * 3 , 2), ("é" * 160, 1), ("ê" * 160, 3),
    ],
)  # fmt: skip
def test_parts_are_counted_as_operators_bill(text: str, parts: int) -> None:
    assert count_parts(text) == parts


def test_character_of_two_places_is_not_torn_apart() -> None:
    # 152 + 2: the euro sign does not fit into the last place of the first part.
    assert count_parts("a" * 152 + "€" + "a" * 152) == 3
    assert count_parts("a" * 152 + "aa" + "a" * 152) == 2


# --- when ---


@pytest.mark.parametrize(
    ("hour", "minute", "until"),
    [
        (21, 59, None), (22, 0, (25, 9)), (23, 59, (25, 9)), (0, 0, (24, 9)), (8, 59, (24, 9)), (9, 0, None),
    ],
)  # fmt: skip
def test_quiet_hours_over_midnight(hour: int, minute: int, until: tuple[int, int] | None) -> None:
    tehran = datetime.fromisoformat("2026-11-24T00:00:00+03:30").replace(hour=hour, minute=minute)
    end = pace.quiet_until(CAFE, tehran.astimezone(UTC))
    assert (end and (end.day, end.hour)) == until


def test_quiet_hours_within_a_day_and_none_at_all() -> None:
    siesta = replace(CAFE, quiet_from=time(11), quiet_until=time(13))
    assert pace.quiet_until(siesta, NOON) == NOON + timedelta(hours=1)
    assert pace.quiet_until(replace(CAFE, quiet_from=time(12), quiet_until=time(12)), NOON) is None


def test_receipts_are_asked_for_less_and_less_and_then_no_more() -> None:
    pauses = [
        (pace.next_receipt_check(NOON, NOON + age) or NOON) - (NOON + age)
        for age in (timedelta(0), timedelta(minutes=5), timedelta(hours=1), timedelta(hours=12))
    ]
    assert pauses == sorted(pauses)
    assert pace.next_receipt_check(NOON, NOON + timedelta(hours=48)) is None


# --- whether ---


def test_all_checks_are_named_in_order() -> None:
    decision = decide(facts())
    assert (decision.outcome, decision.provider) == ("send", PROVIDER)
    assert [check.check for check in decision.checks] == list(CHECKS)


@pytest.mark.parametrize(
    ("changes", "outcome", "reason"),
    [
        ({"pending": replace(PENDING, campaign_status="cancelled")}, "skip", "campaign"),
        ({"pending": replace(PENDING, expires_at=NOON)}, "skip", "expiry"),
        ({"cafe": None}, "skip", "cafe"),
        ({"cafe": replace(CAFE, is_active=False)}, "skip", "cafe"),
        ({"contact": None}, "hold", "contact"),
        ({"contact": replace(CONTACT, phone=None, erased=True)}, "skip", "contact"),
        ({"contact": replace(CONTACT, phone="+982188776655")}, "skip", "contact"),
        ({"contact": replace(CONTACT, status="blocked")}, "skip", "status"),
        ({"contact": replace(CONTACT, status="inactive")}, "skip", "status"),
        ({"contact": replace(CONTACT, line_blocked=True)}, "skip", "line"),
        ({"contact": replace(CONTACT, consents={})}, "skip", "consent"),
        ({"contact": replace(CONTACT, consents={"marketing": False})}, "skip", "consent"),
        ({"contact": replace(CONTACT, complaints=[UUID(int=9)])}, "skip", "complaint"),
        ({"text": "م" * 901}, "skip", "text"),
        ({"tally": SentSoFar(today={PENDING.customer_id: 3})}, "skip", "frequency_cap"),
        ({"moment": NOON + timedelta(hours=11)}, "hold", "quiet_hours"),
        ({"providers": ()}, "hold", "provider"),
        ({"providers": (replace(PROVIDER, is_active=False),)}, "hold", "provider"),
        ({"providers": (replace(PROVIDER, daily_limit=0),)}, "hold", "provider"),
        ({"providers": (replace(PROVIDER, monthly_limit=0),)}, "hold", "provider"),
        ({"pending": replace(PENDING, refused_by=(PROVIDER.id,))}, "hold", "provider"),
        ({"pending": replace(PENDING, budget=Decimal(99))}, "skip", "budget"),
        ({"pending": replace(PENDING, budget=Decimal(199), spent=Decimal(100))}, "skip", "budget"),
        ({"cafe": replace(CAFE, monthly_budget=Decimal(99))}, "skip", "budget"),
    ],
)
def test_each_check_stops_the_message_and_is_its_reason(changes: dict[str, Any], outcome: str, reason: str) -> None:
    decision = decide(facts(**changes))
    assert (decision.outcome, decision.reason) == (outcome, reason)
    assert decision.checks[-1].check == reason
    assert [check.passed for check in decision.checks] == [True] * (len(decision.checks) - 1) + [False]


@pytest.mark.parametrize(
    ("stays", "of_this_stay", "passed"),
    [
        ({}, False, False),
        ({"others": PENDING.trigger_id}, False, False),
        ({"vip": UUID(int=1)}, False, True),
        ({"vip": UUID(int=1)}, True, False),
        ({"vip": PENDING.trigger_id}, True, True),
    ],
)
def test_guest_must_still_be_in_the_segment(stays: dict[str, UUID], of_this_stay: bool, passed: bool) -> None:
    pending = replace(PENDING, segments=("vip", "regulars"), of_this_stay=of_this_stay)
    decision = decide(facts(pending=pending, stays=stays))
    assert decision.reason == ("all_checks_passed" if passed else "left_segment")


@pytest.mark.parametrize(("age", "again"), [(0, 1), (1, 1), (10, 5), (1800, 900)])
def test_contact_under_way_is_looked_for_at_once_and_then_ever_more_rarely(age: int, again: int) -> None:
    moment = NOON + timedelta(seconds=age)
    assert decide(facts(contact=None, moment=moment)).hold_until == moment + timedelta(seconds=again)


def test_service_message_needs_no_consent_but_heeds_a_withdrawal() -> None:
    service = replace(PENDING, purpose="service")
    assert decide(facts(pending=service, contact=replace(CONTACT, consents={}))).outcome == "send"
    refused = replace(CONTACT, consents={"service": False})
    assert decide(facts(pending=service, contact=refused)).reason == "consent"
    assert decide(facts(pending=service, contact=replace(CONTACT, status="inactive"))).outcome == "send"


def test_hold_beyond_expiry_is_a_skip() -> None:
    soon = replace(PENDING, expires_at=NOON + timedelta(hours=12))
    decision = decide(facts(pending=soon, moment=NOON + timedelta(hours=11)))
    assert (decision.outcome, decision.reason, decision.hold_until) == ("skip", "quiet_hours", None)


def test_providers_are_asked_by_priority_and_the_pinned_one_alone() -> None:
    first = replace(PROVIDER, id=UUID(int=9), priority_order=0)
    assert decide(facts(providers=(PROVIDER, first))).provider == first
    pinned = replace(PENDING, provider_id=PROVIDER.id)
    assert decide(facts(providers=(PROVIDER, first), pending=pinned)).provider == PROVIDER
    assert decide(facts(providers=(first,), pending=pinned)).reason == "provider"


# --- what became of it ---


def step(result: SendResult, **changes: Any) -> Any:
    return settling.after_send(replace(HANDED, **changes), result, NOON)


def test_unknown_outcome_stays_and_is_asked_about() -> None:
    settled = step(SendResult("unknown"))
    assert (settled.status, settled.check_at) == ("sending", NOON + pace.UNKNOWN_AFTER)
    assert settling.effects_of(HANDED, settled) == settling.Effects()


def test_refusal_unpins_and_gives_everything_back() -> None:
    settled = step(SendResult("refused", code="418"))
    assert (settled.status, settled.refused_by, settled.unpinned) == ("queued", HANDED.provider_id, True)
    effects = settling.effects_of(HANDED, settled)
    assert (effects.reserved, effects.messages_used, effects.cost_used, effects.failed) == (-200, -1, -200, 0)


def test_missing_message_is_put_back_with_its_provider() -> None:
    settled = settling.after_find(HANDED, DeliveryReceipt("missing", "100"), NOON + timedelta(hours=11))
    assert settled is not None
    assert (settled.status, settled.unpinned) == ("queued", False)


def test_missing_message_is_not_sent_again_after_the_window() -> None:
    for receipt in (DeliveryReceipt("missing", "100"), None):
        settled = settling.after_find(HANDED, receipt, NOON + timedelta(hours=13))
        assert settled is not None
        assert (settled.status, settled.error_code) == ("failed", "outcome_unknown")
        # It may have been sent, so it stays paid for.
        assert settling.effects_of(HANDED, settled).cost == 200
    assert settling.after_find(HANDED, None, NOON + timedelta(hours=1)) is None


def test_second_word_about_a_settled_message_changes_nothing() -> None:
    for status in ("delivered", "failed", "bounced", "opened"):
        assert settling.after_receipt(replace(HANDED, status=status), DeliveryReceipt("delivered", "10"), NOON) is None
        assert step(SendResult("accepted", "1"), status=status) is None


def test_cost_of_the_answer_replaces_the_expected_one() -> None:
    settled = step(SendResult("accepted", "1", Decimal(260)))
    effects = settling.effects_of(HANDED, settled)
    assert (effects.sent, effects.cost, effects.reserved, effects.cost_used) == (1, 260, -200, 60)


# --- a batch ---


def looked_up(number: int = 1, guest: int = 6, **changes: Any) -> MessageFacts:
    pending = replace(PENDING, id=UUID(int=number), customer_id=UUID(int=guest), **changes.pop("pending", {}))
    values = {"cafe": CAFE, "contact": CONTACT, "address": CONTACT.phone, "accounts": (PROVIDER,)} | changes
    return MessageFacts(pending, **values)


def decided(*batch: MessageFacts, sent: SentSoFar | None = None) -> list[Decided]:
    return decide_all(batch, sent or SentSoFar(), lambda _, text: sms_render(text), NOON)


def test_each_message_counts_against_those_after_it_and_nothing_is_counted_for_good() -> None:
    sent = SentSoFar(today={UUID(int=6): 2})
    found = decided(looked_up(1), looked_up(2), looked_up(3, guest=7), sent=sent)
    assert [each.decision.reason for each in found] == ["all_checks_passed", "frequency_cap", "all_checks_passed"]
    assert [(each.parts, each.cost) for each in found] == [(1, 100), (1, 0), (1, 100)]
    assert sent == SentSoFar(today={UUID(int=6): 2})


def test_message_that_is_broken_harms_no_other() -> None:
    fault = ValueError("x")
    worse: Any = {"pending": {"fallbacks": ["x"], "template": "{{cafe}}"}, "cafe": None}
    found = decided(looked_up(1, fault=fault), looked_up(2), looked_up(3, **worse))
    assert [each.decision.reason for each in found] == ["broken", "all_checks_passed", "broken"]
    assert found[0].fault is fault
    assert found[2].fault is not None


def test_budget_that_waits_for_a_price_is_left_only_where_something_goes() -> None:
    budget = {"budget": Decimal(250), "spent": Decimal(0)}
    going = decided(looked_up(1, pending=budget), looked_up(2, guest=7, pending=budget))
    assert [(each.decision.outcome, each.is_left) for each in going] == [("send", False), ("hold", True)]
    waiting = {"budget": Decimal(250), "spent": Decimal(100), "reserved": Decimal(100)}
    still = decided(looked_up(1, pending=waiting))
    assert [(each.decision.outcome, each.decision.reason, each.is_left) for each in still] == [
        ("hold", "budget", False)
    ]
    # Somebody else's hours have nothing to do with a price.
    night = replace(CAFE, quiet_from=time(11), quiet_until=time(13))
    asleep = decided(looked_up(1, pending={"ignores_quiet_hours": True}), looked_up(2, guest=7, cafe=night))
    assert [(each.decision.outcome, each.is_left) for each in asleep] == [("send", False), ("hold", False)]


def test_text_is_written_from_what_was_looked_up() -> None:
    content = "{{name}} {{cafe}} {{link}} {{rating}} {{table}}"
    known = looked_up(pending={"template": content}, link="https://l", notice=Notice(UUID(int=1), 2, "۵"))
    assert write_text(known) == "سارا نمونه https://l ۲ میز ۵\nلغو۱۱"
