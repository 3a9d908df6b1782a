"""The HTTP side of the visit service."""

from functools import partial

from fastapi import FastAPI

from services.visit.api import explaining, own_page, reports, staff, till
from shared.web.coalescing import Gathering
from shared.web.http import make_api

# A thousand bills of an offline day in one call.
LARGEST_BATCH = 8 * 1024 * 1024
# A transaction costs some nine round trips however many bills are in it, and at 300 bills a second held two of them.
PACE_SECONDS = 0.02


def make_app() -> FastAPI:
    """Tills' and staff's routes."""
    app = make_api(
        "visit", till.router, staff.router, explaining.router, own_page.router, reports.router, max_body=LARGEST_BATCH
    )
    app.state.bills = Gathering(partial(till.write, app.state), pace_seconds=PACE_SECONDS)
    return app
