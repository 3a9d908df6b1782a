"""The HTTP side of loyalty."""

from fastapi import FastAPI

from services.loyalty.api import club, staff, till
from shared.settings import Settings
from shared.web import http


def make_app(config: Settings | None = None) -> FastAPI:
    """The application, not yet started."""
    return http.make_api("loyalty", staff.router, club.router, till.router, config=config)
