"""The HTTP side of the campaign service: the routers of its rooms."""

from fastapi import FastAPI

from services.campaign.audience import api as audience
from services.campaign.campaigns.api import campaigns, previews, results
from services.campaign.channels import api as channels
from services.campaign.journeys.api import explaining, guests, journeys
from services.campaign.journeys.api import results as journey_results
from services.campaign.messages.api import callbacks, replies, settings, spending
from services.campaign.texts import api as texts
from shared.web.http import make_api


def make_app() -> FastAPI:
    """Staff's routes, and the addresses that providers call."""
    return make_api(
        "campaign",
        journeys.router,
        journey_results.router,
        guests.router,
        explaining.router,
        texts.router,
        campaigns.router,
        previews.router,
        results.router,
        channels.router,
        settings.router,
        spending.router,
        replies.router,
        audience.router,
        callbacks.router,
        max_body=64 * 1024,
        any_query=callbacks.ADDRESSES,
    )
