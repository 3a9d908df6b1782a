"""Tokens and till keys that do not hold are refused; rotation loses nobody."""

import asyncio
import base64
import contextlib
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from typing import Any, cast
from uuid import UUID, uuid4

import httpx2
import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from jwt.algorithms import OKPAlgorithm, RSAAlgorithm

from shared import clock
from shared.database import db
from shared.errors import Rejected
from shared.events.identity import ApiKeyCreated, ApiKeyRevoked
from shared.security import access, auth, ids
from shared.security.crypto import Keys, seal
from shared.web import dependencies
from tests.support import SECRET, Databases

ISSUER = "https://identity.example"
USER = UUID("00000000-0000-7000-8000-0000000000aa")
CAFE = UUID("00000000-0000-7000-8000-0000000000ca")
KEYS = Keys.from_secret(SECRET)
PRIVATE = Ed25519PrivateKey.generate()
OTHER = Ed25519PrivateKey.generate()
RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PUBLIC_PEM = PRIVATE.public_key().public_bytes(
    serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
)


def published(private: Ed25519PrivateKey, key_id: str) -> dict[str, Any]:
    return {**json.loads(OKPAlgorithm.to_jwk(private.public_key())), "kid": key_id, "alg": "EdDSA", "use": "sig"}


class Issuer:
    """Answers with its keys, or fails, and counts how often it was asked."""

    def __init__(self, *keys: Mapping[str, Any]) -> None:
        self.keys = list(keys)
        self.asked = 0
        self.away = False

    async def __call__(self) -> Mapping[str, Any]:
        self.asked += 1
        if self.away:
            raise httpx2.ConnectError("refused")
        return {"keys": self.keys}


def claims(**changes: Any) -> dict[str, Any]:
    moment = clock.now()
    good = {
        "iss": ISSUER,
        "aud": auth.AUDIENCE,
        "sub": str(USER),
        "iat": moment,
        "nbf": moment,
        "exp": moment + timedelta(hours=1),
    }
    return {name: value for name, value in {**good, **changes}.items() if value is not None}


def token(key: Any = PRIVATE, algorithm: str = "EdDSA", headers: dict[str, Any] | None = None, **changes: Any) -> str:
    return jwt.encode(claims(**changes), key, algorithm, headers={"kid": "one", **(headers or {})})


def _hs256_with_the_public_key() -> str:
    # PyJWT refuses to make this token, so it is made by hand as an attacker would.
    def part(value: Any) -> str:
        return base64.urlsafe_b64encode(json.dumps(value, default=str).encode()).decode().rstrip("=")

    body = {**claims(), "iat": 1, "nbf": 1, "exp": 9999999999}
    text = f"{part({'alg': 'HS256', 'typ': 'JWT', 'kid': 'one'})}.{part(body)}"
    mac = hmac.digest(PUBLIC_PEM, text.encode(), hashlib.sha256)
    return f"{text}.{base64.urlsafe_b64encode(mac).decode().rstrip('=')}"


async def test_a_good_token_names_the_person() -> None:
    keys = auth.PublicKeys(Issuer(published(PRIVATE, "one")))
    assert await auth.verify_staff(token(), keys, ISSUER) == auth.Staff(USER)


HOUR = timedelta(hours=1)
BAD_TOKENS = {
    "no token": lambda: "",
    "not a token": lambda: "a.b.c",
    "alg none": lambda: jwt.encode(claims(), None, "none", headers={"kid": "one"}),
    "alg HS256 with the public key as secret": _hs256_with_the_public_key,
    "alg RS256": lambda: token(RSA, "RS256"),
    "signed by another key": lambda: token(OTHER),
    "unknown key id": lambda: token(headers={"kid": "two"}),
    "key id of another type": lambda: token(OTHER, headers={"kid": "1"}),
    "own key in the header": lambda: token(OTHER, headers={"kid": "two", "jwk": published(OTHER, "two")}),
    "own key set in the header": lambda: token(OTHER, headers={"kid": "two", "jku": "https://evil.example/keys"}),
    "own certificate in the header": lambda: token(OTHER, headers={"kid": "two", "x5u": "https://evil.example/c"}),
    "wrong audience": lambda: token(aud="another-system"),
    "no audience": lambda: token(aud=None),
    "wrong issuer": lambda: token(iss="https://evil.example"),
    "no issuer": lambda: token(iss=None),
    "expired": lambda: token(exp=clock.now() - HOUR, nbf=clock.now() - 2 * HOUR),
    "no expiry": lambda: token(exp=None),
    "not yet valid": lambda: token(nbf=clock.now() + HOUR),
    "no start": lambda: token(nbf=None),
    "no subject": lambda: token(sub=None),
    "subject is no id": lambda: token(sub="admin"),
    "changed after signing": lambda: token()[:-6] + "AAAAAA",
}


@pytest.mark.parametrize("make", BAD_TOKENS.values(), ids=BAD_TOKENS.keys())
async def test_a_bad_token_is_refused(make: Any) -> None:
    keys = auth.PublicKeys(Issuer(published(PRIVATE, "one")))
    with pytest.raises(Rejected) as refused:
        await auth.verify_staff(make(), keys, ISSUER)
    assert (refused.value.status, refused.value.code) == (401, "invalid_token")


async def test_an_rsa_key_of_the_issuer_is_not_used() -> None:
    rsa_key = {**json.loads(RSAAlgorithm.to_jwk(RSA.public_key())), "kid": "one", "alg": "RS256"}
    with pytest.raises(Rejected):
        await auth.verify_staff(token(RSA, "RS256"), auth.PublicKeys(Issuer(rsa_key)), ISSUER)


async def test_keys_are_fetched_once_for_many_tokens() -> None:
    issuer = Issuer(published(PRIVATE, "one"))
    keys = auth.PublicKeys(issuer)
    for _ in range(5):
        await auth.verify_staff(token(), keys, ISSUER)
    assert issuer.asked == 1


async def test_a_new_key_is_fetched_when_a_token_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    issuer = Issuer(published(PRIVATE, "one"))
    keys = auth.PublicKeys(issuer)
    await auth.verify_staff(token(), keys, ISSUER)
    issuer.keys.insert(0, published(OTHER, "two"))
    later = clock.now() + timedelta(seconds=6)
    monkeypatch.setattr(auth, "now", lambda: later)
    assert await auth.verify_staff(token(OTHER, headers={"kid": "two"}), keys, ISSUER) == auth.Staff(USER)
    assert await auth.verify_staff(token(), keys, ISSUER) == auth.Staff(USER)
    assert issuer.asked == 2


async def test_made_up_key_ids_do_not_flood_the_issuer() -> None:
    issuer = Issuer(published(PRIVATE, "one"))
    keys = auth.PublicKeys(issuer)
    for _ in range(20):
        with pytest.raises(Rejected):
            await auth.verify_staff(token(headers={"kid": str(uuid4())}), keys, ISSUER)
    assert issuer.asked == 1


async def test_known_keys_stay_good_while_the_issuer_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    issuer = Issuer(published(PRIVATE, "one"))
    keys = auth.PublicKeys(issuer)
    good = token()
    await auth.verify_staff(good, keys, ISSUER)
    issuer.away = True
    later = clock.now() + timedelta(minutes=11)
    monkeypatch.setattr(auth, "now", lambda: later)
    assert await auth.verify_staff(good, keys, ISSUER) == auth.Staff(USER)
    assert issuer.asked == 2


async def test_nobody_is_judged_before_any_key_is_known() -> None:
    issuer = Issuer()
    issuer.away = True
    keys = auth.PublicKeys(issuer)
    for _ in range(3):
        with pytest.raises(Rejected) as refused:
            await auth.verify_staff(token(), keys, ISSUER)
        assert refused.value.status == 503
    assert issuer.asked == 1


def key_event(key: ids.ApiKey, **changes: Any) -> ApiKeyCreated:
    signing = ids.signing_key(key.secret).hex()
    fields = {
        "cafe_id": CAFE,
        "occurred_at": clock.now(),
        "key_id": key.key_id,
        "key_hash": ids.hash_api_key(key).hex(),
        "signing_key_sealed": seal(KEYS, signing, table="till_keys", column="signing_key_sealed", row=key.key_id),
        "scopes": ["ingest"],
        "device_name": "till 1",
    }
    return ApiKeyCreated(**{**fields, **changes})


async def test_a_till_is_known_by_its_key_alone(database: Databases) -> None:
    pool = await database("visit")
    key, stranger = ids.generate_api_key(), ids.generate_api_key()
    async with db.transaction(pool) as conn:
        await access.on_api_key_created(conn, [key_event(key)])
        [till] = await auth.verify_tills(conn, [key.text])
        assert till
        assert till == auth.Till(CAFE, key.key_id, frozenset({"ingest"}))
        auth.require_scope(till, "ingest")
        with pytest.raises(Rejected) as scopeless:
            auth.require_scope(till, "loyalty_lookup")
        assert scopeless.value.status == 403
        wrong = [stranger.text, ids.ApiKey(key.key_id, stranger.secret).text, key.text[:-1], "", key.key_id]
        assert await auth.verify_tills(conn, [*wrong, key.text]) == [None] * len(wrong) + [till]


async def test_two_keys_of_a_till_overlap_while_it_rotates(database: Databases) -> None:
    pool = await database("visit")
    old, new = ids.generate_api_key(), ids.generate_api_key()
    async with db.transaction(pool) as conn:
        await access.on_api_key_created(conn, [key_event(old), key_event(new)])
        both = await auth.verify_tills(conn, [old.text, new.text])
        assert [till.key_id for till in both if till] == [old.key_id, new.key_id]
        await access.on_api_key_revoked(conn, [ApiKeyRevoked(cafe_id=CAFE, occurred_at=clock.now(), key_id=old.key_id)])
        assert await auth.verify_tills(conn, [old.text, new.text]) == [None, both[1]]


async def test_a_key_that_held_is_known_for_a_second_and_one_that_failed_is_asked_for_again(
    database: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = await database("visit")
    key, seconds = ids.generate_api_key(), [1000.0]
    monkeypatch.setattr(dependencies.time, "monotonic", lambda: seconds[0])
    tills = dependencies.Tills(pool)
    assert await tills.find(key.text) is None
    async with db.transaction(pool) as conn:
        await access.on_api_key_created(conn, [key_event(key)])
    till = await tills.find(key.text)
    assert till is not None
    async with db.transaction(pool) as conn:
        await access.on_api_key_revoked(conn, [ApiKeyRevoked(cafe_id=CAFE, occurred_at=clock.now(), key_id=key.key_id)])
    assert await tills.find(key.text) == till
    seconds[0] += dependencies.KNOWN_SECONDS
    assert await tills.find(key.text) is None


async def test_keys_that_nobody_knows_take_one_connection_however_many_come(database: Databases) -> None:
    pool = await database("visit", max_size=8)
    tills, held, most = dependencies.Tills(pool), 0, 0

    class Watched:
        @contextlib.asynccontextmanager
        async def acquire(self) -> AsyncIterator[db.Connection]:
            nonlocal held, most
            async with pool.acquire() as conn:
                held, most = held + 1, max(most, held + 1)
                yield conn
                held -= 1

    tills._pool = cast(db.Pool, Watched())
    found = await asyncio.gather(*(tills.find(ids.generate_api_key().text) for _ in range(300)))
    assert (set(found), most) == ({None}, 1)


async def test_an_expired_key_is_refused(database: Databases) -> None:
    pool = await database("visit")
    key = ids.generate_api_key()
    async with db.transaction(pool) as conn:
        await access.on_api_key_created(conn, [key_event(key, expires_at=clock.now() - timedelta(seconds=1))])
        assert await auth.verify_tills(conn, [key.text]) == [None]
        loaded = await auth.load_till_keys(conn, KEYS, [key.key_id])
    assert not loaded[key.key_id].is_live(clock.now())
    assert loaded[key.key_id].is_live(clock.now() - timedelta(minutes=1))


async def test_loaded_keys_verify_what_their_tills_signed(database: Databases) -> None:
    pool = await database("visit")
    key, foreign, unknown = (ids.generate_api_key() for _ in range(3))
    moved = key_event(foreign, signing_key_sealed=key_event(key).signing_key_sealed)
    async with db.transaction(pool) as conn:
        await access.on_api_key_created(conn, [key_event(key), moved])
        loaded = await auth.load_till_keys(conn, KEYS, [key.key_id, foreign.key_id, unknown.key_id, key.key_id])
    # A sealed key that was copied onto another row opens for nobody.
    assert set(loaded) == {key.key_id}
    signature = ids.sign(ids.signing_key(key.secret), "e1", "pos.visit_recorded", b"{}")
    assert ids.verify(loaded[key.key_id].signing_key, "e1", "pos.visit_recorded", b"{}", signature)
    assert loaded[key.key_id].till == auth.Till(CAFE, key.key_id, frozenset({"ingest"}))
    assert loaded[key.key_id].signing_key.hex() not in repr(loaded)
