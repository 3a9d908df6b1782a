"""Every route of every document, called with what hurts: no 500, and each answer is one that the document names."""

import json
import re
from collections.abc import AsyncIterator, Iterator
from importlib import import_module
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI

from shared.clock import new_id, now
from shared.database.db import Pool, transaction
from shared.events.identity import AccessGranted, CafeChanged
from shared.security import access
from shared.security.auth import Staff, Till
from shared.services import WITH_DATABASE
from shared.web.dependencies import current_staff, current_till
from shared.web.documents import PROBLEM, operations
from shared.web.rate_limits import Tries
from tests.support import Databases

CAFE, PERSON = new_id(), new_id()
JSON = {"content-type": "application/json"}
# In a path or a query, and in a field of a body.
IN_ADDRESSES = (
    "%00", "%ff", "%ED%A0%80", "-1", "0", "9223372036854775808", "1" * 400, "1e400", "NaN", "0001-01-01",
    "9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00%2B14:00", "%D9%A1%D9%A2", "..%2f..", "%27%20OR%201=1",
    "x" * 5000, "",
)  # fmt: skip
IN_FIELDS = (
    b'"\\ud800"', b'"\\u0000"', b'"' + b"x" * 30_000 + b'"', b"-1", b"0", b"9223372036854775808", b"1" + b"0" * 400,
    b"1e400", b"-1e400", b"NaN", b"1" * 5000, b"0.1", b"true", b"null", b'""', b'" "', b"[]", b"{}", b'[["a"]]',
    b'"0001-01-01"', b'"9999-12-31T23:59:59-23:59"', b'"\xd9\xa1\xd9\xa2"', b'"\\u202e\\u200b"',
    b"[" * 500 + b"]" * 500,
)  # fmt: skip
BODIES = (
    b"", b"null", b"[]", b"{", b"\xff\xfe", b'"x"', b"{}" * 2, b"[" * 50_000, b'{"a":' * 5000, b"1" * 100_000,
    b'{"name": 1, "name": 2}', b"\x00",
)  # fmt: skip


@pytest.fixture(params=WITH_DATABASE)
async def api(request: pytest.FixtureRequest, database: Databases) -> AsyncIterator[tuple[FastAPI, httpx2.AsyncClient]]:
    """An API with a cafe, and a client that is its owner and its till."""
    pool = await database(request.param)
    await cafe_with_owner(pool, request.param)
    app: FastAPI = import_module(f"services.{request.param}.api.app").make_app()
    app.dependency_overrides[current_staff] = lambda: Staff(PERSON)
    app.dependency_overrides[current_till] = lambda: Till(CAFE, "A" * 12, frozenset({"ingest", "loyalty_lookup"}))
    # What slows people down would answer everything after the first minute's worth.
    app.state.tries = Tries(10**9)
    async with app.router.lifespan_context(app):
        transport = httpx2.ASGITransport(app=app, raise_app_exceptions=False)
        async with httpx2.AsyncClient(transport=transport, base_url="http://crm.test") as client:
            yield app, client


async def cafe_with_owner(pool: Pool, service: str) -> None:
    async with transaction(pool) as conn:
        if service == "identity":
            await conn.execute("INSERT INTO users (user_id, password_hash) VALUES ($1, 'x')", PERSON)
            await conn.execute(
                "INSERT INTO user_cafe_access (cafe_id, user_id, role, version, changed_at) "
                "VALUES ($1, $2, 'owner', 1, now())",
                CAFE,
                PERSON,
            )
            return
        told = CafeChanged(
            cafe_id=CAFE, occurred_at=now(), version=1, name="کافه", time_zone="Asia/Tehran", calendar="jalali",
            currency_unit="IRT",
        )  # fmt: skip
        await access.on_cafe_changed(conn, [told])
        owner = AccessGranted(cafe_id=CAFE, occurred_at=now(), version=1, user_id=PERSON, role="owner")
        await access.on_access_granted(conn, [owner])


def address(path: str, **given: str) -> str:
    """The path with the cafe, and new ids where nothing is given."""
    return re.sub("{([a-z_]+)}", lambda found: given.get(found[1]) or filler(found[1]), path)


def filler(name: str) -> str:
    return str(
        CAFE if name == "cafe_id" else "A" * 12 if name == "key_id" else "A" * 22 if name == "token" else new_id()
    )


def fields_of(schema: dict[str, Any], made: dict[str, Any]) -> dict[str, Any]:
    """The properties of a body."""
    named = made["components"]["schemas"][schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
    found: dict[str, Any] = named.get("properties", {})
    return found


def judge(answer: httpx2.Response, operation: dict[str, Any] | None, what: str) -> None:
    """Fails on an answer that is no documented one."""
    assert answer.status_code < 500 or answer.status_code == 503, what
    if answer.status_code >= 400:
        assert answer.headers["content-type"] == PROBLEM, what
        body = answer.json()
        assert body["status"] == answer.status_code
        assert body["title"]
        assert re.search("[\u0600-\u06ff]", body["title_fa"]), what
        for fault in body.get("errors", ()):
            assert fault["en"], what
            assert re.search("[\u0600-\u06ff]", fault["fa"]), f"{what}: {fault}"
            assert "xxxxxxxx" not in json.dumps(fault), what
    if operation is not None:
        assert str(answer.status_code) in operation["responses"], f"{what}: {answer.status_code} {answer.text[:300]}"


@pytest.mark.timeout(600)
async def test_hostile_values_get_documented_answers(api: tuple[FastAPI, httpx2.AsyncClient]) -> None:
    app, client = api
    made = app.openapi()
    for path, method, operation in operations(made):
        for what, call in calls(made, path, method, operation):
            try:
                answer = await client.request(method.upper(), **call)
            except (httpx2.InvalidURL, UnicodeEncodeError):
                continue
            judge(answer, operation if answer.status_code not in (404, 405) else None, f"{method} {path} with {what}")


def calls(
    made: dict[str, Any], path: str, method: str, operation: dict[str, Any]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """What each place of an operation is called with."""
    body = next(iter(operation.get("requestBody", {}).get("content", {}).values()), None)
    plain: dict[str, Any] = {"content": b"{}", "headers": JSON} if body else {}
    queries = [each["name"] for each in operation.get("parameters", ()) if each["in"] == "query"]
    for value in IN_ADDRESSES:
        for name in re.findall("{([a-z_]+)}", path):
            if value and "/" not in value:
                yield f"{name}={value[:30]}", {"url": address(path, **{name: value}), **plain}
        for name in [*queries, "no_such_filter"]:
            yield f"?{name}={value[:30]}", {"url": f"{address(path)}?{name}={value}", **plain}
    yield "Idempotency-Key", {"url": address(path), **plain, "headers": {**JSON, "Idempotency-Key": "\x00\xff" * 300}}
    if body:
        for content in BODIES:
            yield repr(content[:20]), {"url": address(path), "content": content, "headers": JSON}
        for kind in (
            "text/plain",
            "application/xml",
            "multipart/form-data; boundary=x",
            "application/json; charset=utf-7",
            "x",
        ):
            yield kind, {"url": address(path), "content": b'{"a": 1}', "headers": {"content-type": kind}}
        for name in [*fields_of(body["schema"], made), "no_such_field"]:
            for value in IN_FIELDS:
                content = json.dumps(name).encode()
                yield f"{name}: {value[:30]!r}", {
                    "url": address(path), "content": b"{" + content + b": " + value + b"}", "headers": JSON
                }  # fmt: skip


async def test_unknown_query_parameters_are_refused_by_name(api: tuple[FastAPI, httpx2.AsyncClient]) -> None:
    app, client = api
    for path, method, operation in operations(app.openapi()):
        if path in app.state.any_query:
            continue
        plain = {"content": b"{}", "headers": JSON} if "requestBody" in operation else {}
        answer = await client.request(method.upper(), f"{address(path)}?branch_ids=1&<b>=2", **plain)
        assert answer.status_code == 422, (method, path)
        assert [each["field"] for each in answer.json()["errors"]] == ["branch_ids", "?"], (method, path)


async def test_other_methods_and_addresses_are_refused_with_sentences(api: tuple[FastAPI, httpx2.AsyncClient]) -> None:
    app, client = api
    made = app.openapi()
    for path, item in made["paths"].items():
        for method in ("GET", "HEAD", "OPTIONS", "PUT", "POST", "PATCH", "DELETE", "TRACE", "BREW"):
            if method.lower() not in item:
                answer = await client.request(method, address(path))
                # A word in the place of an id may be another route's, which takes the method.
                assert answer.status_code in (405, 422), (method, path)
                assert answer.headers.get("allow") or answer.status_code == 422
                if method != "HEAD":
                    judge(answer, None, f"{method} {path}")
        for strange in (f"{address(path)}/", f"{address(path)}//", f"/{address(path)}", f"{address(path)}/%00", "/%ff"):
            answer = await client.get(strange, headers={"host": "evil.example"})
            assert answer.status_code in (404, 405, 422), strange
            assert "location" not in answer.headers
            judge(answer, None, strange)


async def test_nobody_gets_further_than_the_door(api: tuple[FastAPI, httpx2.AsyncClient]) -> None:
    app, client = api
    app.dependency_overrides.clear()
    for path, method, operation in operations(app.openapi()):
        plain = {"content": b"{}", "headers": JSON} if "requestBody" in operation else {}
        answer = await client.request(method.upper(), address(path), **plain)
        judge(answer, operation, f"{method} {path}")
        assert not operation["security"] or answer.status_code in (401, 422), (method, path)
