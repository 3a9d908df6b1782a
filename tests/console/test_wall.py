"""Safe in a browser: no stranger learns anything, no other page can act, and nothing personal stays behind."""

import asyncio
import re
from uuid import uuid4

import httpx2
import pytest

from services.console.api import visiting, wall
from services.console.models.people import LeaderOfCafe, Tokens
from services.console.store.upstream import RefusedCall, SignedOut
from tests.console.house import BASE, CAFE, console, routes, session, settings

ELSEWHERE = [
    {"sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "same-site"},
    {"sec-fetch-site": "none"},
    {"origin": "https://elsewhere.example", "sec-fetch-site": ""},
    {"sec-fetch-site": ""},
]
# What is asked in a body, as no number stands in an address.
QUESTIONS = (
    *("/customers/search", "/customers/list", "/customers/cards", "/redemptions/quote"),
    *("/segments/preview", "/campaigns/preview", "/texts/preview"),
)
CSRF = "a-token-of-this-session"


def filled(path: str) -> str:
    """An address of a route."""
    path = path.replace("{cafe_id}", str(CAFE)).replace("{service}", "visit").replace("{key_id}", "k")
    return re.sub(r"{\w+}", str(uuid4()), path)


async def test_no_other_page_can_make_the_browser_change_anything() -> None:
    async with console() as (client, told, app):
        # Behind a guest's own link nobody is signed in: who knows the address needs no other page.
        own = [each for each in routes(app) if not each.path.startswith("/g/")]
        changing = [(method, each.path) for each in own for method in each.methods - {"GET", "HEAD"}]
        assert len(changing) > 25
        for method, path in changing:
            for headers in ELSEWHERE:
                answer = await client.request(method, filled(path), data={"csrf": CSRF}, headers=headers)
                assert answer.status_code == 403, (path, headers)
            answer = await client.request(method, filled(path), data={"csrf": "another"})
            assert answer.status_code in (403, 422), path
            answer = await client.request(method, filled(path))
            assert answer.status_code in (403, 422), path
        assert [each for each in told.asked if each[1] != "GET"] == []


async def test_a_browser_that_does_not_say_where_a_form_is_from_is_believed_by_its_origin() -> None:
    async with console() as (client, told, _):
        told.answers["/sessions/current"] = None
        answer = await client.post("/out", data={"csrf": CSRF}, headers={"sec-fetch-site": "", "origin": BASE})
        assert answer.status_code == 303
        assert ("identity", "DELETE", "/sessions/current") in [each[:3] for each in told.asked]


async def test_reading_changes_nothing() -> None:
    async with console() as (client, told, app):
        for each in routes(app):
            if "GET" in each.methods and not each.path.startswith(("/docs", "/metrics", "/readyz")):
                await client.get(filled(each.path))
        assert {method for _, method, path, _ in told.asked if not path.endswith(QUESTIONS)} == {"GET"}


async def test_every_answer_has_the_headers_and_stays_in_no_cache() -> None:
    async with console() as (client, _, app):
        addresses = [filled(each.path) for each in routes(app) if "GET" in each.methods]
        for address in [*addresses, "/nowhere", f"/c/{uuid4()}/desk", "/static/none.css"]:
            answer = await client.get(address)
            policy = answer.headers["content-security-policy"]
            if not address.startswith("/docs"):
                assert "unsafe" not in policy, address
            assert answer.headers["cache-control"] == "private, no-store", address
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert "cookie" in answer.headers["vary"].lower(), address


async def test_files_may_be_kept_for_ever_as_their_address_changes_with_them() -> None:
    async with console() as (client, _, _app):
        [sheet] = re.findall(r'href="(/static/\w+/console.css)"', (await client.get("/in")).text)
        answer = await client.get(sheet)
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"


def test_cookie_is_sealed_and_no_script_and_no_other_host_has_it() -> None:
    config, mine = settings(), session(access_token="readable")
    value = wall.sealed(config.keys, mine)
    assert "readable" not in value
    assert wall.cookie_name(config) == "__Host-console"
    kept = wall.Headers(None, config)._cookie(mine)  # type: ignore[arg-type]
    assert {"Path=/", "HttpOnly", "SameSite=Lax", "Secure"} <= {part.strip() for part in kept.split(";")}
    assert "Domain" not in kept
    long = session(access_token="t" * 2000)
    assert len(wall.sealed(config.keys, long)) < wall.COOKIE_BYTES


@pytest.mark.parametrize("change", [lambda v: v[:-3] + "abc", lambda v: v[:5], lambda v: v[9:], lambda v: v + "a"])
async def test_cookie_that_is_not_ours_signs_nobody_in(change) -> None:
    async with console() as (client, _, _app):
        name, _, value = client.headers["cookie"].partition("=")
        answer = await client.get(f"/c/{CAFE}/desk", headers={"cookie": f"{name}={change(value)}"})
        assert answer.status_code == 303
        assert answer.headers["location"] == f"/in?next=/c/{CAFE}/desk"


async def test_cookie_of_another_installation_signs_nobody_in() -> None:
    other = wall.sealed(settings(previous_secret=None).keys, session())
    async with console() as (client, _, app):
        app.state.settings = app.state.settings.model_copy(update={"secret": type(app.state.settings.secret)("x" * 40)})
        answer = await client.get(f"/c/{CAFE}/desk", headers={"cookie": f"__Host-console={other}"})
        assert answer.status_code == 303


async def test_cafe_of_others_is_no_cafe() -> None:
    async with console() as (client, _, _app):
        answer = await client.get(f"/c/{uuid4()}/desk")
        assert answer.status_code == 404


async def test_session_that_ended_leads_to_the_door_and_takes_the_cookie_away() -> None:
    async with console() as (client, told, _):
        told.answers["/me"] = SignedOut()
        answer = await client.get(f"/c/{CAFE}/desk")
        assert answer.status_code == 303
        assert "Max-Age=0" in answer.headers["set-cookie"]
        part = await client.post(
            f"/c/{CAFE}/desk", data={"csrf": CSRF, "typed": "1234"}, headers={"hx-request": "true"}
        )
        assert part.headers["hx-redirect"] == "/in"


@pytest.mark.parametrize(
    "way",
    ["https://elsewhere.example", "//elsewhere.example", "/\\elsewhere.example", "javascript:alert(1)", "x", "/a?b=c"],
)
async def test_nobody_is_sent_elsewhere_after_the_sign_in(way: str) -> None:
    async with console() as (client, told, _):
        told.answers["/sessions"] = Tokens("t", 900, uuid4(), uuid4(), "r", 9000)
        answer = await client.post("/in", data={"csrf": CSRF, "login": "l", "password": "p", "next": way})
        assert (answer.status_code, answer.headers["location"]) == (303, "/")


async def test_wrong_password_says_so_and_the_page_does_not_repeat_it() -> None:
    async with console() as (client, told, _):
        told.answers["/sessions"] = RefusedCall(401, "wrong_password", "Wrong.", "نادرست.", (), 0)
        answer = await client.post("/in", data={"csrf": CSRF, "login": "<b>l", "password": "secret-word"})
        assert answer.status_code == 401
        assert "نادرست." in answer.text
        assert "secret-word" not in answer.text
        assert "<b>l" not in answer.text


async def test_token_that_is_about_to_end_is_renewed_and_kept() -> None:
    async with console() as (client, told, app):
        old = session(access_until=0.0)
        client.headers["cookie"] = f"__Host-console={wall.sealed(app.state.settings.keys, old)}"
        told.answers["/sessions/renew"] = Tokens("new", 900, old.user_id, uuid4(), "r2", 9000)
        answer = await client.get(f"/c/{CAFE}/desk")
        assert answer.status_code == 200
        assert "__Host-console=s1." in answer.headers["set-cookie"]
        assert told.asked[0][2] == "/sessions/renew"


async def test_one_person_takes_so_many_pages_at_once_and_leaves_room_for_others() -> None:
    async with console() as (client, told, app):
        released = asyncio.Event()
        told.answers["/me"] = released
        pages = [asyncio.create_task(client.get(f"/c/{CAFE}/desk")) for _ in range(visiting.PAGES_AT_ONCE)]
        while sum(app.state.underway.values()) < visiting.PAGES_AT_ONCE:
            await asyncio.sleep(0)
        assert (await client.get(f"/c/{CAFE}/desk")).status_code == 429
        other = wall.sealed(app.state.settings.keys, session())
        others = asyncio.create_task(client.get(f"/c/{CAFE}/desk", headers={"cookie": f"__Host-console={other}"}))
        released.set()
        assert {(await page).status_code for page in [*pages, others]} == {200}
        assert not app.state.underway


async def test_sign_out_holds_on_this_device_also_while_identity_is_away() -> None:
    async with console() as (client, told, _):
        told.answers.clear()
        answer = await client.post("/out", data={"csrf": CSRF})
        assert (answer.status_code, answer.headers["location"]) == (303, "/in")
        assert "Max-Age=0" in answer.headers["set-cookie"]


async def test_people_from_outside_get_pages_and_nothing_else() -> None:
    async with console(console_port=8100, port=8108) as (client, _, _app):
        client.base_url = httpx2.URL("http://console.example:8100")
        for path in ("/metrics", "/docs", "/readyz", "/openapi.json"):
            assert (await client.get(path)).status_code == 404
        for path in ("/in", f"/c/{CAFE}/desk", "/me"):
            assert (await client.get(path)).status_code in (200, 303, 503)


async def test_number_that_was_searched_for_stands_in_no_address() -> None:
    async with console() as (client, _, app):
        queries = {parameter.name for each in routes(app) for parameter in each.dependant.query_params}
        assert not {"typed", "phone", "name", "q"} & queries
        answer = await client.post(f"/c/{CAFE}/desk/new", data={"csrf": CSRF, "typed": "0912 111 2233"})
        assert 'value="0912 111 2233"' in answer.text


@pytest.mark.parametrize("role", ["staff", "manager", "owner"])
async def test_menu_has_only_doors_that_open(role: str) -> None:
    async with console(role) as (client, _, _app):
        text = (await client.get(f"/c/{CAFE}/desk")).text
        assert ("/approvals" in text) == (role != "staff")


async def test_service_that_is_away_is_said_and_nothing_is_lost() -> None:
    async with console() as (client, _, _app):
        assert (await client.get(f"/c/{CAFE}/visits")).status_code == 503
        today = await client.get(f"/c/{CAFE}/today")
        assert today.status_code == 200
        assert today.text.count("این بخش اکنون پاسخ نمی‌دهد") >= 2


async def test_whoever_may_not_is_told_whom_to_ask() -> None:
    async with console("staff") as (client, told, _):
        told.answers[f"/cafes/{CAFE}/members"] = RefusedCall(403, "role_too_low", "No", "نه", (), 0)
        told.answers[f"/cafes/{CAFE}/leaders"] = (LeaderOfCafe("مینا", "owner"),)
        answer = await client.get(f"/c/{CAFE}/settings/people")
        assert answer.status_code == 403
        assert "مینا" in answer.text
        assert "مالک" in answer.text


async def test_pages_are_in_the_cafes_language_until_a_person_chooses_another() -> None:
    async with console(language="en") as (client, _, _app):
        for address in (f"/c/{CAFE}/desk", "/cafes"):
            assert 'lang="en"' in (await client.get(address)).text
        cookie = client.headers["cookie"]
        chosen = await client.post("/look", data={"csrf": CSRF, "theme": "dark"})
        assert "look=.dark" in chosen.headers["set-cookie"]
        client.headers["cookie"] = f"{cookie}; look=.dark"
        page = (await client.get(f"/c/{CAFE}/desk")).text
        assert 'lang="en"' in page
        assert 'data-theme="dark"' in page
        client.headers["cookie"] = f"{cookie}; look=fa.dark"
        assert 'lang="fa"' in (await client.get(f"/c/{CAFE}/desk")).text


async def test_on_the_host_of_guests_there_is_no_door_for_people() -> None:
    hosts = {"guest_url": "https://me.example", "console_url": "https://console.example"}
    async with console(**hosts) as (client, _, _app):
        for path in ("/in", "/", f"/c/{CAFE}/desk", "/static/none.css"):
            assert (await client.get(path, headers={"host": "me.example"})).status_code == 404, path
        assert (await client.get("/in", headers={"host": "console.example"})).status_code == 200
        own = await client.get("/g/none", headers={"host": "me.example"})
        assert own.text != "Not found"
    async with console(guest_url=BASE, console_url=BASE) as (client, _, _app):
        assert (await client.get("/in")).status_code == 200
