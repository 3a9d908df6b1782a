"""The HTTP side of the campaign service."""

from fastapi import FastAPI

from services.campaign.api import callbacks, campaigns, duty, journeys, previews, providers, replies
from shared.web.http import make_api


def make_app() -> FastAPI:
    """Staff's routes, and the addresses that providers call."""
    return make_api(
        "campaign",
        journeys.router,
        campaigns.router,
        previews.router,
        providers.router,
        replies.router,
        duty.router,
        callbacks.router,
        max_body=64 * 1024,
        any_query=callbacks.ADDRESSES,
    )
