"""Identity over HTTP: signing in, the published keys, people, and the management of cafes."""

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI

from services.identity.api import asking, cafes, people, policies, sessions
from services.identity.handlers import signing
from shared.database import db
from shared.security.auth import PublicKeys
from shared.settings import Settings
from shared.web import http


def make_app(config: Settings | None = None) -> FastAPI:
    """The service's HTTP application."""
    routers = (sessions.router, cafes.router, policies.router, people.managed, people.public)
    app = http.make_api("identity", *routers, config=config)

    async def own_keys() -> Mapping[str, Any]:
        async with db.transaction(app.state.pool) as conn:
            return await signing.published_keys(conn, app.state.settings.keys)

    # The issuer asks itself over the database and not over HTTP.
    app.state.staff_keys = PublicKeys(own_keys)
    app.state.tries = asking.new_tries()
    return app
