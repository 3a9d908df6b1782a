"""The HTTP side of the visit service."""

from functools import partial

from fastapi import FastAPI

from services.visit.api import staff, till
from shared.gathering import Gathering
from shared.http import make_api

# A thousand bills of an offline day in one call.
LARGEST_BATCH = 8 * 1024 * 1024


def make_app() -> FastAPI:
    """Tills' and staff's routes."""
    app = make_api("visit", till.router, staff.router, max_body=LARGEST_BATCH)
    app.state.bills = Gathering(partial(till.write, app.state))
    return app
