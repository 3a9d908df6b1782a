"""What a log may say of an error: never a message that we did not write for readers, as it may quote a row."""

import sys
from collections.abc import MutableMapping
from typing import Any

import asyncpg
import msgspec

from shared.errors import Poison, Rejected


def where(error: BaseException) -> str:
    """What went wrong without the data it went wrong on."""
    if isinstance(error, (Poison, msgspec.DecodeError)):
        return str(error)
    if isinstance(error, Rejected):
        return "; ".join([error.en, *(f"{problem.field}: {problem.en}" for problem in error.problems)])
    if isinstance(error, asyncpg.PostgresError):
        constraint = getattr(error, "constraint_name", None) or getattr(error, "column_name", None) or ""
        return f"{type(error).__name__} {constraint}".strip()
    return type(error).__name__


def bare(error: BaseException) -> Exception:
    """The error's kind and traceback without its words, nor those of what it came from."""
    return RuntimeError(where(error)).with_traceback(error.__traceback__)


def without_words(_: object, __: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A step of every log line: whatever error is logged with it, by us or by a library, is logged bare."""
    logged = line.get("exc_info")
    if logged is True:
        logged = sys.exc_info()
    error = logged[1] if isinstance(logged, tuple) else logged
    if isinstance(error, BaseException):
        line["exc_info"] = bare(error)
    return line
