"""Whose tries are counted: the caller's own address, also behind proxies, and nobody's lie."""

from types import SimpleNamespace

import pytest
from pydantic import ValidationError
from starlette.requests import Request

from shared.security.addresses import VOUCHED, client_address, networks_of, vouched
from shared.security.crypto import Keys
from shared.settings import Settings
from shared.web.rate_limits import Tries


def asked(peer: str, *forwarded: str, trusted: str = "") -> str:
    """The address that counts for a request from `peer` with these X-Forwarded-For headers."""
    state = SimpleNamespace(settings=SimpleNamespace(trusted_proxies=networks_of(trusted)))
    headers = [(b"x-forwarded-for", each.encode()) for each in forwarded]
    return client_address(
        Request({"type": "http", "client": (peer, 4000), "headers": headers, "app": SimpleNamespace(state=state)})
    )


@pytest.mark.parametrize("peer", ["203.0.113.7", "127.0.0.1", "::1"])
def test_nobody_is_believed_who_is_not_trusted(peer: str) -> None:
    assert asked(peer, "198.51.100.1") == asked(peer)


@pytest.mark.parametrize(
    ("forwarded", "counted"),
    [
        (("198.51.100.1",), "198.51.100.1"),
        (("1.1.1.1, 198.51.100.1",), "198.51.100.1"),
        (("1.1.1.1", "198.51.100.1"), "198.51.100.1"),
        (("198.51.100.1, 10.1.2.3",), "198.51.100.1"),
        (("198.51.100.1", "10.1.2.3,10.0.0.9"), "198.51.100.1"),
        (("198.51.100.1:4711",), "198.51.100.1"),
        (("[2001:db8:1:2::3]:4711",), "2001:db8:1:2::"),
        (("2001:db8:1:2:ffff::3",), "2001:db8:1:2::"),
        (("::ffff:198.51.100.1",), "198.51.100.1"),
        (("198.51.100.1, unknown",), "10.0.0.1"),
        (("198.51.100.1, <script>",), "10.0.0.1"),
        (("",), "10.0.0.1"),
        ((), "10.0.0.1"),
        (("10.0.0.2, 10.0.0.3",), "10.0.0.2"),
    ],
)
def test_last_hop_that_is_no_trusted_proxy_counts(forwarded: tuple[str, ...], counted: str) -> None:
    assert asked("10.0.0.1", *forwarded, trusted="10.0.0.0/8, 127.0.0.1") == counted


def test_line_of_ipv6_counts_as_one_and_mapped_addresses_as_what_they_are() -> None:
    assert asked("2001:db8:1:1::1") == asked("2001:db8:1:1:ffff::3") != asked("2001:db8:1:2::1")
    assert asked("::ffff:203.0.113.7") == "203.0.113.7"


def test_only_a_process_with_our_secret_can_vouch_for_an_address() -> None:
    ours, others = (Keys.from_secret(letter * 32) for letter in "ab")
    state = SimpleNamespace(settings=SimpleNamespace(trusted_proxies=(), keys=ours))

    def counted(value: str) -> str:
        headers = [(VOUCHED.lower().encode(), value.encode())]
        app = SimpleNamespace(state=state)
        return client_address(Request({"type": "http", "client": ("10.0.0.9", 1), "headers": headers, "app": app}))

    assert counted(vouched(ours, "198.51.100.1")) == "198.51.100.1"
    for wrong in (vouched(others, "198.51.100.1"), "198.51.100.1", vouched(ours, "198.51.100.1").replace("1 ", "2 ")):
        assert counted(wrong) == "10.0.0.9"


def test_proxies_are_named_by_address_or_network_only(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Settings().trusted_proxies == ()
    monkeypatch.setenv("CRM_TRUSTED_PROXIES", " 10.0.0.5 , 2001:db8::/32,")
    assert [str(each) for each in Settings().trusted_proxies] == ["10.0.0.5/32", "2001:db8::/32"]
    for wrong in ("*", "proxy.example.com", "10.0.0.5/8"):
        monkeypatch.setenv("CRM_TRUSTED_PROXIES", wrong)
        with pytest.raises(ValidationError, match="trusted_proxies"):
            Settings()


def test_tries_are_counted_per_caller_and_forgotten_after_a_minute() -> None:
    moment = 0.0
    tries = Tries(limit=2, window_seconds=60, remembered=2, clock=lambda: moment)
    tries.count("203.0.113.7")
    assert not tries.used_up("203.0.113.7")
    tries.count("203.0.113.7")
    assert tries.used_up("203.0.113.7")
    assert not tries.used_up("203.0.113.8")
    moment = 60.0
    assert not tries.used_up("203.0.113.7")
    tries.count("203.0.113.7")
    tries.count("203.0.113.7")
    tries.count("a")
    tries.count("b")
    assert not tries.used_up("203.0.113.7")
