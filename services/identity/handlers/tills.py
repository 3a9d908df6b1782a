"""The API keys of tills."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from services.identity.handlers.cafes import hold_cafe
from services.identity.models.http import ApiKeyInfo, CreateApiKey, NewApiKey
from services.identity.rules import access as rules
from services.identity.store import cafes as store
from shared.clock import now
from shared.database.db import Connection
from shared.errors import NotFound, Rejected
from shared.events.identity import ApiKeyCreated, ApiKeyRevoked
from shared.messaging import outbox
from shared.security import ids
from shared.security.crypto import Keys, seal


async def create_api_key(
    conn: Connection, keys: Keys, cafe_id: UUID, command: CreateApiKey, *, by: UUID | None = None
) -> NewApiKey:
    """A new key for a till; the answer is the only place where it stands whole.

    Raises:
        Rejected: status 409 when the till has two live keys, 422 when the key would be expired at once.
    """
    moment = now()
    if command.expires_at is not None and command.expires_at <= moment:
        raise Rejected("expires_in_the_past", "expires_at is in the past.", "زمان پایان کلید گذشته است.")
    await hold_cafe(conn, cafe_id)
    if len(_live(await store.list_api_keys(conn, cafe_id), command.device_name, moment)) >= rules.LIVE_KEYS_PER_TILL:
        raise Rejected(
            "too_many_keys",
            "This till has two live keys; revoke one first.",
            "این دستگاه دو کلید فعال دارد؛ نخست یکی را باطل کنید.",
            status=409,
        )
    key = ids.generate_api_key()
    signing_key = ids.signing_key(key.secret).hex()
    event = ApiKeyCreated(
        cafe_id=cafe_id,
        occurred_at=moment,
        key_id=key.key_id,
        key_hash=ids.hash_api_key(key).hex(),
        signing_key_sealed=seal(keys, signing_key, table="till_keys", column="signing_key_sealed", row=key.key_id),
        scopes=sorted(command.scopes),
        device_name=command.device_name,
        expires_at=command.expires_at,
    )
    await store.insert_api_key(conn, event, by)
    await outbox.emit(conn, [event])
    return NewApiKey(
        key_id=key.key_id,
        device_name=event.device_name,
        scopes=event.scopes,
        created_at=moment,
        expires_at=event.expires_at,
        revoked_at=None,
        api_key=key.text,
    )


async def revoke_api_key(conn: Connection, cafe_id: UUID, key_id: str) -> ApiKeyInfo:
    """The key, refused from now on.

    Raises:
        NotFound: the cafe has no such live key.
    """
    moment = now()
    revoked = await store.revoke_api_key(conn, cafe_id, key_id, moment)
    if revoked is None:
        raise NotFound("live key", "کلید فعال")
    await outbox.emit(conn, [ApiKeyRevoked(cafe_id=cafe_id, occurred_at=moment, key_id=key_id)])
    return revoked


def _live(api_keys: Sequence[ApiKeyInfo], device_name: str, moment: datetime) -> list[ApiKeyInfo]:
    return [
        key
        for key in api_keys
        if key.device_name == device_name
        and key.revoked_at is None
        and (key.expires_at is None or key.expires_at > moment)
    ]
