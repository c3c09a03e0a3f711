"""Where requests may go: the name is resolved here, every address is judged, and the connection goes to one of those.

So a name that points to another address a moment later reaches nothing, and TLS still asks for the name.
"""

import ipaddress
import socket
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import httpcore

from shared.errors import ConfigInvalid

#: The virtual address of Azure's platform, the same in every network
#: (learn.microsoft.com/azure/virtual-network/what-is-ip-address-168-63-129-16).
_PLATFORM = ipaddress.ip_address("168.63.129.16")
#: RFC 6052.
_NAT64 = ipaddress.ip_network("64:ff9b::/96")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
#: Host and port -> addresses as text. Raises OSError.
Resolve = Callable[[str, int], Sequence[str]]


def resolve(host: str, port: int) -> Sequence[str]:
    """Ask the system's resolver."""
    return [str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


def is_allowed(text: str, *, allow_private: bool) -> bool:
    """Whether requests may go to this address. Link-local ones, where clouds hand out credentials, never are."""
    return all(_is_allowed(one, allow_private=allow_private) for one in _meanings(text))


def _meanings(text: str) -> list[Address]:
    """The address, and the IPv4 address that is written into it."""
    address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv4Address):
        return [address]
    within: list[Address | None] = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
    if address in _NAT64:
        within.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    found = [one for one in within if one is not None]
    return found if address.ipv4_mapped else [address, *found]


def _is_allowed(address: Address, *, allow_private: bool) -> bool:
    if address == _PLATFORM or address.is_link_local or address.is_multicast or address.is_unspecified:
        return False
    if address.is_global:
        return True
    return allow_private and (address.is_private or address in ipaddress.ip_network("100.64.0.0/10"))


class GuardedBackend(httpcore.SyncBackend):
    """Connects to allowed addresses alone."""

    def __init__(self, *, allow_private: bool, resolve: Resolve = resolve) -> None:
        self._allow_private = allow_private
        self._resolve = resolve

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """Resolve, judge, connect. Raises `ConfigInvalid` where no address is allowed."""
        try:
            found = self._resolve(host, port)
        except OSError as error:
            raise httpcore.ConnectError(f"The name {host!r} has no address ({error}).") from error
        allowed = [one for one in dict.fromkeys(found) if is_allowed(one, allow_private=self._allow_private)]
        if not allowed:
            raise ConfigInvalid(
                f"{host!r} is at {', '.join(dict.fromkeys(found))}, where requests of this target may not go.",
                remedy="Private addresses need allow_private in the job's target block; link-local ones are never "
                "allowed.",
            )
        last = len(allowed) - 1
        for number, address in enumerate(allowed):
            try:
                return super().connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                if number == last:
                    raise
        raise AssertionError("unreachable")
