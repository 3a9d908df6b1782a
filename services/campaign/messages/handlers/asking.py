"""Finding out what became of messages: providers are asked about each cafe's in turns, and no cafe waits for another's
provider."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from operator import attrgetter
from typing import Any, Final, Literal
from uuid import UUID

import httpx2

from services.campaign.channels import store as channels_store
from services.campaign.channels.handlers.accounts import UnusableKey, on_its_terms, open_provider
from services.campaign.channels.handlers.lanes import Lanes
from services.campaign.channels.models.values import DeliveryReceipt, Provider
from services.campaign.channels.protocol import Adapter, CannotKnow
from services.campaign.channels.transport import open_client
from services.campaign.messages.handlers.settling import settle_apart
from services.campaign.messages.models.values import Handed, Place, Settled, Turn
from services.campaign.messages.rules import settling
from services.campaign.messages.rules.turns import candidates, share_out
from services.campaign.messages.store import deliveries
from services.campaign.messages.store.due import unsettled_places
from shared.clock import now
from shared.database.db import Connection, Pool, heed_cancellation, plan_by_key, transaction
from shared.jobs.by_cafe import ByCafe
from shared.process import telemetry
from shared.settings import Settings, settings

CALLS_AT_ONCE: Final = 32
LEASE: Final = timedelta(minutes=2)
Status = Literal["sending", "sent"]
JOB_OF: Final[Mapping[Status, str]] = {"sending": "campaign.settle_unknown", "sent": "campaign.poll_receipts"}
Question = Callable[[Adapter, Sequence[Handed]], Awaitable[Mapping[UUID, DeliveryReceipt]]]
AnswerSettler = Callable[[Handed, DeliveryReceipt | None, datetime], Settled | None]


class Asker:
    """A job that asks providers about the messages in one status, and the calls it has under way."""

    def __init__(self, status: Status, config: Settings | None = None) -> None:
        self.status, self._config = status, config
        self.lanes = Lanes(CALLS_AT_ONCE, of_cafe=1, of_installation=CALLS_AT_ONCE, probing=CALLS_AT_ONCE)
        self._by_cafe = ByCafe("campaign", JOB_OF[status])
        self._round = 0
        self._served: dict[UUID, int] = {}

    @property
    def config(self) -> Settings:
        """What was given, else the settings of this process, which nobody reads before it runs."""
        return self._config or settings()

    async def ask(self, pool: Pool) -> int:
        """Job: lets providers be asked about the messages whose time has come, each cafe's share of them. Returns how
        many messages and how many calls have ended. An answer that does not come is asked for again later."""
        self.lanes.stirred.clear()
        self._round += 1
        moment, places = now(), list[Place]()
        leased: dict[UUID, list[UUID]] = {}

        async def pick(conn: Connection, aside: Sequence[UUID]) -> Sequence[Turn]:
            await plan_by_key(conn)
            places.extend(await unsettled_places(conn, moment, self.status))
            return self._turns(places, aside)

        async def lease(conn: Connection, turns: Sequence[Turn]) -> int:
            until = moment + LEASE
            keys = await deliveries.lease_unsettled(conn, self.status, moment, until, turns, places)
            for cafe_id, delivery_id in keys:
                leased.setdefault(cafe_id, []).append(delivery_id)
            return len(keys)

        done = await self._by_cafe.run(pool, pick, lease, cafe_of=attrgetter("cafe_id"))
        for cafe_id, ids in leased.items():
            self.lanes.start(cafe_id, cafe_id, self._ask_for(pool, cafe_id, ids))
        return done + self.lanes.take_ended()

    def _turns(self, places: Sequence[Place], aside: Sequence[UUID]) -> list[Turn]:
        left_out = self.lanes.full_cafes() | set(aside)
        found = candidates(places, left_out, self._served)[: self.lanes.room().in_all]
        due = {place.cafe_id for place in places}
        self._served = {id_: at for id_, at in self._served.items() if id_ in due} | dict.fromkeys(found, self._round)
        return share_out(found)

    async def _ask_for(self, pool: Pool, cafe_id: UUID, delivery_ids: Sequence[UUID]) -> None:
        async with transaction(pool) as conn:
            rows = await deliveries.read_handed(conn, [(cafe_id, each) for each in delivery_ids])
            accounts = await channels_store.read_providers(conn, cafe_id)
        groups: dict[UUID, list[Handed]] = {}
        for row in rows:
            groups.setdefault(row.provider_id, []).append(row)
        question, judge = ASKED[self.status]
        async with open_client() as client:
            for provider_id, group in groups.items():
                answers = await self._answers(accounts[provider_id], client, question, group)
                await self._write_down(pool, group, answers, judge)

    async def _answers(
        self, provider: Provider, client: httpx2.AsyncClient, question: Question, rows: Sequence[Handed]
    ) -> Mapping[UUID, DeliveryReceipt]:
        try:
            if on_its_terms(provider, self.config).fault != "no_account":
                return await question(open_provider(provider, self.config, client), rows)
        except (CannotKnow, UnusableKey) as error:
            telemetry.logger().warning("provider.unanswered", provider=str(provider.id), error=type(error).__name__)
        except Exception as error:
            heed_cancellation()
            telemetry.logger().error("provider.unanswered", provider=str(provider.id), error=type(error).__name__)
        return {}

    async def _write_down(
        self, pool: Pool, group: Sequence[Handed], answers: Mapping[UUID, DeliveryReceipt], judge: AnswerSettler
    ) -> None:
        moment = now()
        keys = [(row.cafe_id, row.id) for row in group]
        async with self.lanes.writers:
            await settle_apart(pool, keys, lambda handed: judge(handed, answers.get(handed.id), moment), moment)


def _judge_receipt(handed: Handed, receipt: DeliveryReceipt | None, moment: datetime) -> Settled | None:
    return settling.after_receipt(handed, receipt, moment) if receipt else settling.after_silence(handed, moment)


async def _by_local_id(adapter: Adapter, rows: Sequence[Handed]) -> Mapping[UUID, DeliveryReceipt]:
    found = await adapter.find([row.local_id for row in rows])
    return {row.id: found[row.local_id] for row in rows if row.local_id in found}


async def _by_message_id(adapter: Adapter, rows: Sequence[Handed]) -> Mapping[UUID, DeliveryReceipt]:
    known = {row.id: row.provider_message_id for row in rows if row.provider_message_id}
    found = await adapter.receipts(list(known.values())) if known else {}
    return {row_id: found[message_id] for row_id, message_id in known.items() if message_id in found}


ASKED: Final[Mapping[Status, tuple[Question, Any]]] = {
    "sending": (_by_local_id, settling.after_find),
    "sent": (_by_message_id, _judge_receipt),
}
