"""The keys that sign tokens, and the tokens they sign."""

import json
import secrets
from datetime import datetime
from typing import Any
from uuid import UUID

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from jwt.algorithms import OKPAlgorithm

from services.identity.models.accounts import SigningKey
from services.identity.rules import sessions as rules
from services.identity.store import accounts as store
from shared.clock import new_id, now, unmoved
from shared.database.db import Connection
from shared.security.auth import ALGORITHM, AUDIENCE
from shared.security.crypto import Keys, seal, unseal


async def access_token(
    conn: Connection, keys: Keys, issuer: str, user_id: UUID, session_id: UUID, generation: int
) -> str:
    """A token that speaks for the person for `rules.TOKEN_LIFETIME`."""
    key = await ensure_signing_key(conn, keys)
    claims = rules.token_claims(user_id, session_id, generation, issuer, AUDIENCE, new_id(), unmoved())
    private = serialization.load_pem_private_key(_opened(keys, key).encode(), password=None)
    assert isinstance(private, Ed25519PrivateKey)
    return jwt.encode(claims, private, ALGORITHM, headers={"kid": key.key_id})


async def ensure_signing_key(conn: Connection, keys: Keys) -> SigningKey:
    """The key that signs tokens: a new one when there is none or the old one is due."""
    key = await store.active_signing_key(conn)
    if key is not None and not rules.signing_key_is_due(key.created_at, now()):
        return key
    key = await store.active_signing_key(conn, lock=True)
    if key is not None and not rules.signing_key_is_due(key.created_at, now()):
        return key
    fresh = _generate_signing_key(keys, now())
    await store.replace_signing_key(conn, fresh)
    return fresh


async def published_keys(conn: Connection, keys: Keys) -> dict[str, list[Any]]:
    """The JSON Web Key Set: every public key of which tokens may still be valid."""
    await ensure_signing_key(conn, keys)
    return {"keys": list(await store.published_keys(conn, now() - rules.KEYS_PUBLISHED_FOR))}


def _generate_signing_key(keys: Keys, moment: datetime) -> SigningKey:
    private = Ed25519PrivateKey.generate()
    key_id = secrets.token_hex(8)
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public: dict[str, str] = json.loads(OKPAlgorithm.to_jwk(private.public_key()))
    public.pop("key_ops", None)
    return SigningKey(
        key_id,
        seal(keys, pem.decode(), table="signing_keys", column="private_key_sealed", row=key_id),
        {**public, "kid": key_id, "alg": ALGORITHM, "use": "sig"},
        moment,
    )


def _opened(keys: Keys, key: SigningKey) -> str:
    return unseal(keys, key.private_key_sealed, table="signing_keys", column="private_key_sealed", row=key.key_id)
