"""The HTTP side of the feedback service."""

from fastapi import FastAPI

from services.feedback.api import explaining, guest, points, staff
from shared.web.http import make_api


def make_app() -> FastAPI:
    """Guests' pages and staff's routes. Bodies are short: a comment and a handful of numbers."""
    return make_api(
        "feedback",
        guest.router,
        staff.router,
        points.router,
        explaining.router,
        max_body=32 * 1024,
        any_query=("/f/{token}", "/f/{token}/thanks", "/q/{code}", "/q/{code}/thanks"),
        for_outside=("/f/", "/q/", "/api/feedback/", "/healthz"),
    )
