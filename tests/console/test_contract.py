"""What the console believes of the six APIs is what their documents say: every path, parameter and field."""

import inspect
import re
from datetime import date
from importlib import import_module
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints
from uuid import UUID

import msgspec
import pytest

from services.console.models.session import Access
from services.console.store import (
    bonuses,
    campaign,
    campaigns,
    chain,
    club,
    counter,
    customer,
    feedback,
    identity,
    loyalty,
    messages,
    own,
    rehearsals,
    reports,
    rewards,
    segments,
    visit,
    waiting,
)
from services.console.store.upstream import Upstream

ID = UUID("00000000-0000-4000-8000-000000000001")
GIVEN: dict[str, Any] = {
    "changes": {}, "text": {}, "template": {}, "messaging": {}, "on_duty": {}, "account": {}, "settled_as": "stop",
    "month": date(2026, 1, 1),
    "device_token": None, "role": "staff", "key_id": "k1", "wanted": {}, "changed": {}, "written": {}, "granted": True,
    "channel": "sms", "purpose": "service",
    "limit": 5, "first": date(2026, 1, 1), "last": date(2026, 1, 2), "day": date(2026, 1, 1), "points": 5,
    "kind": "discount", "status": "open", "service": "visit", "path": "/cafes/x/entries/y/decision", "approve": True,
    "version": None, "before": ID, "ids": [ID], "state": "pending", "drafted": {},
    "bill": {"final_amount": "1", "currency_unit": "IRT", "branch_id": None},
}  # fmt: skip
REWARD = dict.fromkeys(("name", "cost_points", "value", "minimum_bill", "currency_unit", "conditions", "stock"), "1")
# What a handler hands over whole, by the function that passes it on.
HANDED = {
    "write": {"name": "n", "purpose": "marketing", "target": {"everyone": True}},
    "rewrite": dict.fromkeys(
        ("name", "description", "purpose", "ignores_quiet_hours", "target", "template", "fallbacks", "budget")
    )
    | dict.fromkeys(("currency_unit", "wanted_date", "version")),
    "preview_draft": dict.fromkeys(("purpose", "target", "template", "fallbacks", "budget", "currency_unit", "counts")),
    "deliveries": dict.fromkeys(("status", "reason", "after", "limit")),
    "list_guests": dict.fromkeys(("limit", "sort", "after", "tier", "reachable", "not_seen_for_days")),
    "search": {"last_four": "1234", "limit": 5},
    "register": {"phone": "0912", "name": "n", "birthday": None, "marketing_consent": True},
    "change": {"version": 1, "name": None, "birthday": None, "notes": None},
    "list_visits": {
        "customer_id": ID, "limit": 1, "with_voided": True, "before": "b", "before_id": ID, "since": "s",
        "receipt_number": "r", "unknown_guest": True, "branch_id": ID,
    },
    "enter": dict.fromkeys(("receipt_number", "occurred_at", "total", "currency_unit", "phone", "notes", "items")),
    "add_text": dict.fromkeys(("name", "template_type", "content", "variables", "category")),
    "preview": {"criteria": {}, "segment_id": ID},
    "make": {"name": "n", "description": None, "color_hex": "#000000", "criteria": {}, "segment_key": "k"},
    "alter": {"name": "n", "description": None, "color_hex": "#000000", "criteria": {}},
    "list_ratings": {"limit": 1, "before": "b", "rating_to": 3},
    "change_journey": {
        "is_active": True, "delay_minutes": 5, "template": "سلام", "budget": None, "currency_unit": "IRT",
        "ignores_quiet_hours": True,
    },
    "preview_text": {"content": "سلام", "trigger": "visit.recorded", "purpose": "service"},
    "add_template": dict.fromkeys(("name", "content", "category")),
    "replace_template": dict.fromkeys(("name", "content", "category")),
    "set_rules": dict.fromkeys(("guest_daily_cap", "monthly_budget", "currency_unit")),
    "set_duty": dict.fromkeys(("people", "most_a_day")),
    "add_account": dict.fromkeys((
        "provider_name", "api_key", "sender_line", "cost_per_sms", "currency_unit", "is_active", "priority_order",
        "daily_limit", "monthly_limit",
    )),
    "replace_account": dict.fromkeys(("provider_name", "api_endpoint", "is_active", "priority_order")),
    "ask_rehearsal": {"rules": {"tier_period": "jalali_year"}, "mode": "from_date", "valid_from": None},
    "publish_rehearsed": {"rules": {"tier_period": "jalali_year"}, "rehearsal_id": ID, "valid_from": None},
    "propose": {"rules": {"tier_period": "jalali_year"}, "earn_per": "1", "point_worth": None, "currency_unit": "IRT"},
    "take_reward": {"redemption_id": ID, "customer_id": ID, "reward_id": ID, "branch_id": ID, "bill": {}},
    "preview_bonus": {"segment_keys": ["vip"], "points": "5"},
    "give_bonus": {"segment_keys": ["vip"], "points": "5", "run_id": ID, "reason": "x", "budget_points": "5"},
    "offer_reward": {"reward_id": ID, "key": "k", "kind": "item", **REWARD},
    "change_reward": {"is_active": True, **REWARD},
    "change_cafe": {"name": "n", "quiet_from": "22:00", "quiet_until": "09:00"},
}  # fmt: skip
STORES = (
    *(identity, customer, visit, loyalty, club, campaign, campaigns, messages, feedback, waiting, reports),
    *(segments, chain, own, rehearsals, rewards, counter, bonuses),
)
CALLS = [(store, name) for store in STORES for name, _ in inspect.getmembers(store, inspect.iscoroutinefunction)]


class Recorder(Upstream):
    """Keeps the one call that is made."""

    def __init__(self) -> None:
        self.call: tuple[str, str, str, Any, Any] | None = None

    async def get(self, _: Access, service: str, path: str, kind: Any, query: Any = None) -> Any:
        self.call = (service, "get", path, kind, {"query": query or {}})

    async def download(self, _: Access, service: str, path: str) -> Any:
        self.call = (service, "get", path, None, {})

    async def send(
        self, _: Access, service: str, method: str, path: str, kind: Any, body: Any = None, **_more: Any
    ) -> Any:
        self.call = (service, method.lower(), path, kind, {"body": body})


def document(service: str) -> dict[str, Any]:
    """The OpenAPI document of a service."""
    found: dict[str, Any] = import_module(f"services.{service}.api.app").make_app().openapi()
    return found


def resolved(doc: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """A schema without references at its top; of several kinds of answers the one that is given unless asked."""
    while "$ref" in schema or "anyOf" in schema:
        schema = (
            doc["components"]["schemas"][schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema["anyOf"][0]
        )
    return schema


def element(doc: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """What a list holds, also a list of lists; anything else is itself."""
    while schema.get("type") == "array":
        schema = resolved(doc, schema["items"])
    return schema


def disbelieved(doc: dict[str, Any], schema: dict[str, Any], kind: Any, at: str = "") -> list[str]:
    """The fields that the document does not have, or that may be null there and not here, down to the last."""
    while get_origin(kind) in (tuple, Union, UnionType):
        kind = next(each for each in get_args(kind) if each is not NoneType)
    if not (isinstance(kind, type) and issubclass(kind, msgspec.Struct)):
        return []
    shapes = [resolved(doc, each) for each in resolved(doc, schema).get("anyOf", [schema])]
    shapes = [element(doc, each) for each in shapes]
    needed = {field.name for field in msgspec.structs.fields(kind) if field.required}
    fields = next((each["properties"] for each in shapes if needed <= set(each.get("properties", ()))), None)
    if fields is None:
        return [f"{at}: {needed}"]
    hints = get_type_hints(kind)
    wrong = [
        f"{at}.{name}" for name in needed if is_nullable(doc, fields[name]) and NoneType not in get_args(hints[name])
    ]
    return wrong + [each for name in needed for each in disbelieved(doc, fields[name], hints[name], f"{at}.{name}")]


def is_nullable(doc: dict[str, Any], schema: dict[str, Any]) -> bool:
    """Whether the document lets a field be null."""
    return any(each.get("type") == "null" for each in resolved(doc, schema).get("anyOf", ()))


@pytest.mark.parametrize(
    ("store", "name"), CALLS, ids=[f"{store.__name__.rpartition('.')[2]}.{name}" for store, name in CALLS]
)
async def test_call_is_one_that_the_document_knows(store, name: str) -> None:
    function = getattr(store, name)
    names = list(inspect.signature(function).parameters.values())[2:]
    given = {each.name: GIVEN.get(each.name, ID if each.name.endswith("_id") else "text") for each in names}
    given = {key: HANDED.get(name, value) if value == {} else value for key, value in given.items()}
    recorder = Recorder()
    await function(recorder, Access(None, "", ID), **given)
    assert recorder.call is not None
    service, method, path, kind, sent = recorder.call
    doc = document(service)
    fitting = [each for each in doc["paths"] if re.fullmatch(re.sub(r"{\w+}", "[^/]+", each), path)]
    operations = [doc["paths"][each][method] for each in fitting if method in doc["paths"][each]]
    # Where several fit, the one is meant that names most of it.
    assert operations, (method, path)
    operation = operations[min(range(len(operations)), key=lambda index: fitting[index].count("{"))]
    known = {each["name"] for each in operation.get("parameters", ()) if each["in"] == "query"}
    assert set(sent.get("query", {})) <= known
    if sent.get("body"):
        _fits(doc, operation, sent["body"])
    answer = next(each for status, each in operation["responses"].items() if status.startswith("2"))
    shape = answer.get("content", {}).get("application/json", {}).get("schema", {})
    assert disbelieved(doc, shape, kind) == []


def _fits(doc: dict[str, Any], operation: dict[str, Any], body: dict[str, Any]) -> None:
    shape = resolved(doc, operation["requestBody"]["content"]["application/json"]["schema"])
    kinds = [resolved(doc, each) for each in shape.get("anyOf", [shape])]
    assert any(set(kind.get("required", ())) <= set(body) <= set(kind["properties"]) for kind in kinds), body
