"""The caller's address, also behind proxies: rate limits count by it."""

import hmac
from collections.abc import Iterator, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from starlette.requests import HTTPConnection

from shared.security.crypto import Keys, same

Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address
# By this header one of our own processes says for whom it asks.
VOUCHED = "X-Vouched-Address"


def networks_of(written: str) -> tuple[Network, ...]:
    """Addresses and networks in a list with commas, such as `10.0.0.5, 172.18.0.0/16`.

    Raises:
        ValueError: one of them is neither; names of hosts are not looked up.
    """
    return tuple(ip_network(each.strip()) for each in written.split(",") if each.strip())


def client_address(request: HTTPConnection) -> str:
    """The address that a limit counts for this request; an empty text when the connection has none.

    Proxies named in `CRM_TRUSTED_PROXIES` are believed about who connected to them: the last hop in `X-Forwarded-For`
    that is not one of them counts. From anybody else the header is ignored. An IPv6 line has a /64 of addresses, which
    count as one. When a process of ours asks for somebody, it vouches for that person's address.
    """
    if written := request.headers.get(VOUCHED):
        address, _, signature = written.partition(" ")
        if same(_signature(request.app.state.settings.keys, address), signature.encode()):
            return address
    peer = _address(request.client.host) if request.client else None
    if peer is None:
        return request.client.host if request.client else ""
    trusted = request.app.state.settings.trusted_proxies
    return _folded(_last_untrusted(peer, _hops(request.headers.getlist("x-forwarded-for")), trusted))


def vouched(keys: Keys, address: str) -> str:
    """The value of the header `VOUCHED`, which only a process with our secret can make."""
    return f"{address} {_signature(keys, address).decode()}"


def _signature(keys: Keys, address: str) -> bytes:
    return hmac.new(keys.lookup, b"vouched-address\0" + address.encode(), "sha256").hexdigest().encode()


def _last_untrusted(peer: Address, hops: Iterator[str], trusted: Sequence[Network]) -> Address:
    while any(peer in network for network in trusted):
        before = _address(next(hops, ""))
        if before is None:
            # A trusted proxy that does not say for whom it asks is itself the caller.
            return peer
        peer = before
    return peer


def _hops(headers: Sequence[str]) -> Iterator[str]:
    """What proxies wrote, the nearest first."""
    for header in reversed(headers):
        yield from reversed(header.split(","))


@lru_cache(maxsize=1024)
def _address(written: str) -> Address | None:
    """An address, also as some proxies write it: with its port, and in brackets."""
    host = written.strip().strip('"')
    if host.startswith("["):
        host = host[1:].partition("]")[0]
    elif host.count(":") == 1:
        host = host.partition(":")[0]
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _folded(address: Address) -> str:
    if isinstance(address, IPv6Address):
        return str(ip_network((address, 64), strict=False).network_address)
    return str(address)
