"""The HTTP side of loyalty."""

from fastapi import FastAPI

from services.loyalty.api import (
    cards,
    club,
    explaining,
    grant_runs,
    offers,
    own_page,
    referrals,
    rehearsals,
    rewards,
    staff,
    till,
)
from shared.settings import Settings
from shared.web import http


def make_app(config: Settings | None = None) -> FastAPI:
    """The application, not yet started."""
    routers = (
        rehearsals.router,
        staff.router,
        club.router,
        cards.router,
        rewards.router,
        referrals.router,
        offers.router,
        grant_runs.router,
        explaining.router,
        own_page.router,
        till.router,
    )
    return http.make_api("loyalty", *routers, config=config)
