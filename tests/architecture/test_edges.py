"""Every field and parameter of every API has a type that bounds it, and every document says what is answered."""

import json
import re
from collections import Counter
from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from importlib import import_module
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin
from uuid import UUID

import jsonschema
import pytest
from annotated_types import Ge, Gt, Le
from fastapi import FastAPI
from fastapi.dependencies.utils import get_flat_params
from fastapi.routing import APIRoute
from pydantic import BaseModel, PlainValidator, SecretStr, Strict
from pydantic.fields import FieldInfo

from services.visit.models.http import EnteredVisit
from shared.events import pos
from shared.inputs.amounts import DESCRIPTION
from shared.inputs.fields import Days, Moments, Reader
from shared.services import WITH_DATABASE
from shared.web.documents import METHODS, PROBLEM, operations

# Bodies that routes read themselves, digit by digit.
READ_BY_HAND = {model.__name__: model for model in (*pos.BODIES.values(), EnteredVisit)}
AMOUNT = re.compile(r"amount|spen[dt]|revenue|order_value|cost|price|budget|^total$|^discount$|^earn_per")
# Their unit stands on the bill.
OF_A_BILL = ("PosItem",)
PLAIN = (UUID, NoneType, Ellipsis)
JSON_SCHEMA_WORDS = set(jsonschema.Draft202012Validator.VALIDATORS) | {
    *("title", "description", "default", "examples", "deprecated", "writeOnly", "contentMediaType"),
}


@pytest.fixture(params=WITH_DATABASE)
def app(request: pytest.FixtureRequest) -> FastAPI:
    made: FastAPI = import_module(f"services.{request.param}.api.app").make_app()
    return made


def routes_of(app: FastAPI) -> list[APIRoute]:
    """Every route of the service itself."""
    routers = [each.original_router for each in app.routes if hasattr(each, "original_router")]
    found = [route for router in routers for route in router.routes if isinstance(route, APIRoute)]
    assert found
    return found


def unbounded(kind: Any, where: str, marks: tuple[Any, ...] = ()) -> Iterator[str]:
    """Which parts of a type take anything that may come."""
    marks = tuple(inner for mark in marks for inner in (mark.metadata if isinstance(mark, FieldInfo) else (mark,)))
    if is_bounded(kind, marks, where):
        return
    if get_origin(kind) is Annotated:
        kind, *own = get_args(kind)
        yield from unbounded(kind, where, (*own, *marks))
    elif get_origin(kind) in (Union, UnionType, list, tuple, set, frozenset, dict):
        for part in get_args(kind):
            yield from unbounded(part, where, marks if type(None) in get_args(kind) else ())
    elif isinstance(kind, type) and issubclass(kind, BaseModel):
        assert kind.model_config.get("extra") == "forbid", f"{kind.__name__} takes fields that nobody knows"
        for name, field in kind.model_fields.items():
            yield from unbounded(field.annotation, f"{kind.__name__}.{name}", tuple(field.metadata))
    else:
        yield f"{where}: {getattr(kind, '__name__', kind)}"


def is_bounded(kind: Any, marks: tuple[Any, ...], where: str) -> bool:
    """Whether what may come is known."""
    # Amounts of a bill are read digit by digit, by validators of their own.
    if any(isinstance(mark, Reader | PlainValidator) for mark in marks):
        return True
    named = {type(mark) for mark in marks}
    if Le in named and {Ge, Gt} & named:
        return True
    # In JSON true is true and nothing else; in an address everything is text.
    if kind is bool:
        return any(type(mark) is Strict for mark in marks) or where.startswith("?")
    return get_origin(kind) is Literal or kind in PLAIN or (isinstance(kind, type) and issubclass(kind, Enum))


def test_every_field_and_parameter_is_bounded_by_a_shared_type(app: FastAPI) -> None:
    found: list[str] = []
    for route in routes_of(app):
        for field in get_flat_params(route.dependant):
            if field.field_info.alias not in ("Authorization", "X-API-Key"):
                marks = tuple(field.field_info.metadata)
                found += unbounded(field.field_info.annotation, f"?{route.name}: {field.name}", marks)
        if route.body_field is not None:
            info = route.body_field.field_info
            found += unbounded(info.annotation, f"{route.name}: body", tuple(info.metadata))
    assert not found


@pytest.mark.parametrize("model", READ_BY_HAND.values())
def test_every_field_of_a_body_that_is_read_by_hand_is_bounded(model: type[BaseModel]) -> None:
    assert not list(unbounded(model, model.__name__))


def test_a_field_without_a_bound_is_found() -> None:
    class Loose(BaseModel, extra="forbid"):
        text: str
        moment: datetime | None
        day: list[date]
        number: Annotated[int, "small"]
        amount: Decimal
        secret: SecretStr
        fine: Annotated[date, Days(2000)]
        good: Annotated[datetime, Moments()] | None

    assert len(list(unbounded(Loose, "Loose"))) == 6


def test_document_says_what_is_answered(app: FastAPI) -> None:
    made = app.openapi()
    text = json.dumps(made)
    assert "HTTPValidationError" not in text
    assert made["servers"]
    assert made["info"]["license"]["name"]
    problem = made["components"]["schemas"]["Problem"]
    assert {"title", "title_fa", "status", "code", "errors"} <= problem["properties"].keys()
    known = {(route.path_format, method.lower()): route for route in routes_of(app) for method in route.methods}
    for path, method, operation in operations(made):
        answers = operation["responses"]
        refusals = {status for status in answers if status >= "400"}
        assert {"422", "503"} <= refusals
        assert all(list(answers[status]["content"]) == [PROBLEM] for status in refusals), path
        assert operation["tags"], path
        asks = {type(each.security_scheme).__name__ for each in _security(known[path, method])}
        named = {name for each in operation["security"] for name in each}
        assert named == asks, path
        assert {"401", "403"} <= refusals or not asks, path
        for content in operation.get("requestBody", {}).get("content", {}).values():
            assert list(content["schema"]) == ["$ref"], f"the body of {path} has no name"


def _security(route: APIRoute) -> list[Any]:
    waiting, found = [route.dependant], []
    while waiting:
        each = waiting.pop()
        waiting += each.dependencies
        found += [each] if hasattr(each.call, "scheme_name") else []
    return [type("Scheme", (), {"security_scheme": each.call}) for each in found]


def test_operations_are_named_once_and_every_word_is_json_schema(app: FastAPI) -> None:
    made = app.openapi()
    names = Counter(operation["operationId"] for *_, operation in operations(made))
    assert max(names.values()) == 1, names.most_common(3)
    assert all(re.fullmatch("[a-z][a-z0-9_]*", name) for name in names)
    assert all(set(item) <= {*METHODS, "parameters"} for item in made["paths"].values())
    for name, schema in made["components"]["schemas"].items():
        jsonschema.Draft202012Validator.check_schema(schema)
        assert not list(strange_words(schema)), name
    for path, _, operation in operations(made):
        for parameter in operation.get("parameters", ()):
            assert not list(strange_words(parameter["schema"])), path


def strange_words(schema: Any) -> Iterator[str]:
    """Keywords of a schema that JSON Schema does not know."""
    if isinstance(schema, bool):
        return
    for word, value in schema.items():
        if word not in JSON_SCHEMA_WORDS:
            yield word
        inner: list[Any] = []
        if word == "properties":
            inner = list(value.values())
        elif word in ("items", "additionalProperties", "not", "propertyNames"):
            inner = [value]
        elif word in ("anyOf", "oneOf", "allOf", "prefixItems"):
            inner = value
        for each in inner:
            yield from strange_words(each)


def test_every_amount_has_its_unit_beside_it(app: FastAPI) -> None:
    schemas = app.openapi()["components"]["schemas"]
    priced = {name: fields for name, each in schemas.items() if (fields := amounts_of(each)) and name not in OF_A_BILL}
    assert not [name for name in priced if "currency_unit" not in schemas[name]["properties"]]
    shown = {name for name in priced if schemas[name].get("additionalProperties", True)}
    unmarked = [
        (name, field)
        for name in shown
        for field in priced[name]
        if DESCRIPTION not in (text := json.dumps(schemas[name]["properties"][field])) and '"integer"' not in text
    ]
    assert not unmarked


def amounts_of(schema: dict[str, Any]) -> list[str]:
    """Fields of a schema that are money by their names."""
    return [
        name
        for name in schema.get("properties", ())
        if AMOUNT.search(name) and not name.endswith(("_toman", "_points"))
    ]


def test_documents_show_without_the_internet(app: FastAPI) -> None:
    from shared.web.documents import page

    shown = page(app.openapi())
    assert "<script" not in shown
    assert not re.search(r"(src|href)=\"?(https?:)?//", shown)
    assert all(f"<code>{path}</code>" in shown for path in app.openapi()["paths"])
