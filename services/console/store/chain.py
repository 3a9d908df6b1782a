"""What the console asks for who has several cafes."""

from datetime import date
from typing import Any
from uuid import UUID

from services.console.models import chain
from services.console.models.session import Access
from services.console.store.upstream import Upstream


async def month(up: Upstream, access: Access, cafe_id: UUID, day: date) -> chain.MonthFigures:
    """The month of that day."""
    return await up.get(access, "visit", f"/cafes/{cafe_id}/statistics/month", chain.MonthFigures, {"day": day})


async def list_programs(up: Upstream, access: Access, cafe_id: UUID) -> tuple[chain.ProgramVersion, ...]:
    """All versions of the rules for points, the oldest first."""
    return await up.get(access, "loyalty", f"/cafes/{cafe_id}/programs", tuple[chain.ProgramVersion, ...])


async def list_texts(up: Upstream, access: Access, cafe_id: UUID) -> tuple[chain.LibraryText, ...]:
    """The library of texts."""
    return await up.get(access, "campaign", f"/cafes/{cafe_id}/templates", tuple[chain.LibraryText, ...])


async def add_text(up: Upstream, access: Access, cafe_id: UUID, written: dict[str, Any]) -> chain.LibraryText:
    """A text more in the library."""
    return await up.send(access, "campaign", "POST", f"/cafes/{cafe_id}/templates", chain.LibraryText, written)
