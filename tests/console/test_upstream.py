"""What the answer of an API means: it is away, or it says no."""

import httpx2
import pytest

from services.console.models.session import Access
from services.console.store.upstream import Away, RefusedCall, Upstream
from shared.clock import new_id
from shared.errors import CAFE_UNKNOWN, NotFound, Rejected
from shared.web.http import problem_response
from tests.console.house import settings


async def asked_of(error: Rejected) -> None:
    """A call that an API answers with that error."""
    answer = problem_response(error.status, error.code, error.en, error.fa)
    up = Upstream(settings())
    await up._http.aclose()
    up._http = httpx2.AsyncClient(
        transport=httpx2.MockTransport(lambda _: httpx2.Response(answer.status_code, content=bytes(answer.body)))
    )
    try:
        await up.get(Access("t", "", new_id()), "loyalty", "/cafes/x", object)
    finally:
        await up.close()


async def test_service_that_has_not_heard_of_a_cafe_is_away() -> None:
    with pytest.raises(Away, match="loyalty"):
        await asked_of(Rejected(CAFE_UNKNOWN, "There is no such cafe.", "چنین کافه‌ای پیدا نشد.", status=404))


async def test_what_is_not_there_is_refused() -> None:
    with pytest.raises(RefusedCall, match="not_found"):
        await asked_of(NotFound("visit", "بازدید"))
