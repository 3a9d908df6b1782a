"""How often people open a link."""

import httpx2

from services.feedback import rules
from shared.database.db import Pool
from shared.events.feedback import LinkOpened
from tests.feedback.given import emitted, recorded, token_of, visits
from tests.feedback.test_api import FORM, app, client, pool

__all__ = ["app", "client", "pool"]

PERSON = {"user-agent": "Mozilla/5.0 (iPhone; CPU iPhone OS 17_4 like Mac OS X) AppleWebKit/605.1.15 Safari/604.1"}
NOBODY: list[dict[str, str]] = [
    {"user-agent": "WhatsApp/2.23.20.0"}, {"user-agent": "TelegramBot (like TwitterBot)"},
    {"user-agent": "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"},
    {"user-agent": "facebookexternalhit/1.1"}, {"sec-purpose": "prefetch;prerender"}, {"purpose": "prefetch"},
    {"x-purpose": "preview"}, {"x-moz": "prefetch"},
]  # fmt: skip


async def test_openings_by_people_are_told_with_their_number(client: httpx2.AsyncClient, pool: Pool) -> None:
    visit = recorded()
    await visits(pool, visit)
    address = f"/f/{token_of(visit)}"
    for _ in range(2):
        await client.get(address, headers=PERSON)
    for headers in NOBODY:
        assert (await client.get(address, headers=PERSON | headers)).status_code == 200
    assert (await client.head(address, headers=PERSON)).status_code in (200, 405)
    await client.get(f"{address}?s=q", headers=PERSON)  # a printed code is no message
    await client.post(address, data=FORM)
    assert (await client.get(address, headers=PERSON)).status_code == 409
    opened = [event for event in await emitted(pool) if isinstance(event, LinkOpened)]
    assert [(event.visit_id, event.customer_id, event.times) for event in opened] == [
        (visit.visit_id, visit.customer_id, times) for times in (1, 2, 3)
    ]


async def test_one_link_makes_only_so_many_events_a_day(client: httpx2.AsyncClient, pool: Pool) -> None:
    visit, of_nobody = recorded(), recorded(customer_id=None)
    await visits(pool, visit, of_nobody)
    for _ in range(rules.OPENINGS_A_DAY + 5):
        await client.get(f"/f/{token_of(visit)}")
        await client.get(f"/f/{token_of(of_nobody)}")
    assert len([event for event in await emitted(pool) if isinstance(event, LinkOpened)]) == rules.OPENINGS_A_DAY
    await pool.execute("UPDATE link_openings SET day = day - 1")
    await client.get(f"/f/{token_of(visit)}")
    (opened,) = [event for event in (await emitted(pool))[-1:] if isinstance(event, LinkOpened)]
    assert opened.times == rules.OPENINGS_A_DAY + 1
