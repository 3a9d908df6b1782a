"""A page is made of panels. One whose service is away says so, and the others are shown."""

from collections.abc import Awaitable
from typing import TypeVar

from services.console.store.upstream import Away, RefusedCall

T = TypeVar("T")


async def panel(asked: Awaitable[T]) -> T | Away:
    """What a panel shows, or that its service is away."""
    try:
        return await asked
    except Away as error:
        return error


async def found(asked: Awaitable[T]) -> T | None:
    """What was asked for; None where there is no such thing."""
    try:
        return await asked
    except RefusedCall as error:
        if error.status == 404:
            return None
        raise


def there(value: T | Away, otherwise: T) -> T:
    """The value, or another one for a service that is away."""
    return otherwise if isinstance(value, Away) else value
