"""What an API says of itself: an OpenAPI document that is true, and a page that shows it without the internet."""

import json
from collections.abc import Iterator
from html import escape
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from pydantic import BaseModel, ConfigDict

from shared.inputs.fields import LARGEST_INTEGER

PROBLEM = "application/problem+json"
METHODS = ("get", "put", "post", "delete", "patch")
REASONS = {
    401: "nobody is signed in, or the token or key does not hold",
    403: "the caller's role or scope does not allow this",
    404: "there is nothing with that id in this cafe",
    409: "it does not fit what is there already",
    410: "it was there once, and is over",
    413: "the body is too large",
    415: "the body is not JSON",
    422: "the input is not right; `errors` names the fields",
    429: "too many tries, or one is under way; try again after `Retry-After` seconds",
    503: "the database is away or too much is under way; try again after `Retry-After` seconds",
}
STYLE = """
body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1c2330}
details{border:1px solid #d5dae2;border-radius:6px;margin:.4rem 0;padding:.4rem .8rem}summary{cursor:pointer}
b{display:inline-block;min-width:4.2rem}code,pre{font:13px/1.45 ui-monospace,monospace}
pre{background:#f4f6f9;padding:.6rem;overflow:auto;max-height:28rem}h2{margin-top:2rem}
td,th{padding:.15rem .8rem .15rem 0;text-align:left;vertical-align:top}
"""


class InputFault(BaseModel):
    """One fault in the input: where, which rule, and how to mend it. The value itself is never repeated."""

    field: str
    code: str
    en: str
    fa: str


class ProblemBody(BaseModel):
    """Why a request was not served (RFC 9457), in English and Persian."""

    model_config = ConfigDict(title="Problem")

    type: str
    title: str
    title_fa: str
    status: int
    code: str
    errors: list[InputFault] = []


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """`responses` of a route that also answers with these, beyond what every route of its kind answers with."""
    return {status: _problem(status) for status in statuses}


def name_operations(route: APIRoute) -> str:
    """The operation's id: the name of its function."""
    return route.name


def document(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document: every status that is answered, one schema of problems, named bodies. Made once."""
    if app.openapi_schema is None:
        made = get_openapi(
            title=app.title,
            version=app.version,
            description=app.description,
            routes=app.routes,
            servers=[{"url": "/", "description": "the API that serves this document"}],
            license_info={"name": "All rights reserved", "url": "https://choosealicense.com/no-permission/"},
        )
        schemas = made.setdefault("components", {}).setdefault("schemas", {})
        for name in ("HTTPValidationError", "ValidationError"):
            schemas.pop(name, None)
        schemas["Problem"] = ProblemBody.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas |= schemas["Problem"].pop("$defs")
        for path, method, operation in operations(made):
            _name_body(operation, schemas)
            _add_problems(operation, path, method)
        app.openapi_schema = _exactly(made)
    return app.openapi_schema


def _exactly(made: Any) -> Any:
    # A key of a wrong form is refused, which the framework does not say. And it writes bounds as floats: the
    # largest integer would be one more than it is.
    if isinstance(made, dict):
        if "patternProperties" in made:
            made.setdefault("additionalProperties", False)
        return {key: _exactly(value) for key, value in made.items()}
    if isinstance(made, list):
        return [_exactly(value) for value in made]
    return min(int(made), LARGEST_INTEGER) if isinstance(made, float) and made.is_integer() else made


def operations(made: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Path, method and operation of everything in an OpenAPI document."""
    for path, item in made["paths"].items():
        for method in METHODS:
            if method in item:
                yield path, method, item[method]


def _problem(status: int) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "description": REASONS[status],
        "content": {PROBLEM: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
    if status in (429, 503):
        answer["headers"] = {"Retry-After": {"description": "seconds", "schema": {"type": "integer"}}}
    return answer


def _add_problems(operation: dict[str, Any], path: str, method: str) -> None:
    operation.setdefault("security", [])
    statuses = {422, 503}
    if operation["security"]:
        statuses |= {401, 403}
    if "{" in path:
        statuses.add(404)
    if method != "get":
        statuses.add(409)
    if "requestBody" in operation:
        statuses |= {413, 415}
    answers = operation["responses"]
    for status in statuses:
        answers[str(status)] = _problem(status)
    operation["responses"] = dict(sorted(answers.items()))


def _name_body(operation: dict[str, Any], schemas: dict[str, Any]) -> None:
    """A body that a route reads itself gets its place among the named schemas."""
    for content in operation.get("requestBody", {}).get("content", {}).values():
        schema = content["schema"]
        if "$ref" not in schema and "title" in schema:
            schemas |= schema.pop("$defs", {})
            schemas[schema["title"]] = schema
            content["schema"] = {"$ref": f"#/components/schemas/{schema['title']}"}


def page(made: dict[str, Any]) -> str:
    """The document for people to read: no script, nothing loaded from anywhere."""
    shown = "".join(_operation(path, method, operation) for path, method, operation in operations(made))
    schemas = "".join(
        f'<details id="{escape(name)}"><summary><code>{escape(name)}</code></summary>{_json(schema)}</details>'
        for name, schema in sorted(made["components"]["schemas"].items())
    )
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(made["info"]["title"])}</title>'
        f"<style>{STYLE}</style><h1>{escape(made['info']['title'])}</h1>"
        '<p>For programs: <a href="openapi.json">openapi.json</a></p>'
        f"<h2>Operations</h2>{shown}<h2>Schemas</h2>{schemas}</html>"
    )


def _operation(path: str, method: str, operation: dict[str, Any]) -> str:
    about = operation.get("description", operation.get("summary", ""))
    who = ", ".join(name for each in operation["security"] for name in each) or "everybody"
    parameters = "".join(
        f"<tr><td><code>{escape(each['name'])}</code><td>{each['in']}<td>{_kind(each['schema'])}"
        for each in operation.get("parameters", ())
    )
    body = "".join(_kind(each["schema"]) for each in operation.get("requestBody", {}).get("content", {}).values())
    answers = "".join(
        f"<tr><td>{status}<td>{escape(answer['description'])}<td>"
        + "".join(_kind(each["schema"]) for each in answer.get("content", {}).values() if each)
        for status, answer in operation["responses"].items()
    )
    return (
        f"<details><summary><b>{method.upper()}</b> <code>{escape(path)}</code></summary><p>{escape(about)}</p>"
        f"<p>For: {escape(who)}</p><table>{parameters}</table>"
        f"{'<p>Body: ' + body + '</p>' if body else ''}<table>{answers}</table></details>"
    )


def _kind(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        name = escape(schema["$ref"].rpartition("/")[2])
        return f'<a href="#{name}">{name}</a>'
    return _json(schema) if schema else ""


def _json(schema: dict[str, Any]) -> str:
    return f"<pre>{escape(json.dumps(schema, ensure_ascii=False, indent=1))}</pre>"
