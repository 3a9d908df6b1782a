"""The catalogue is whole: every text in both languages, none beside it, none for nobody."""

import re
from typing import get_args

import pytest

from services.campaign.campaigns.models.values import DeliveryState, Step
from services.campaign.journeys.handlers.defaults import DEFAULTS
from services.campaign.journeys.models.values import TextState
from services.campaign.journeys.rules import explaining as journeys
from services.campaign.journeys.rules.beginnings import OF_RUNS
from services.campaign.messages.decide import BROKEN, CHECKS
from services.campaign.texts.models.values import Trigger
from services.campaign.texts.rules.template import EVERY_VARIABLE
from services.console.api import own
from services.console.api.chain import SORTS
from services.console.api.rendering import FOLDER, catalogue
from services.console.models.chain import CopyEnding, CopyVerdict
from services.console.rules import campaigns, counter, rewards, why
from services.console.rules.club_rules import SENTENCES
from services.console.rules.commands import COMMANDS
from services.console.rules.copying import RULES
from services.console.rules.menu import MENU
from services.console.rules.report_range import SECTIONS
from services.console.rules.rule_blanks import MENU as MENU_WORDS
from services.console.rules.rule_forms import FORMS, STACKING
from services.console.rules.words import EXPLAINED, LANGUAGES, Catalogue, flattened
from services.customer.rules import explaining as customer
from services.customer.rules.attributes import ATTRIBUTES
from services.customer.rules.causes import REASONS, VISIT
from services.feedback.handlers import explaining as feedback
from services.feedback.models.http import RatedCategory
from services.feedback.models.values import FeedbackSource
from services.loyalty.models.accounts import AdjustmentState, DebtPolicy
from services.loyalty.models.earning import WEEK, Stacking
from services.loyalty.models.grant_runs import GrantRunState
from services.loyalty.models.programs import TierPeriod
from services.loyalty.models.referrals import ReferralState
from services.loyalty.models.rehearsals import RehearsalMode, RehearsalState
from services.loyalty.models.time_terms import Downgrade
from services.loyalty.rules import explaining as loyalty
from services.loyalty.rules.redeeming import INSUFFICIENT, TAKEN
from services.visit.rules import explaining as visit
from shared.consent import Channel, Purpose
from shared.events.base import Tier
from shared.events.identity import ApprovalWhen, Role
from shared.events.loyalty import LedgerType
from shared.inputs.explaining import OUTCOMES, ExplainingService, Outcome, What
from shared.security.approval import ApprovalKind

TEMPLATES = sorted((FOLDER / "templates").glob("*.html"))
SAID = re.compile(r"""\bt\(\s*["']([a-z_.]+)["']\s*(~?)""")
CODE = re.compile(r"{#.*?#}|{%.*?%}|{{.*?}}|<[^>]*>", re.S)
IN_TAG = re.compile(r'(?:aria-label|placeholder|title|alt)="([^"{]+)"')
# Fields in which somebody wrote what they liked, in whatever script; those of a form's own values aside.
WRITTEN = re.compile(
    r"{{ \(?(?!t\(|faults|shown\.notes)[a-z_.()]*"
    r"(?:\.name|\.comment|\.notes|display_name|\.resolution|void_reason|response_text|\.campaign|device_name|names\.get\()"
    r"[^}]*}}"
)
# Keys that are put together in a template: what stands after the dot comes from there.
FAMILIES = {
    "club_rule": SENTENCES,
    "reward_limit": tuple(rewards.LIMITS),
    "why_not": counter.WHY_NOT,
    "bonus_state": get_args(GrantRunState),
    "bonus_done": ("given", "asked"),
    "referral_state": get_args(ReferralState),
    "rewards_done": ("offered", "changed", "restocked", "on", "off"),
    "segment": tuple(each.segment_key for each in DEFAULTS if each.segment_key),
    "occasion": tuple(each.replace(".", "_") for each in get_args(Trigger)),
    "to_whom": tuple(each.replace(".", "_") for each in get_args(Trigger)),
    "wording": get_args(TextState),
    "variable": tuple(EVERY_VARIABLE),
    "by_hand": get_args(AdjustmentState),
    "refusal": (INSUFFICIENT, TAKEN),
    "ledger": get_args(LedgerType),
    "tier": get_args(Tier),
    "role": get_args(Role),
    "check": tuple(CHECKS),
    "matter": get_args(ApprovalKind),
    "source": get_args(FeedbackSource),
    "category": get_args(RatedCategory),
    "run": ("waiting", "queued", "cancelled", "skipped"),
    "delivery": ("queued", "sending", "sent", "delivered", "failed", "bounced", "opened", "skipped"),
    "why": ("send", "hold", "skip"),
    "sort": ("last_visit", "points", "visits", "created"),
    "looks": ("opened", "revealed"),
    "status": ("active", "inactive", "blocked"),
    "attribute": tuple(ATTRIBUTES),
    "chain_sort": SORTS,
    "rule_name": RULES,
    "rule_says": (
        "earn_per_toman",
        "toman_per_point",
        "points_expire_days",
        "base",
        "earn",
        "multiply",
        "caps",
        "tier_grace_days",
        "warn",
        "cards",
        "birthday",
        "pending",
        "referral",
        "expiry_days",
        "expiry_month_end",
        "expiry_month_end_after",
        "expiry_year_end",
        "expiry_year_end_after",
        "expiry_never",
    ),
    "rule_value": (*get_args(TierPeriod), *get_args(DebtPolicy), *get_args(Stacking), *get_args(Downgrade)),
    "copy_step": (*get_args(CopyVerdict), *get_args(CopyEnding)),
    "operator": ("at_least", "at_most", "between", "within", "one_of", "yes", "no"),
    "row_fault": ("number", "order", "choice", "attribute", "operator", "empty"),
    "group_how": ("all", "any", "none"),
    "sentence": ("join_all", "join_any", "together", "none_of", "says_one_of", "says_yes", "says_no", "says_within"),
    "calendar": ("jalali", "gregorian"),
    "language": LANGUAGES,
    "campaign_state": get_args(campaigns.CampaignState),
    "campaign_step": campaigns.STEPS,
    "campaign_act": ("pause", "resume", "cancel"),
    "campaign_did": get_args(Step),
    "campaign_purpose": get_args(Purpose),
    "funnel": ("recipients", "allowed", "sent", "delivered", "returned"),
    "loss": ("barred", "dropped", "failed", "waiting", "undelivered", "on_the_way"),
    "guest_list": get_args(DeliveryState),
    "report_title": tuple(each.key for each in SECTIONS),
    "report_help": tuple(each.key for each in SECTIONS),
    "menu": tuple(each.key for each in MENU),
    "rehearsal_mode": get_args(RehearsalMode),
    "rehearsal_state": get_args(RehearsalState),
}
_LIMITS = {limit.key for form in FORMS for limit in form.limits}
_ALONE = ("earn_per", "point_worth", "tier_grace_days", "approval_above")
FAMILIES |= {
    "draft_kind": tuple(each.key for each in FORMS if each.key != "caps"),
    "draft_means": tuple(each.key for each in FORMS if each.place not in ("base", "caps", "warn")),
    "draft_says": (*_ALONE, *(each.key for each in FORMS if each.blanks)),
    "draft_limit": tuple(_LIMITS),
    "draft_add": tuple(_LIMITS),
    "draft_label": (*_ALONE, *{blank.path.replace(".", "_") for form in FORMS for blank in form.all_blanks}),
    "draft_choice": tuple({each for form in FORMS for blank in form.all_blanks for each in blank.choices}),
    "draft_stacking": STACKING,
    "draft_downgrade": ("by_points", "one_step"),
    "draft_word": tuple(MENU_WORDS),
    "draft_gone": ("ticked",),
    "draft_fault": ("needed", "empty", "number", "whole", "whole_toman", "clock", "day"),
}
# What an explanation names as its rule, and what it shows of its values.
RULES_TOLD = {
    *visit.RULES, *loyalty.RULES, INSUFFICIENT, TAKEN, *customer.RULES, *ATTRIBUTES, *journeys.RULES, *OF_RUNS, BROKEN,
    "left_segment", "all_checks_passed", *feedback.RULES,
}  # fmt: skip
SEEN = """
had threshold period_points most least value days one_of wanted minutes reason starts_on reentry last_at state
tier_before status cancelled_for known mobile erased recorded cases asked inside characters braces today cap ignored
from accounts unavailable bill total discount earn_per cost campaign month
stamps on_card cards completed key before_caps by room lines quantity every weekday hour to day minimum
"""
FACTS = {*(name for names in why.SAID.values() for name in names), *SEEN.split()}
FAMILIES |= {
    "told": tuple(f"{what}_{outcome}" for what, outcomes in OUTCOMES.items() for outcome in outcomes),
    "rule": tuple(RULES_TOLD),
    "fact": tuple(FACTS),
    "service": get_args(ExplainingService),
    "purpose": get_args(Purpose),
    "own_purpose": get_args(Purpose),
    "own_channel": get_args(Channel),
    "own_state": own.STATES,
    "own_state_means": own.STATES,
    "weekday": WEEK,
}
# Beginnings of keys that templates end.
MADE = ("me.theme_", "guest.done_", "club.done_", "messages.done_", "help.of_")
# What services put into free fields: what they do today has a word, and anything else is shown as it is.
OPEN_FAMILIES = {"cause", "journey", "what", "value", *(f"help_{family}" for family in EXPLAINED)}


def said() -> set[str]:
    """The keys that templates and code name whole."""
    texts = [path.read_text() for path in TEMPLATES]
    rules = FOLDER / "rules"
    paths = [
        *(FOLDER / "api").glob("*.py"),
        rules / "rule_facts.py",
        *rules.glob("*_tables.py"),
        rules / "report_views.py",
        rules / "rehearsal_views.py",
    ]
    code = " ".join(path.read_text() for path in paths)
    named = {key for text in texts for key, joined in SAID.findall(text) if not joined and not key.endswith(".")}
    named |= {each.key for each in COMMANDS}
    rooms = "trouble|redeem|reports|chain|campaigns|draft|rehearsal"
    return named | set(re.findall(rf'["\']((?:{rooms})\.(?!html)[a-z_]+)["\']', code))


def families() -> set[str]:
    """The words before the dot of keys that templates put together."""
    text = " ".join(path.read_text() for path in TEMPLATES)
    return {key.rstrip(".") for key, joined in SAID.findall(text) if joined or key.endswith(".")}


def test_families_of_explanations_have_no_word_for_nothing() -> None:
    for family in ("told", "rule", "fact", "service", "purpose"):
        known = {key.partition(".")[2] for key in catalogue().texts if key.startswith(f"{family}.")}
        assert known == set(FAMILIES[family]), family
    assert set(why.SAID) == set(OUTCOMES) == set(get_args(What))
    assert {each for outcomes in OUTCOMES.values() for each in outcomes} == set(get_args(Outcome))
    assert set(why.PICTURES) == set(get_args(ExplainingService))


def test_every_text_is_there_in_both_languages() -> None:
    for key, texts in catalogue().texts.items():
        assert set(LANGUAGES) <= set(texts) <= {*LANGUAGES, "en_one"}, key
        places = {language: sorted(re.findall(r"{(\w+)}", texts[language])) for language in LANGUAGES}
        assert places["fa"] == places["en"], key


def test_every_key_that_is_said_is_there_and_none_beside_them() -> None:
    keys = set(catalogue().texts)
    assert said() <= keys
    made = {key for key in keys if key.partition(".")[0] in {*FAMILIES, *OPEN_FAMILIES}}
    whole = {
        key
        for key in keys - made
        if not key.startswith(("segment.", "me.theme_", "guest.done_", "club.done_", "messages.done_", "help.of_"))
    }
    assert whole <= said()


def test_every_value_of_the_services_has_a_word() -> None:
    assert families() <= {
        *FAMILIES,
        *OPEN_FAMILIES,
        "guest.done_",
        "club.done_",
        "messages.done_",
        "me.theme_",
        "help.of_",
        "help_",
    }
    today = {
        "cause": (*REASONS.values(), VISIT, "profile", "definition", "time"),
        "journey": tuple(each.key for each in DEFAULTS),
        "value": (*get_args(ApprovalWhen), *get_args(Tier)),
    }
    known = {f"{name}.{value}" for name, values in today.items() for value in values}
    assert known <= set(catalogue().texts)
    missing = {f"{name}.{value}" for name, values in FAMILIES.items() for value in values} - set(catalogue().texts)
    assert not missing


@pytest.mark.parametrize("family", EXPLAINED)
def test_every_state_and_reason_has_its_sentence(family: str) -> None:
    assert catalogue().values_of(family) == catalogue().values_of(f"help_{family}")


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_template_has_no_words_of_its_own(path) -> None:
    text = path.read_text()
    rest = CODE.sub(" ", text)
    assert not re.findall(r"[^\W\d_]{2,}", rest.replace("&nbsp;", ""))
    assert not [words for words in IN_TAG.findall(text) if re.search(r"[^\W\d_]{2,}", words)]


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_what_people_wrote_stands_in_a_direction_of_its_own(path) -> None:
    text = path.read_text()
    for found in WRITTEN.finditer(text):
        before = text[: found.start()]
        in_tag = before.rfind("<") > before.rfind(">")
        in_title = before.rfind("<title>") > before.rfind("</title>")
        assert in_tag or in_title or before.endswith(("<bdi>", 'dir="auto">')), found[0]


def test_value_with_letters_is_isolated_in_its_sentence() -> None:
    known = Catalogue(flattened({"a": {"fa": "{n} · {who}", "en": "{n} · {who}"}}))
    assert known.say("en", "a", n="۵", who="مینا") == "۵ · \u2068مینا\u2069"


def test_styles_and_script_know_no_left_and_right_and_no_words() -> None:
    own = {path: path.read_text() for path in (FOLDER / "static").glob("*.*") if path.suffix in (".css", ".js")}
    for path, text in own.items():
        assert not re.findall("[\u0600-\u06ff]", text), path
        if path.suffix == ".css":
            assert not re.findall(r"(?<![\w-])(?:left|right)\b|margin-(?:left|right)|padding-(?:left|right)", text), (
                path
            )


def test_number_one_has_its_own_text() -> None:
    known = Catalogue(flattened({"a": {"b": {"fa": "{n} قلم", "en": "{n} items", "en_one": "{n} item"}}}))
    assert known.say("en", "a.b", n="1") == "1 item"
    assert known.say("en", "a.b", n="21") == "21 items"
    assert known.say("fa", "a.b", n="۱") == "۱ قلم"
    with pytest.raises(KeyError):
        known.say("fa", "a.c")
