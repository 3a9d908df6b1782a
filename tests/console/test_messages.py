"""Texts, delays and amounts of what goes out by itself, as people read and write them."""

from decimal import Decimal

import pytest

from services.campaign.texts.rules.template import EVERY_VARIABLE, MAY_BE_MISSING
from services.campaign.texts.rules.template import VARIABLES as KNOWN
from services.campaign.texts.rules.wording import apart
from services.console.rules import messages
from services.console.rules.speech import Speech

TEXT, INSIDE = "{{name}} عزیز، {{cafe}}", "{{name|مهمان}} عزیز، {{cafe}}"


def test_variables_are_those_that_the_service_knows() -> None:
    offered = {trigger: set(names) for trigger, names in messages.VARIABLES.items()}
    assert offered == {**KNOWN, None: EVERY_VARIABLE}
    assert set(messages.FALLBACKS) == set(MAY_BE_MISSING)


def test_fallbacks_stand_in_the_text_and_come_apart_again() -> None:
    assert messages.whole_text(TEXT, {"name": "مهمان"}) == INSIDE
    assert apart(INSIDE)[:2] == (TEXT, {"name": "مهمان"})
    assert messages.whole_text(TEXT, {}) == TEXT


@pytest.mark.parametrize(
    ("minutes", "said"),
    [(0, ("at_once", 0)), (5, ("minutes", 5)), (60, ("hours", 1)), (90, ("minutes", 90)), (2880, ("days", 2))],
)
def test_delay(minutes: int, said: tuple[str, int]) -> None:
    assert messages.delay(minutes) == said


def test_prices_are_shown_and_written_in_the_cafes_own_unit() -> None:
    assert messages.price(Decimal(1500), "IRR", Speech()) == "۱۵۰ تومان"
    assert messages.price(Decimal(1500), "IRR", Speech("en", unit="IRR")) == "1,500 Rial"
    assert messages.bare_price(Decimal(1500), "IRR", Speech()) == "۱۵۰"
    assert messages.bare_price(None, "IRR", Speech()) == ""


@pytest.mark.parametrize(
    ("typed", "number", "amount"),
    [("", None, None), ("۱٬۵۰۰", 1500, "1500"), ("12.5", "12.5", "12.5"), ("صد", "صد", "صد")],
)
def test_typed_numbers(typed: str, number: object, amount: object) -> None:
    assert messages.whole_number(typed) == number
    assert messages.amount(typed) == amount


@pytest.mark.parametrize(
    ("text", "direction"), [(TEXT, "rtl"), ("{{name|مهمان}}, hello", "ltr"), ("{{name}} 12", ""), ("", "")]
)
def test_direction_is_that_of_the_words(text: str, direction: str) -> None:
    assert messages.direction(text) == direction
