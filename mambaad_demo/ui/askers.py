"""Who asks, as far as use is counted: a browser or a program, and the network address it came from."""

import ipaddress

from starlette.datastructures import Headers
from starlette.types import Scope

from mambaad_demo.ui.caps import Asker

_FORWARDED = "x-forwarded-for"
_IPV6_PREFIX = 64


def asker(scope: Scope, browser: str | None) -> Asker:
    """Whose use is counted.

    Args:
        scope: the request, as `seen_by_proxy` leaves it on a Space.
        browser: who sent it by its cookie; None without one.
    """
    client = scope.get("client")
    address = _network(client[0]) if client else ""
    return Asker(browser or f"address {address}", address)


def seen_by_proxy(scope: Scope) -> Scope:
    """The request with the address that the Hub's proxy took it from, which `client` does not say there.

    That is the last public address of those that are named: behind it are the proxy's own, and what stands
    before is the sender's word.
    """
    named = ",".join(Headers(scope=scope).getlist(_FORWARDED)).split(",")
    for hop in reversed(named):
        try:
            address = ipaddress.ip_address(hop.strip())
        except ValueError:
            break
        if address.is_global:
            return {**scope, "client": (str(address), 0)}
    return scope


def _network(address: str) -> str:
    """An address, or for IPv6 the network whose addresses one customer has all."""
    try:
        known = ipaddress.ip_address(address)
    except ValueError:  # a name, as a test client's
        return address
    if known.version == 4:
        return address
    return str(ipaddress.ip_network((int(known), _IPV6_PREFIX), strict=False))
