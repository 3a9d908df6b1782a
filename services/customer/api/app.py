"""The HTTP side of the customer service."""

from fastapi import FastAPI

from services.customer.api import explaining, guests, own_page, segments, views
from shared.settings import Settings
from shared.web import http


def make_app(config: Settings | None = None) -> FastAPI:
    """The application, not yet started."""
    routers = (guests.router, segments.router, views.router, explaining.router, own_page.router)
    return http.make_api("customer", *routers, config=config)
