"""Whatever one looks for, by typing it: a guest, a page, something to do; and what the words of the console mean."""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from services.console.api.forms import Typed
from services.console.api.rendering import catalogue, page
from services.console.api.visiting import Here, upstream
from services.console.handlers import guests
from services.console.handlers.panels import panel
from services.console.rules.commands import matching
from services.console.rules.words import EXPLAINED, LANGUAGES
from services.console.store.upstream import Away, RefusedCall

router = APIRouter(prefix="/c/{cafe_id}", include_in_schema=False)


@router.post("/find")
async def find(request: Request, here: Here, typed: Typed = "") -> Response:
    """What the typed text may mean: a part of every page. It is no address, as it may be a number or a name."""
    found = matching(typed, here.cafe.role, _words_of)
    try:
        hits = await panel(guests.search(upstream(request), here, typed))
    except RefusedCall:
        # No number and no name: the pages are found all the same.
        hits = None
    shown: dict[str, Any] = {"commands": found, "hits": () if hits is None or isinstance(hits, Away) else hits}
    return page(request, "palette_part.html", here, typed=typed, **shown)


@router.get("/help")
async def explain_words(request: Request, here: Here) -> Response:
    """Every state and every reason, in one sentence each."""
    families = {family: catalogue().values_of(f"help_{family}") for family in EXPLAINED}
    return page(request, "help.html", here, nav="help", families=families)


def _words_of(key: str) -> str:
    return " ".join(catalogue().say(language, key) for language in LANGUAGES)
