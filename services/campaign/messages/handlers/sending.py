"""Handing messages to providers: every cafe in its turn, every account in a lane of its own."""

import asyncio
import contextlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final
from uuid import UUID

from services.campaign.channels import rules as channels_rules
from services.campaign.channels import store as channels_store
from services.campaign.channels.handlers.accounts import UnusableKey, lock_accounts, open_provider
from services.campaign.channels.handlers.lanes import INSTALLATION, Lanes
from services.campaign.channels.models.values import AccountsOfCafes, Message, Provider, SendResult
from services.campaign.channels.registry import ADAPTERS
from services.campaign.channels.rules import first_choice
from services.campaign.channels.transport import CALL_SECONDS, open_client
from services.campaign.messages.handlers.claiming import Claimed, claim, give_up
from services.campaign.messages.handlers.settling import settle_apart
from services.campaign.messages.models.values import Handed, Place, Settled, Turn
from services.campaign.messages.rules import pace, settling
from services.campaign.messages.rules.turns import candidates, share_out
from services.campaign.messages.store.due import due_places
from shared.clock import now
from shared.crashpoints import crashpoint
from shared.database.db import Connection, Pool, heed_cancellation, is_outage, keyed_transaction, transaction
from shared.jobs.by_cafe import ByCafe
from shared.process import telemetry
from shared.process.discreet import bare, where
from shared.settings import Settings, settings

KEY_UNUSABLE: Final = "key_unusable"
SEND_DUE: Final = "campaign.send_due"
CALLS_AT_ONCE: Final = 100
CALLS_OF_CAFE: Final = 2
CALLS_OF_INSTALLATION: Final = 64
PROBES_AT_ONCE: Final = 16
# How long a cafe that was at fault in a round is decided for apart from the others.
APART_SECONDS: Final = 600.0
APART_SHARE: Final = 20
ROOM_WITHIN_SECONDS: Final = 0.25
# How long a cafe is left alone whose budget may not bear more until it is known what was charged.
PRICE_WITHIN_SECONDS: Final = 1.0
# A call that has not begun by then is not made: it must be over before the provider is asked about the message.
BEGIN_WITHIN_SECONDS: Final = pace.UNKNOWN_AFTER.total_seconds() - CALL_SECONDS - 3


class Sender:
    """The job that sends what is due, and the calls it has under way."""

    def __init__(self, config: Settings | None = None) -> None:
        self._config = config
        self.lanes = Lanes(CALLS_AT_ONCE, CALLS_OF_CAFE, CALLS_OF_INSTALLATION, PROBES_AT_ONCE)
        self._by_cafe = ByCafe("campaign", SEND_DUE)
        self._round = 0
        self._served: dict[UUID, int] = {}
        self._apart: dict[UUID, float] = {}
        self._waiting: dict[UUID, float] = {}
        self._trouble = _Trouble()

    @property
    def config(self) -> Settings:
        """What was given, else the settings of this process, which nobody reads before it runs."""
        return self._config or settings()

    async def send_due(self, pool: Pool) -> int:
        """Job: decides about what is due, each cafe's share of it, and lets what may go be sent. Returns how many
        messages were decided about and how many calls have ended.

        A crash after the decisions leaves the messages in "sending": the provider is asked about them.
        """
        self.lanes.stirred.clear()
        self._round += 1
        moment = now()
        waiting, looked_at = await self._decide(pool, moment)
        done = looked_at + self.lanes.take_ended()
        if waiting and not done and self.lanes.under_way:
            # Everybody who waits has calls under way: the next one that ends makes room.
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.lanes.stirred.wait(), ROOM_WITHIN_SECONDS)
                return 1
        return done

    async def _decide(self, pool: Pool, moment: datetime) -> tuple[bool, int]:
        """Whether somebody waits for room, and how many messages were decided about."""
        together: list[Turn] = []
        places: Sequence[Place] = ()
        try:
            async with keyed_transaction(pool) as conn:
                places = await due_places(conn, moment)
                turns, accounts = await self._turns(conn, places, moment)
                together = [turn for turn in turns if turn.cafe_id not in self._apart]
                claimed = await claim(conn, self.config, accounts, together, places, moment)
        except Exception as error:
            heed_cancellation()
            if not together or is_outage(error):
                raise
            telemetry.logger().error("round.failed", cafes=len(together), error=where(error), exc_info=bare(error))
            claimed, apart = Claimed({}, 0), [replace(t, share=min(t.share, APART_SHARE)) for t in together]
        else:
            self._begin(pool, claimed)
            apart = [replace(t, share=min(t.share, APART_SHARE)) for t in turns if t.cafe_id in self._apart]
        looked_at = claimed.looked_at
        for turn in apart:
            looked_at += await self._decide_apart(pool, turn, places, moment)
        return bool(places), looked_at

    async def _turns(
        self, conn: Connection, places: Sequence[Place], moment: datetime
    ) -> tuple[list[Turn], AccountsOfCafes]:
        """The turns of a round: of cafes for whose next message there is room."""
        clock = time.monotonic()
        self._apart = {cafe_id: until for cafe_id, until in self._apart.items() if until > clock}
        self._waiting = {cafe_id: until for cafe_id, until in self._waiting.items() if until > clock}
        left_out = self.lanes.full_cafes() | set(self._by_cafe.aside()) | self._waiting.keys()
        found = candidates(places, left_out, self._served)
        accounts = await self._accounts(conn, found)
        room, kept, probed = self.lanes.room(), [], set()
        for cafe_id in found:
            first = first_choice(accounts.get(cafe_id, ()), moment)
            # Who has nobody to send by is told so, and needs no room.
            if first is None or room.take(lane_of(first), probe=first.failures > 0):
                kept.append(cafe_id)
                if first is not None and first.failures > 0:
                    probed.add(cafe_id)
        due = {place.cafe_id for place in places}
        self._served = {id_: at for id_, at in self._served.items() if id_ in due} | dict.fromkeys(kept, self._round)
        return share_out(kept, probed), accounts

    async def _decide_apart(self, pool: Pool, turn: Turn, places: Sequence[Place], moment: datetime) -> int:
        """Decides for one cafe alone, after it or another was at fault. If it is this one, its messages are tried one
        by one, and the broken ones closed."""
        with contextlib.suppress(_AtFault):
            return await self._decide_alone(pool, turn, places, moment)
        self._apart[turn.cafe_id] = time.monotonic() + APART_SECONDS
        looked_at = 0
        async with self._by_cafe.alone(turn.cafe_id):
            for kind in ("delivery", "run"):
                own = [place for place in places if place.kind == kind]
                for _ in range(APART_SHARE):
                    found = await self._decide_one(pool, replace(turn, share=1), own, moment)
                    looked_at += found
                    if not found:
                        break
        return looked_at

    async def _decide_one(self, pool: Pool, turn: Turn, places: Sequence[Place], moment: datetime) -> int:
        try:
            return await self._decide_alone(pool, turn, places, moment)
        except _AtFault:
            async with keyed_transaction(pool) as conn:
                await lock_accounts(conn, self.config, [turn.cafe_id])
                return await give_up(conn, turn, places, self.config, moment)

    async def _decide_alone(self, pool: Pool, turn: Turn, places: Sequence[Place], moment: datetime) -> int:
        try:
            async with keyed_transaction(pool) as conn:
                accounts = await self._accounts(conn, [turn.cafe_id])
                claimed = await claim(conn, self.config, accounts, [turn], places, moment)
        except Exception as error:
            heed_cancellation()
            if is_outage(error):
                raise
            telemetry.logger().error(
                "cafe.failed", cafe_id=str(turn.cafe_id), error=where(error), exc_info=bare(error)
            )  # fmt: skip
            raise _AtFault from None
        self._begin(pool, claimed)
        return claimed.looked_at

    async def _accounts(self, conn: Connection, cafe_ids: Sequence[UUID]) -> AccountsOfCafes:
        found = await lock_accounts(conn, self.config, cafe_ids) if cafe_ids else {}
        return {cafe_id: [self._trouble.on(each) for each in rows] for cafe_id, rows in found.items()}

    def _begin(self, pool: Pool, claimed: Claimed) -> None:
        until = time.monotonic() + BEGIN_WITHIN_SECONDS
        self._waiting |= dict.fromkeys(claimed.waiting, time.monotonic() + PRICE_WITHIN_SECONDS)
        for provider, messages in claimed.by_provider.values():
            call = self._hand_over(pool, provider, messages, until)
            self.lanes.start(provider.cafe_id, lane_of(provider), call, probe=provider.failures > 0)

    async def _hand_over(self, pool: Pool, provider: Provider, messages: Sequence[Message], until: float) -> None:
        """Gives messages to their provider and writes down what it said."""
        async with open_client() as client:
            try:
                adapter = open_provider(provider, self.config, client)
            except UnusableKey:
                await self._write_down(
                    pool, provider, messages, _for_all(messages, SendResult("refused", code=KEY_UNUSABLE))
                )
                return
            for start in range(0, len(messages), adapter.largest_send):
                call = messages[start : start + adapter.largest_send]
                try:
                    results = await adapter.send(call, until)
                except Exception as error:
                    heed_cancellation()
                    telemetry.logger().error(
                        "call.failed", provider=str(provider.id), error=where(error), exc_info=bare(error)
                    )
                    results = _for_all(call, SendResult("unknown", code=type(error).__name__))
                await self._write_down(pool, provider, call, results)

    async def _write_down(
        self, pool: Pool, provider: Provider, messages: Sequence[Message], results: Mapping[int, SendResult]
    ) -> None:
        crashpoint("messages.before_settling")
        moment = now()
        keys = [(provider.cafe_id, message.delivery_id) for message in messages]

        def judge(handed: Handed) -> Settled | None:
            return settling.after_send(handed, results[handed.local_id], moment)

        async with self.lanes.writers:
            await self._note(pool, provider, list(results.values()), moment)
            await _note_price(pool, provider, messages, results)
            await settle_apart(pool, keys, judge, moment)

    async def _note(self, pool: Pool, provider: Provider, results: Sequence[SendResult], moment: datetime) -> None:
        """How the account fares, before its messages may be decided about again."""
        works, fault = channels_rules.account_fault(results)
        if lane_of(provider) == INSTALLATION:
            self._trouble.note(provider.cafe_id, works, fault, moment)
        if fault is not None:
            failures = provider.failures + 1
            until = moment + channels_rules.pause_after(failures)
            async with transaction(pool) as conn:
                await channels_store.note_failure(conn, provider, failures, fault, moment, until)
            telemetry.logger().warning(
                "provider.paused", provider=str(provider.id), reason=fault, failures=failures,
                seconds=(until - moment).total_seconds(),
            )  # fmt: skip
        elif works and provider.failures > 0:
            async with transaction(pool) as conn:
                await channels_store.note_success(conn, provider)


async def _note_price(
    pool: Pool, provider: Provider, messages: Sequence[Message], results: Mapping[int, SendResult]
) -> None:
    """What the account asks now, before anything else is decided by what it is expected to ask."""
    render = ADAPTERS[provider.provider_name].render
    charges = [(render(message.text).parts, results[message.local_id]) for message in messages]
    price = channels_rules.price_of(charges, provider.cost_per_sms)
    if price is not None and price != provider.charged_per_part:
        async with transaction(pool) as conn:
            await channels_store.note_price(conn, provider, price)


@dataclass
class _Trouble:
    """Whether the installation's own account is at fault: calls of two cafes in a row failed by it."""

    failures: int = 0
    until: datetime | None = None
    last_of: UUID | None = None

    def note(self, cafe_id: UUID, works: bool, fault: str | None, moment: datetime) -> None:
        if works:
            self.failures, self.until, self.last_of = 0, None, None
        elif fault is not None and channels_rules.is_of_all(fault):
            if self.last_of not in (None, cafe_id):
                self.failures += 1
                self.until = moment + channels_rules.pause_after(self.failures)
            self.last_of = cafe_id

    def on(self, provider: Provider) -> Provider:
        """The account with this trouble, if it is the installation's."""
        if self.until is None or lane_of(provider) != INSTALLATION:
            return provider
        until = max(self.until, provider.paused_until or self.until)
        return replace(provider, failures=max(self.failures, provider.failures), paused_until=until)


class _AtFault(Exception):
    """Deciding for this one cafe failed."""


def lane_of(provider: Provider) -> UUID:
    """Whose calls are counted together: one account's, or those by the installation's."""
    return INSTALLATION if provider.api_key_sealed is None else provider.id


def _for_all(messages: Sequence[Message], result: SendResult) -> dict[int, SendResult]:
    return dict.fromkeys((message.local_id for message in messages), result)
