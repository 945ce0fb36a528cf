"""One request to an address that a company named: never to our own network, never further than asked, never for long.

The name is looked up here, every address that it has is checked, and the connection goes to the one that was checked: a
name that leads elsewhere a moment later leads nowhere. No redirect is followed, no proxy is used, and of the answer nothing
but its status is read, or where a description is asked for, as much as may be.
"""

from __future__ import annotations

import re
import socket
import ssl
import threading
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from http.client import HTTPConnection, HTTPException
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from urllib.parse import SplitResult, urlsplit

from likeness.ground.errors import Unprocessable

CONNECT_SECONDS = 5.0
WHOLE_SECONDS = 15.0
"""From the connection to the last line that is read, however slowly the other side talks."""
LONGEST = 500
PORTS = (443, 80)
"""Of the ports below 1024; behind the others is no receiver of webhooks and no provider."""
LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
NAME = re.compile(rf"(?=.{{1,253}}$){LABEL}(?:\.{LABEL})*\.?")
NAT64 = ip_network("64:ff9b::/96")
INNER = tuple(map(ip_network, ("fec0::/10", "192.0.0.0/24", "192.88.99.0/24", "3fff::/20")))
"""Which Python takes for the public internet, and networks do not: of a site in old days, of protocols, of examples."""


class AddressRefused(Unprocessable):
    """Nothing is sent to this address."""

    title = "This address cannot be used"


class CallOutcome(StrEnum):
    ANSWERED = "answered"
    NO_ANSWER = "no answer"
    NOT_PUBLIC = "not public"
    """No such name, or it leads to a network that may not be entered: which of both is nobody's business."""
    NOT_TRUSTED = "not trusted"
    """Its certificate is not good for this name."""


@dataclass(frozen=True)
class ReceiverAnswer:
    outcome: CallOutcome
    status: int | None
    seconds: float

    @property
    def taken(self) -> bool:
        return self.status is not None and 200 <= self.status < 300

    @property
    def gone(self) -> bool:
        """The receiver wants nothing any more."""
        return self.status == 410

    @property
    def costly(self) -> bool:
        """As nothing else that goes there now would do better."""
        return self.status is None or self.status >= 500 or self.status == 429


def checked(written: str, networks: Collection[str]) -> str:
    """The address as it is kept. Raises `AddressRefused`. Where it leads is looked up each time something is sent."""
    if len(written) > LONGEST or not written.isascii() or not written.isprintable() or " " in written:
        raise AddressRefused(
            "Write the address in at most {n} plain letters without spaces, as https://example.com/hooks.", n=LONGEST
        )
    try:
        parts = urlsplit(written)
        port, host = _port(parts), parts.hostname or ""
    except ValueError:
        raise AddressRefused("This is no address. Write it as https://example.com/hooks.") from None
    if parts.scheme != "https" and not (parts.scheme == "http" and networks):
        raise AddressRefused("The address begins with https://.")
    more = parts.username is not None or parts.password is not None or parts.fragment
    if more or not (NAME.fullmatch(host) or _literal(host)):
        raise AddressRefused("The address names a host, and neither a user nor a password nor a part after #.")
    if port < 1024 and port not in PORTS:
        raise AddressRefused("The port is 443 or one from 1024 on.")
    return written


def host_of(url: str) -> str:
    return urlsplit(url).hostname or ""


def post(url: str, body: bytes, headers: Mapping[str, str], networks: Collection[str]) -> ReceiverAnswer:
    """Never raises: what came of it is the answer."""
    return ask("POST", url, body, headers, networks, 0)[0]


def get(url: str, networks: Collection[str], largest: int) -> tuple[ReceiverAnswer, bytes]:
    """Never raises; no answer where more than `largest` bytes are sent."""
    return ask("GET", url, None, {"accept": "application/json"}, networks, largest)


def leads_out(url: str, networks: Collection[str]) -> bool:
    """Whether something could be sent there now."""
    parts = urlsplit(url)
    return _where(parts.hostname or "", _port(parts), networks, plain=parts.scheme == "http") is not None


def ask(
    method: str, url: str, body: bytes | None, headers: Mapping[str, str], networks: Collection[str], largest: int
) -> tuple[ReceiverAnswer, bytes]:
    """Never raises. Nothing is read where `largest` is 0."""
    started = time.monotonic()
    parts = urlsplit(url)
    host, port = parts.hostname or "", _port(parts)

    def said(outcome: CallOutcome, status: int | None = None) -> ReceiverAnswer:
        return ReceiverAnswer(outcome, status, round(time.monotonic() - started, 3))

    address = _where(host, port, networks, plain=parts.scheme == "http")
    if address is None:
        return said(CallOutcome.NOT_PUBLIC), b""
    try:
        with _connected(address, port) as (line, cut):
            if parts.scheme == "https":
                line = ssl.create_default_context().wrap_socket(
                    line, server_hostname=host, do_handshake_on_connect=False
                )
                cut.line = line
                line.do_handshake()
            talk = HTTPConnection(host, port)
            talk.sock = line  # It is connected to the checked address, so the library looks nothing up.
            at = f"[{host}]" if ":" in host else host
            talk.request(
                method, parts.path + (f"?{parts.query}" if parts.query else "") or "/", body,
                {"host": at if parts.port is None else f"{at}:{port}", "connection": "close", **headers},
            )  # fmt: skip
            answer = talk.getresponse()
            found = answer.read(largest + 1) if largest else b""
            if len(found) > largest:
                return said(CallOutcome.NO_ANSWER), b""
            return said(CallOutcome.ANSWERED, answer.status), found
    except ssl.SSLCertVerificationError:
        return said(CallOutcome.NOT_TRUSTED), b""
    except (OSError, HTTPException, ValueError):
        return said(CallOutcome.NO_ANSWER), b""


class _Cut:
    """Ends the connection when its time is up, wherever the thread waits."""

    def __init__(self, line: socket.socket) -> None:
        self.line = line

    def __call__(self) -> None:
        try:
            # The plain way also for an encrypted line, whose own way would wait for the other side.
            socket.socket.shutdown(self.line, socket.SHUT_RDWR)
        except OSError:
            return  # It is over already.


@contextmanager
def _connected(address: str, port: int) -> Iterator[tuple[socket.socket, _Cut]]:
    line = socket.create_connection((address, port), CONNECT_SECONDS)
    line.settimeout(WHOLE_SECONDS)
    cut = _Cut(line)
    timer = threading.Timer(WHOLE_SECONDS, cut)
    timer.daemon = True
    timer.start()
    try:
        yield line, cut
    finally:
        timer.cancel()
        cut.line.close()


def _where(host: str, port: int, networks: Collection[str], *, plain: bool) -> str | None:
    """The address to connect to. None where one that the name has is in a network that may not be entered."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return None
    addresses = list(dict.fromkeys(str(entry[4][0]).partition("%")[0] for entry in found))
    if not addresses or not all(_open(one, networks, plain=plain) for one in addresses):
        return None
    return addresses[0]


def _open(address: str, networks: Collection[str], *, plain: bool) -> bool:
    """Whether it is on the public internet, or in a network that the operator named; unencrypted only in the latter."""
    one = ip_address(address)
    inner = _inside(one)
    named = [ip_network(network) for network in networks]
    if any(inner in network for network in named):
        return True
    return not plain and all(_public(part) for part in {one, inner})


def _inside(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """The IPv4 address that an IPv6 one stands for, where gateways and kernels take it so."""
    if isinstance(address, IPv6Address):
        if address in NAT64:
            return IPv4Address(int(address) & 0xFFFFFFFF)
        teredo = address.teredo
        return address.ipv4_mapped or address.sixtofour or (teredo[1] if teredo else address)
    return address


def _public(address: IPv4Address | IPv6Address) -> bool:
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        return True  # What it stands for is asked beside it.
    if any(address in network for network in INNER):
        return False
    return address.is_global and not (address.is_multicast or address.is_reserved or address.is_unspecified)


def _port(parts: SplitResult) -> int:
    return parts.port or (80 if parts.scheme == "http" else 443)


def _literal(host: str) -> bool:
    """Whether it is an address in digits."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
