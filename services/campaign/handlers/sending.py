"""Handing messages to providers, and finding out what became of them."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import httpx2

from services.campaign.handlers.claiming import claim
from services.campaign.handlers.providers.accounts import has_account, open_provider
from services.campaign.handlers.providers.base import LookupFailed, SmsProvider
from services.campaign.handlers.providers.kavenegar import open_client
from services.campaign.handlers.settling import settle
from services.campaign.models import Handed, Message, Provider, Receipt, SendResult, Settled
from services.campaign.rules import settling
from services.campaign.store import deliveries, providers
from shared import telemetry
from shared.clock import now
from shared.crashpoints import crashpoint
from shared.crypto import CannotUnseal
from shared.db import Pool, keyed_transaction, transaction
from shared.settings import Settings

LOOKUPS: Final = 500
LEASE: Final = timedelta(minutes=2)

Question = Callable[[SmsProvider, Sequence[Handed]], Awaitable[Mapping[UUID, Receipt]]]
Judge = Callable[[Handed, Receipt | None, datetime], Settled | None]


async def send_due(pool: Pool, *, config: Settings) -> int:
    """Job: decides about what is due and sends what may go. Returns how many messages were decided about.

    A crash after the decisions leaves the messages in "sending": `settle_unknown` asks the provider about them.
    """
    async with keyed_transaction(pool) as conn:
        claimed = await claim(conn, config, now())
    if claimed.by_provider:
        async with open_client() as client:
            await asyncio.gather(*(hand_over(pool, config, client, *group) for group in claimed.by_provider.values()))
    return claimed.looked_at


async def hand_over(
    pool: Pool, config: Settings, client: httpx2.AsyncClient, provider: Provider, messages: Sequence[Message]
) -> None:
    """Gives messages to their provider and writes down what it said."""
    try:
        adapter = open_provider(provider, config, client)
    except CannotUnseal:
        telemetry.logger().error("provider.unreadable", provider=str(provider.id))
        refused = SendResult("refused", code="key_unreadable")
        await _settle_sent(pool, provider, messages, dict.fromkeys((m.local_id for m in messages), refused))
        return
    for start in range(0, len(messages), adapter.largest_send):
        call = messages[start : start + adapter.largest_send]
        await _settle_sent(pool, provider, call, await adapter.send(call))


async def _settle_sent(
    pool: Pool, provider: Provider, messages: Sequence[Message], results: Mapping[int, SendResult]
) -> None:
    crashpoint("messages.before_settling")
    moment = now()

    def judge(handed: Handed) -> Settled | None:
        return settling.after_send(handed, results[handed.local_id], moment)

    async with transaction(pool) as conn:
        await settle(conn, [(provider.cafe_id, message.delivery_id) for message in messages], judge, moment)


async def settle_unknown(pool: Pool, *, config: Settings) -> int:
    """Job: asks providers, by our own ids, about messages whose sending was interrupted. Returns how many."""
    return await _ask(pool, config, "sending", settling.after_find, _by_local_id)


async def poll_receipts(pool: Pool, *, config: Settings) -> int:
    """Job: asks providers how far sent messages have come. Returns how many were asked about."""
    return await _ask(pool, config, "sent", _judge_receipt, _by_message_id)


def _judge_receipt(handed: Handed, receipt: Receipt | None, moment: datetime) -> Settled | None:
    return settling.after_receipt(handed, receipt, moment) if receipt else None


async def _by_local_id(adapter: SmsProvider, rows: Sequence[Handed]) -> Mapping[UUID, Receipt]:
    found = await adapter.find([row.local_id for row in rows])
    return {row.id: found[row.local_id] for row in rows}


async def _by_message_id(adapter: SmsProvider, rows: Sequence[Handed]) -> Mapping[UUID, Receipt]:
    known = [(row.id, row.provider_message_id) for row in rows if row.provider_message_id]
    found = await adapter.receipts([message_id for _, message_id in known])
    return {row_id: found[message_id] for row_id, message_id in known}


async def _ask(
    pool: Pool,
    config: Settings,
    status: str,
    judge: Judge,
    question: Question,
) -> int:
    moment = now()
    async with transaction(pool) as conn:
        rows = await deliveries.lease_unsettled(conn, status, moment, moment + LEASE, LOOKUPS)
        accounts = await providers.read_providers(conn, sorted({row.provider_id for row in rows}))
    groups: dict[UUID, list[Handed]] = {}
    for row in rows:
        groups.setdefault(row.provider_id, []).append(row)
    if not groups:
        return 0
    async with open_client() as client:
        for provider_id, group in groups.items():
            answers = await _answers(accounts[provider_id], config, client, question, group)
            await _settle_asked(pool, group, answers, judge)
    return len(rows)


async def _answers(
    provider: Provider,
    config: Settings,
    client: httpx2.AsyncClient,
    question: Question,
    rows: Sequence[Handed],
) -> Mapping[UUID, Receipt]:
    try:
        if has_account(provider, config):
            return await question(open_provider(provider, config, client), rows)
    except (LookupFailed, CannotUnseal) as error:
        telemetry.logger().warning("provider.unanswered", provider=str(provider.id), error=type(error).__name__)
    return {}


async def _settle_asked(pool: Pool, group: Sequence[Handed], answers: Mapping[UUID, Receipt], judge: Judge) -> None:
    moment = now()
    async with transaction(pool) as conn:
        keys = [(row.cafe_id, row.id) for row in group]
        await settle(conn, keys, lambda handed: judge(handed, answers.get(handed.id), moment), moment)
