"""An ended session and a removed person are refused by every running service within seconds."""

import asyncio

import httpx2

from deploy.demo import run as demo
from shared.database.db import Pool
from shared.services import WITH_DATABASE
from tests.e2e.conftest import System

PATHS = {
    "identity": "branches",
    "customer": "segments",
    "visit": "visits",
    "loyalty": "programs",
    "campaign": "journeys",
    "feedback": "cases",
}
PASSWORD = "violet teapot marches"


async def statuses(client: httpx2.AsyncClient, system: System, cafe: demo.DemoCafe) -> dict[str, int]:
    """What each service answers to the client's token."""
    return {
        service: (await client.get(f"{system.api(service)}/cafes/{cafe.cafe_id}/{PATHS[service]}")).status_code
        for service in WITH_DATABASE
    }


async def become(client: httpx2.AsyncClient, system: System, cafe: demo.DemoCafe, wanted: int) -> None:
    async with asyncio.timeout(20):
        while set((last := await statuses(client, system, cafe)).values()) != {wanted}:
            await asyncio.sleep(0.05)
    assert set(last.values()) == {wanted}


async def test_ended_session_and_removed_person_are_refused_everywhere(
    system: System, cafe: demo.DemoCafe, pools: dict[str, Pool], owner: httpx2.AsyncClient
) -> None:
    identity = system.api("identity")
    login = f"sara-{cafe.cafe_id.hex[-8:]}@example.com"
    body = {"login": login, "role": "manager", "display_name": "Sara"}
    invited = (await owner.post(f"{identity}/cafes/{cafe.cafe_id}/invitations", json=body)).raise_for_status().json()
    async with httpx2.AsyncClient(timeout=30) as sara, httpx2.AsyncClient(timeout=30) as phone:
        answer = await sara.post(f"{identity}/invitations/accept", json={"code": invited["code"], "password": PASSWORD})
        user_id = answer.raise_for_status().json()["user_id"]
        for client in (sara, phone):
            signed_in = await client.post(f"{identity}/sessions", json={"login": login, "password": PASSWORD})
            client.headers["Authorization"] = f"Bearer {signed_in.raise_for_status().json()['access_token']}"
        await become(sara, system, cafe, 200)
        (await sara.delete(f"{identity}/sessions/current")).raise_for_status()
        await become(sara, system, cafe, 401)
        assert set((await statuses(phone, system, cafe)).values()) == {200}
        (await phone.delete(f"{identity}/sessions")).raise_for_status()
        await become(phone, system, cafe, 401)
        signed_in = (await phone.post(f"{identity}/sessions", json={"login": login, "password": PASSWORD})).json()
        phone.headers["Authorization"] = f"Bearer {signed_in['access_token']}"
        await become(phone, system, cafe, 200)
        (await owner.delete(f"{identity}/cafes/{cafe.cafe_id}/members/{user_id}")).raise_for_status()
        async with asyncio.timeout(20):
            while not set((await statuses(phone, system, cafe)).values()) <= {401, 404}:
                await asyncio.sleep(0.05)
    await become(owner, system, cafe, 200)
