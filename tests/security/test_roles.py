"""One table of who may call what and sees which amounts, held against the documents and the running APIs.

`roles.toml` gives each route the least role: `staff`, `manager` or `owner` of the cafe; `person` is anybody signed in,
`till` a till, `guest` whoever holds a guest's own link, `anybody` whoever knows the token or code. A route that is
not in the table is red, and so is one that
lets a lesser role in or keeps a greater one out.
"""

import importlib
import re
import tomllib
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import httpx2
import pytest
from fastapi import FastAPI

from shared.clock import new_id, now
from shared.database.db import Pool, transaction
from shared.events.identity import AccessGranted, CafeChanged, Role
from shared.inputs.amounts import DESCRIPTION
from shared.security import access
from shared.security.auth import Staff
from shared.services import WITH_DATABASE
from shared.web.dependencies import current_staff
from shared.web.documents import operations
from tests.support import Databases

TABLE: Final[dict[str, dict[str, Any]]] = tomllib.loads(Path(__file__).with_name("roles.toml").read_text())
CAFE = UUID(int=1)
PEOPLE: Final[dict[Role, UUID]] = {"staff": UUID(int=2), "manager": UUID(int=3), "owner": UUID(int=4)}
RANK: Final = list(PEOPLE)
PHONE = "+989121234567"
# What the schema of a body does not say, or what no least value of its type is good enough for.
FIELDS: Final[dict[str, Any]] = {
    "content": "سلام", "criteria": {"visit_count": {"min": 1}}, "currency_unit": "IRT", "day": "2026-03-21",
    "email": "a@example.com", "kind": "branch", "login": PHONE, "occurred_at": "2026-03-21T12:00:00Z",
    "on": "2026-03-21", "phone": PHONE, "password": "long-enough-password-7", "scheduled_date": "2030-01-01T12:00:00Z",
    "scopes": ["ingest"], "segment_key": "k", "sender_line": "10004346", "target": {"everyone": True},
    "template": "سلام", "template_content": "سلام", "time_zone": "Asia/Tehran", "total": "1000",
}  # fmt: skip
# By the name of the body.
ALSO: Final[dict[str, dict[str, Any]]] = {"OfferReward": {"kind": "item"}, "RedeemForCustomer": {"points": 1}}
SCHEMES: Final = {"anybody": [], "person": ["HTTPBearer"], "till": ["APIKeyHeader"], "guest": ["GuestLinkHeader"]}
FORMATS: Final = {"date": "2026-03-21", "date-time": "2026-03-21T12:00:00Z"}


def app_of(service: str) -> FastAPI:
    made: FastAPI = importlib.import_module(f"services.{service}.api.app").make_app()
    return made


def document_of(app: FastAPI) -> dict[str, Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return app.openapi()


@pytest.mark.parametrize("service", WITH_DATABASE)
def test_every_route_has_its_least_role_in_the_table(service: str) -> None:
    found = {f"{method.upper()} {path}" for path, method, _ in operations(document_of(app_of(service)))}
    assert sorted(found - TABLE[service]["least"].keys()) == [], "say in roles.toml who may call these"
    assert sorted(TABLE[service]["least"].keys() - found) == [], "these are gone"


@pytest.mark.parametrize("service", WITH_DATABASE)
def test_who_has_no_role_is_known_as_the_document_says(service: str) -> None:
    for path, method, operation in operations(document_of(app_of(service))):
        least = TABLE[service]["least"][f"{method.upper()} {path}"]
        named = [name for each in operation["security"] for name in each]
        assert named == SCHEMES.get(least, ["HTTPBearer"]), path
        assert ("{cafe_id}" in path) == (least in RANK), path


@pytest.mark.parametrize("service", WITH_DATABASE)
async def test_lesser_roles_are_refused_and_others_are_not(service: str, database: Databases) -> None:
    await people(await database(service), service)
    app, least, asked = app_of(service), TABLE[service]["least"], 0
    made = document_of(app)
    async with app.router.lifespan_context(app):
        transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
        async with httpx2.AsyncClient(transport=transport, base_url="http://crm.test") as client:
            for path, method, operation in operations(made):
                needed = least[f"{method.upper()} {path}"]
                if needed not in RANK:
                    continue
                for role, person in PEOPLE.items():
                    app.dependency_overrides[current_staff] = lambda person=person: Staff(person)
                    call = request_of(made, path, operation)
                    answer = await client.request(method.upper(), **call)
                    refused = answer.status_code == 403 and answer.json()["code"] == "role_too_low"
                    assert answer.status_code != 422, f"{method} {path}: {call} {answer.text}"
                    assert refused == (RANK.index(role) < RANK.index(needed)), (
                        f"{method} {path} as {role}: {answer.status_code} {answer.text[:300]}"
                    )
                    asked += 1
    assert asked >= 9


@pytest.mark.parametrize("service", WITH_DATABASE)
def test_every_amount_that_staff_are_answered_is_hidden_or_said_to_be_shown(service: str) -> None:
    """Hidden amounts can be null, and each service's own tests see them null for staff and not for managers."""
    made, rows = document_of(app_of(service)), TABLE[service]
    hidden, shown = rows.get("hidden", {}), rows.get("shown", {})
    found: dict[str, set[str]] = {}
    for path, method, operation in operations(made):
        route = f"{method.upper()} {path}"
        if rows["least"][route] == "staff":
            found |= {route: names} if (names := set(amounts_of(made, operation))) else {}
    listed = {route: {*hidden.get(route, ()), *shown.get(route, ())} for route in {*hidden, *shown}}
    assert found == listed
    for route, names in hidden.items():
        method, path = route.split(" ")
        operation = made["paths"][path][method.lower()]
        bare = {name for name, can_be_null in amounts_of(made, operation).items() if not can_be_null}
        assert not bare & set(names), f"{route}: these can't be hidden"


def amounts_of(made: dict[str, Any], operation: dict[str, Any]) -> dict[str, bool]:
    """The amounts in the answers of an operation by their names, and whether each can be null wherever it stands."""
    found: dict[str, bool] = {}
    for status, answer in operation["responses"].items():
        if status < "400":
            for content in answer.get("content", {}).values():
                for name, field in fields_of(made, content.get("schema", {}), set()):
                    if DESCRIPTION in str(field):
                        found[name] = found.get(name, True) and "'null'" in str(field)
    return found


def fields_of(made: dict[str, Any], schema: Any, seen: set[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """All fields of a schema and of those it refers to."""
    if isinstance(schema, list):
        for each in schema:
            yield from fields_of(made, each, seen)
    elif isinstance(schema, dict):
        if (ref := schema.get("$ref")) and ref not in seen:
            yield from fields_of(made, resolved(made, schema), seen | {ref})
        yield from schema.get("properties", {}).items()
        for word, inner in schema.items():
            if word == "properties":
                yield from fields_of(made, list(inner.values()), seen)
            elif word in ("items", "anyOf", "oneOf", "allOf", "prefixItems", "additionalProperties"):
                yield from fields_of(made, inner, seen)


def resolved(made: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    if "$ref" not in schema:
        return schema
    named: dict[str, Any] = made["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return named


def request_of(made: dict[str, Any], path: str, operation: dict[str, Any]) -> dict[str, Any]:
    """A call with new ids and the least body that is valid."""
    query = {}
    address = path.replace("{cafe_id}", str(CAFE))
    for parameter in operation.get("parameters", ()):
        name, schema = parameter["name"], parameter["schema"]
        if parameter["in"] == "path" and name != "cafe_id":
            address = address.replace(f"{{{name}}}", str(least_of(made, schema, name)))
        elif parameter["in"] == "query" and parameter.get("required"):
            query[name] = least_of(made, schema, name)
    call: dict[str, Any] = {"url": address, "params": query}
    for content in operation.get("requestBody", {}).get("content", {}).values():
        call["json"] = least_of(made, content["schema"], "")
    return call


def least_of(made: dict[str, Any], schema: dict[str, Any], name: str) -> Any:
    """The least value that a schema allows, with what `FIELDS` says of fields of that name."""
    if name in FIELDS:
        return FIELDS[name]
    schema = resolved(made, schema)
    if choices := [each for word in ("anyOf", "oneOf", "allOf") for each in schema.get(word, ())]:
        return least_of(made, choices[0], name)
    match schema.get("type"):
        case "object":
            needed = schema.get("required", ())
            least = {each: least_of(made, schema["properties"][each], each) for each in needed}
            return least | ALSO.get(schema.get("title", ""), {})
        case "array":
            return [least_of(made, schema["items"], name)] * schema.get("minItems", 0)
    return plain(schema)


def plain(schema: dict[str, Any]) -> Any:
    """The least value of a schema without parts."""
    if "enum" in schema or "const" in schema:
        return schema.get("const", schema.get("enum", [None])[0])
    if schema.get("type") in ("integer", "number", "boolean"):
        return True if schema["type"] == "boolean" else schema.get("minimum", 1)
    if schema.get("format") == "uuid":
        return str(new_id())
    length = schema.get("maxLength", 9)
    words = ("words", *(each * many for each in ("1", "a", "A") for many in (4, 12, length)))
    fitting = (each for each in words if len(each) <= length and re.search(schema.get("pattern", ""), each))
    return FORMATS.get(schema.get("format", "")) or next(fitting)


async def people(pool: Pool, service: str) -> None:
    """A cafe with one person of each role."""
    async with transaction(pool) as conn:
        if service == "identity":
            for role, person in PEOPLE.items():
                await conn.execute("INSERT INTO users (user_id, password_hash) VALUES ($1, 'x')", person)
                await conn.execute(
                    "INSERT INTO user_cafe_access (cafe_id, user_id, role, version, changed_at)"
                    " VALUES ($1, $2, $3, 1, now())",
                    CAFE, person, role,
                )  # fmt: skip
            return
        told = CafeChanged(
            cafe_id=CAFE, occurred_at=now(), version=1, name="کافه", time_zone="Asia/Tehran", calendar="jalali",
            currency_unit="IRT",
        )  # fmt: skip
        await access.on_cafe_changed(conn, [told])
        granted = [
            AccessGranted(cafe_id=CAFE, occurred_at=now(), version=1, user_id=person, role=role)
            for role, person in PEOPLE.items()
        ]
        await access.on_access_granted(conn, granted)
