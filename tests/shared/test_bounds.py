"""No amount and no number of points comes in unbounded, and what the bounds allow fits wherever it is added up."""

import importlib
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from shared.events import pos
from shared.inputs.bounds import MOST_POINTS, MOST_RIAL, MOST_TOMAN, Points, Rial, within
from shared.services import WITH_DATABASE
from shared.web.validation_errors import problems_of

# Numbers that count neither money nor points: a till's own numbering, and rows of a ledger.
OTHER_NUMBERS = {"device_sequence", "before"}
POINTS = ("points", "threshold", "approval")


def _numbers(name: str, schema: Any, definitions: dict[str, Any], path: str) -> Iterator[tuple[str, str, Any]]:
    """(path, name, schema) of every number in a schema of what comes in."""
    if "$ref" in schema:
        definition = schema["$ref"].rpartition("/")[2]
        if definition not in path.split("/"):
            yield from _numbers(name, definitions[definition], definitions, f"{path}/{definition}")
        return
    if schema.get("type") in ("number", "integer"):
        yield path, name, schema
    for option in (*schema.get("anyOf", ()), *schema.get("allOf", ()), *schema.get("oneOf", ())):
        yield from _numbers(name, option, definitions, path)
    for field, each in schema.get("properties", {}).items():
        yield from _numbers(field, each, definitions, f"{path}.{field}")
    for inner in ("items", "additionalProperties"):
        if isinstance(schema.get(inner), dict):
            yield from _numbers(name, schema[inner], definitions, path)


def _incoming() -> Iterator[tuple[str, str, Any]]:
    for service in WITH_DATABASE:
        api = importlib.import_module(f"services.{service}.api.app").make_app().openapi()
        definitions = api.get("components", {}).get("schemas", {})
        for route, methods in api["paths"].items():
            for method, operation in methods.items():
                where = f"{service} {method} {route}"
                for parameter in operation.get("parameters", ()):
                    yield from _numbers(parameter["name"], parameter["schema"], definitions, where)
                for content in operation.get("requestBody", {}).get("content", {}).values():
                    yield from _numbers("body", content["schema"], definitions, where)
    for kind, body in pos.BODIES.items():
        schema = body.model_json_schema()
        yield from _numbers("body", schema, schema.get("$defs", {}), kind)


@pytest.mark.filterwarnings("ignore:Duplicate Operation ID")
def test_every_number_that_comes_in_has_a_bound() -> None:
    found = list(_incoming())
    assert len(found) > 60
    names = {name for _, name, _ in found}
    assert {"total", "discount", "amount", "budget", "cost_per_sms", "order_amount", "points", "threshold"} <= names
    unbounded = {
        path
        for path, name, schema in found
        if name not in OTHER_NUMBERS
        and not schema.get("maximum", MOST_RIAL + 1) <= (MOST_POINTS if name.startswith(POINTS) else MOST_RIAL)
    }
    assert not unbounded


@pytest.mark.parametrize(
    ("kind", "value", "code"),
    [
        (Rial, MOST_RIAL + 1, "too_large"),
        (Rial, f"{MOST_RIAL}.01", "too_large"),
        (Rial, "1" * 41, "exact_number"),
        (Rial, "-1", "negative"),
        (Rial, "1.001", "two_decimals"),
        (Rial, 1.5, "exact_number"),
        (Rial, True, "exact_number"),
        (Rial, "NaN", "exact_number"),
        (Rial, Decimal("NaN"), "exact_number"),
        (Rial, Decimal("-Infinity"), "exact_number"),
        (Rial, "1e5", "exact_number"),
        (Rial, "1_000", "exact_number"),
        (Points, MOST_POINTS + 1, "less_than_equal"),
        (Points, 0, "greater_than_equal"),
    ],
)
def test_what_is_out_of_bounds_is_answered_with_the_way_to_mend_it(kind: Any, value: Any, code: str) -> None:
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(kind).validate_python(value)
    [problem] = problems_of(caught.value.errors())
    assert problem.code == code
    assert problem.en
    assert problem.fa != "مقدار درست نیست"


@pytest.mark.parametrize("typed", ["۱۰۰۰۰۰۰۰۰۰۰۰۰۰", str(MOST_RIAL), MOST_RIAL])
def test_largest_amount_is_taken_in_any_digits(typed: Any) -> None:
    assert TypeAdapter(Rial).validate_python(typed) == 10 * MOST_TOMAN


@pytest.mark.parametrize("points", [-MOST_POINTS, -1, 0, MOST_POINTS])
def test_points_of_before_there_was_a_bound_are_held_to_it(points: int) -> None:
    assert within(points) == points
    assert (within(MOST_POINTS + 1), within(-MOST_POINTS - 1)) == (MOST_POINTS, -MOST_POINTS)
