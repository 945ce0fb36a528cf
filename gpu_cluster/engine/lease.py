"""What a studio may open and write for one order, and for how long: the keys of the classes that the order needs, and an
address for each object that it reads or may create.

It arrives sealed to the process that will use it and bound to the order, so that what lies between them, Ray's store and
logs among it, never holds an open key. Nothing in it leads to another person, another class or the keys of the company.
"""

from __future__ import annotations

import json
import logging
import time
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, NoReturn
from uuid import UUID

import httpx

from gpu_cluster.engine.orders import Order
from likeness.ground.errors import Forbidden, Unavailable
from likeness.keys.keys import DataKey, KeyClass, KeyDestroyed, KeyRef, KeyUnavailable
from likeness.keys.recipient import Recipient, seal_to
from likeness.sandbox.offline import OnlineThreads
from likeness.store.objects import check_belongs, opened_blocks, sealed_blocks
from likeness.store.storage import Folder, ObjectExists, ObjectMissing, PathRefused, StoreFull

DESTROYED, AWAY = "destroyed", "away"
"""What stands in a key's place."""
# It writes down the addresses that it asks, and these open what they lead to.
logging.getLogger("httpx").setLevel(logging.WARNING)

TRIES, PAUSE = 4, 1.0
"""A store that stumbles is asked again after 1, 2 and 4 seconds."""
SECONDS = httpx.Timeout(120, connect=5)


class OutsideLease(Forbidden):
    """The order is not about this person, this class or this object."""

    title = "This is not part of the order"


class LeaseEnded(Unavailable):
    """The order is over, or took longer than its lease: what is left of it is taken up again."""

    title = "The lease of this order has ended"


@dataclass(frozen=True)
class Terms:
    """What is sealed. Keys and places are named `employee/class`."""

    order: str
    seconds: float
    """How long it lasts from the moment that the studio opens it, by a clock that nobody can set."""
    keys: Mapping[str, str]
    """In base64, or why there is none."""
    read: Mapping[str, str]
    """Addresses by object path."""
    write: Mapping[str, list[tuple[str, str]]]
    """Paths that may be created, each once, with their addresses."""
    folder: str = ""
    """Where objects are files on this machine, and no address is needed."""

    def sealed_to(self, public: bytes) -> bytes:
        return seal_to(public, json.dumps(asdict(self)).encode(), _bound_to(self.order))


@dataclass
class Lease:
    tenant: UUID
    terms: Terms = field(repr=False)
    until: float
    """On that clock."""
    _ended: bool = field(default=False, init=False)
    _outside: OnlineThreads = field(default_factory=OnlineThreads, init=False, repr=False)
    """Who meets open photos reaches no network; what crosses to these threads is sealed."""

    @classmethod
    def opened(cls, sealed: bytes, order: Order, recipient: Recipient) -> Lease:
        """Raises `SealBroken` in every other process, and for every other order."""
        terms = Terms(**json.loads(recipient.open(sealed, _bound_to(str(order.id)))))
        return cls(order.tenant, terms, _steady() + terms.seconds)

    def get(self, employee: UUID, cls: KeyClass, path: str) -> bytes:
        """Raises `OutsideLease`, `LeaseEnded`, and what says why a key or an object is not there."""
        key = self._key(employee, cls)
        check_belongs(path, key)
        if path not in self.terms.read:
            raise OutsideLease
        if self.terms.folder:
            blocks = self._folder().read(path)
        else:
            blocks = iter([self._outside.do(_downloaded, self.terms.read[path])])
        return b"".join(opened_blocks(path, blocks, key))

    def put(self, employee: UUID, cls: KeyClass, data: bytes) -> tuple[str, int]:
        """The new object's path, and its size in bytes."""
        key, places = self._key(employee, cls), self.terms.write.get(_name(employee, cls))
        if not places:
            raise OutsideLease("The order has no place left for another object of this kind.")
        path, address = places.pop(0)
        check_belongs(path, key)
        stored = b"".join(sealed_blocks(path, data, key))
        if self.terms.folder:
            return path, self._folder().create(path, [stored])
        self._outside.do(_upload, address, stored)
        return path, len(stored)

    def end(self) -> None:
        """Nothing opens from here on."""
        self._ended = True
        self._outside.close()
        self.terms = Terms(self.terms.order, 0.0, {}, {}, {})

    def _key(self, employee: UUID, cls: KeyClass) -> DataKey:
        if self._ended or _steady() >= self.until:
            raise LeaseEnded
        held = self.terms.keys.get(_name(employee, cls))
        if held is None:
            raise OutsideLease
        if held == DESTROYED:
            raise KeyDestroyed
        if held == AWAY:
            raise KeyUnavailable
        return DataKey(KeyRef(self.tenant, employee, cls), b64decode(held))

    def _folder(self) -> Folder:
        return Folder(self.terms.folder)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a lease does not leave its process")


def _steady() -> float:
    """It goes on while a machine sleeps. A studio knows no database, and the time of its machine may be wrong."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def named(ref: KeyRef) -> str:
    return _name(ref.owner, ref.cls)


def spelled(secret: bytes) -> str:
    return b64encode(secret).decode()


def _name(employee: UUID, cls: KeyClass) -> str:
    return f"{employee}/{cls}"


def _bound_to(order: str) -> bytes:
    return f"lease|{order}".encode()


def _downloaded(address: str) -> bytes:
    answer = _asked("GET", address)
    if answer.status_code == httpx.codes.NOT_FOUND:
        raise ObjectMissing
    _check(answer)
    return answer.content


def _upload(address: str, stored: bytes) -> None:
    answer = _asked("PUT", address, content=stored, headers={"if-none-match": "*"})
    if answer.status_code == httpx.codes.PRECONDITION_FAILED:
        # The place is this order's own and used once: after a lost answer the object there is this very one.
        if not answer.extensions.get("again"):
            raise ObjectExists
        return
    if answer.status_code == httpx.codes.INSUFFICIENT_STORAGE:
        raise StoreFull
    _check(answer)


def _asked(method: str, address: str, **options: Any) -> httpx.Response:
    """Asks again while the store does not answer or stumbles. An error never carries the address, which opens the object.
    """
    again = False
    for attempt in range(TRIES):
        last = attempt == TRIES - 1
        try:
            answer = httpx.request(method, address, timeout=SECONDS, **options)
            if last or not (answer.is_server_error or answer.status_code == httpx.codes.TOO_MANY_REQUESTS):
                answer.extensions["again"] = again
                return answer
        except httpx.HTTPError:
            if last:
                raise Unavailable("The object store does not answer") from None
        again = True
        time.sleep(PAUSE * 2**attempt)
    raise AssertionError("the last try returns or raises")


def _check(answer: httpx.Response) -> None:
    if answer.status_code == httpx.codes.BAD_REQUEST:
        raise PathRefused
    if not answer.is_success:
        raise Unavailable(f"The object store answered {answer.status_code}")
