"""What is found by typing: pages in either language, guests by number or name, nothing that a role may not open."""

import pytest

from services.console.api.palette import _words_of
from services.console.models.guests import GuestCards
from services.console.rules.commands import COMMANDS, MOST, matching
from services.console.store.upstream import RefusedCall
from tests.console.house import CAFE, console, routes

CSRF = "a-token-of-this-session"


@pytest.mark.parametrize("typed", ["صندوق", "صندوقها", "till", "TILLS", "ti"])
def test_a_page_is_found_in_either_language_and_by_a_beginning(typed: str) -> None:
    assert "settings/tills" in [each.path for each in matching(typed, "owner", _words_of)]


def test_nothing_is_shown_that_is_locked_and_nothing_typed_shows_the_first_rooms() -> None:
    assert "settings/tills" not in [each.path for each in matching("till", "staff", _words_of)]
    assert [each.key for each in matching("", "owner", _words_of)] == [each.key for each in COMMANDS[:MOST]]
    assert matching("قققق", "owner", _words_of) == ()


async def test_every_command_opens_a_page() -> None:
    async with console() as (_, _, app):
        paths = {each.path for each in routes(app) if "GET" in each.methods}
        assert {f"/c/{{cafe_id}}/{each.path}" for each in COMMANDS} <= paths


async def test_guests_stand_before_pages_and_pages_are_found_without_them() -> None:
    async with console() as (client, told, _):
        path = f"/c/{CAFE}/find"
        told.answers[f"/cafes/{CAFE}/customers/search"] = GuestCards((), None)
        assert "settings/tills" in (await client.post(path, data={"csrf": CSRF, "typed": "till"})).text
        told.answers[f"/cafes/{CAFE}/customers/search"] = RefusedCall(422, "no", "no", "نه", (), 0)
        assert (await client.post(path, data={"csrf": CSRF, "typed": "09121112233"})).status_code == 200
        del told.answers[f"/cafes/{CAFE}/customers/search"]
        answer = await client.post(path, data={"csrf": CSRF, "typed": "tills"})
        assert answer.status_code == 200
        assert "settings/tills" in answer.text
