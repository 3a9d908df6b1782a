"""Deadlines, sources, language, tone and topics."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import given as each
from hypothesis import strategies as st

from services.feedback import rules
from services.feedback.models.values import Link, RatedVisit
from shared.persian.text import search_key
from tests.feedback.given import EVENING


@pytest.mark.parametrize(
    "comment",
    [
        "خیلی خوب بود",
        "عالیه",
        "قهوه‌اش خوشمزه‌ست",
        "بد نبود",
        "بدون تأخیر",
        "من راضی‌ام",
        "كيك عالي بود",  # an Arabic keyboard
        "این‌جا را دوست داشتم",
        "khoob bood",
        "Great coffee, friendly staff",
        "wasn't bad",
    ],
)
def test_sentiment_of_praise_is_positive(comment: str) -> None:
    tone = rules.sentiment_of(comment)
    assert tone is not None
    assert tone > 0


@pytest.mark.parametrize(
    "comment",
    [
        "خوب نبود",
        "اصلاً راضی نیستم",
        "پیشنهاد نمی‌کنم",
        "قهوه سرد بود",
        "گارسون خیلی بی‌ادب بود",
        "این‌جا را دوست نداشتم",
        "افتضاح",
        "kheili bad bood",
        "The waiter was rude",
        "not good at all",
        "I can't recommend it",
    ],
)
def test_sentiment_of_complaint_is_negative(comment: str) -> None:
    tone = rules.sentiment_of(comment)
    assert tone is not None
    assert tone < 0


@pytest.mark.parametrize("comment", [None, "", "سلام", "میز کنار پنجره", "see you on Monday", "نان گندم", "کیک خامه‌ای"])
def test_sentiment_is_silent_without_a_known_word(comment: str | None) -> None:
    assert rules.sentiment_of(comment) is None


def test_sentiment_of_praise_and_complaint_lies_between_them() -> None:
    both = rules.sentiment_of("قهوه خوب بود ولی سرویس بد بود")
    assert both == Decimal("0.00")
    assert rules.sentiment_of("غذا خوب بود سرویس خوب نبود") == Decimal("0.12")


def test_sentiment_grows_with_emphasis_and_stays_in_bounds() -> None:
    assert rules.sentiment_of("خوب بود") == Decimal("0.60")
    assert rules.sentiment_of("خیلی خوب بود") == Decimal("0.84")
    assert rules.sentiment_of("واقعا عالی") == Decimal("1.00")


@each(comment=st.text(max_size=300))
def test_sentiment_of_anything_fits_its_column(comment: str) -> None:
    tone = rules.sentiment_of(comment)
    assert tone is None or (Decimal(-1) <= tone <= Decimal(1) and tone == round(tone, 2))


def test_every_known_word_is_a_search_key_or_it_could_never_be_found() -> None:
    words = {*rules._FA_WEIGHTS, *rules._LATIN_WEIGHTS, *rules._TOPIC_OF, *rules._EMPHASIS}
    assert {word for word in words if search_key(word) != word} == set()


@pytest.mark.parametrize(
    ("comment", "language"),
    [
        ("خوب بود", "fa"),
        ("good", "en"),
        ("latte خوب بود", "fa"),
        ("Espresso and latte were fine عالی", "en"),
        ("kheili khoob bood", "fa"),
        ("12345", "fa"),
        ("", "fa"),
        (None, "fa"),
    ],
)
def test_language_is_told_by_letters_and_by_persian_words_in_latin_ones(comment: str | None, language: str) -> None:
    assert rules.language_of(comment) == language


def test_categories_are_what_was_rated_and_what_was_named() -> None:
    assert rules.categories_of({"ambiance": 5}, "قیمت‌ها بالاست و گارسون‌ها دیر آمدند") == [
        "service", "ambiance", "price", "waiting",
    ]  # fmt: skip
    assert rules.categories_of({}, None) == []
    assert rules.categories_of({}, "The toilet was dirty") == ["cleanliness"]


@pytest.mark.parametrize(("rating", "due"), [(1, True), (2, True), (3, False), (5, False)])
def test_low_rating_wants_an_answer_within_a_day(rating: int, due: bool) -> None:
    assert rules.follow_up_due(rating, EVENING) == (EVENING + timedelta(hours=24) if due else None)


def test_link_lives_fourteen_days_from_when_we_learned_of_the_visit() -> None:
    assert rules.link_expires(EVENING) == EVENING + timedelta(days=14)


SECOND = timedelta(seconds=1)
VISIT = RatedVisit(
    visit_id=UUID(int=1), customer_id=None, visit_at=EVENING, visit_date=EVENING.date(), final_amount=Decimal(1),
    currency_unit="IRT", table_number=None,
)  # fmt: skip
LINK = Link(
    link_id=UUID(int=4), cafe_id=UUID(int=2), correlation_id=UUID(int=3), expires_at=EVENING, used_at=None,
    closed_at=None, cafe_name=None, calendar="jalali", visit=VISIT,
)  # fmt: skip


@pytest.mark.parametrize(
    ("link", "state"),
    [
        (None, "unknown"),
        (LINK, "expired"),
        (replace(LINK, expires_at=EVENING + SECOND), "open"),
        (replace(LINK, closed_at=EVENING), "closed"),
        (replace(LINK, used_at=EVENING), "used"),
        # Whoever has answered is told so, whatever came of the link later.
        (replace(LINK, used_at=EVENING, closed_at=EVENING), "used"),
    ],
)
def test_state_of_a_link(link: Link | None, state: str) -> None:
    assert rules.link_state(link, EVENING) == state


def test_answer_reaches_as_long_as_its_link_is_surely_there() -> None:
    assert rules.answer_reaches(EVENING, EVENING + rules.ANSWER_REACHES)
    assert not rules.answer_reaches(EVENING, EVENING + rules.ANSWER_REACHES + SECOND)


PERSON = "Mozilla/5.0 (Linux; Android 14) AppleWebKit/537.36 Chrome/120.0 Mobile Safari/537.36"


@pytest.mark.parametrize(
    ("headers", "is_opening"),
    [
        ({"user-agent": PERSON}, True),
        ({"user-agent": "Mozilla/5.0 (Linux; CUBOT X30) Chrome/120.0 Mobile"}, True),
        ({}, True),
        ({"user-agent": "WhatsApp/2.23"}, False),
        ({"user-agent": "TelegramBot (like TwitterBot)"}, False),
        ({"user-agent": PERSON, "sec-purpose": "prefetch;prerender"}, False),
        ({"user-agent": PERSON, "x-moz": "prefetch"}, False),
    ],
)
def test_page_is_opened_by_people(headers: dict[str, str], is_opening: bool) -> None:
    assert rules.is_opening(headers) is is_opening


@pytest.mark.parametrize(
    ("marker", "source"), [("q", "qr_code"), ("w", "website"), (None, "sms_link"), ("", "sms_link"), ("x", "sms_link")]
)
def test_source_is_told_by_the_marker(marker: str | None, source: str) -> None:
    assert rules.source_of(marker) == source


def test_device_is_coarse() -> None:
    phone = "Mozilla/5.0 (Linux; Android 14; SM-S918B Build/UP1A) AppleWebKit/537.36 Chrome/120.0 Mobile Safari/537.36"
    assert rules.device_of(phone, "fa-IR,fa;q=0.9") == {"system": "android", "mobile": True, "language": "fa"}
    assert rules.device_of("curl/8", "*") == {"system": "other", "mobile": False, "language": None}
    assert rules.device_of("", "fa") is None


@pytest.mark.parametrize("text", ["", "short", "a" * 23, "a" * 21 + "!", "a" * 21 + "\n", "ا" * 22])
def test_other_text_does_not_look_like_a_token(text: str) -> None:
    assert not rules.looks_like_token(text)
    assert rules.looks_like_token("Az09_-Az09_-Az09_-Az09")
