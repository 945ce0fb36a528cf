"""A PKCS#11 token as the one who wraps: a key of its own for each company, which the token never gives out.

The token has no versions of a key, so each rotation makes a further key of the same label with the next number as its id;
older ones stay for what they have wrapped, and all go with the company.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from secrets import token_bytes
from typing import Any, TypeVar
from uuid import UUID

import pkcs11
from pkcs11 import Attribute, KeyType, Mechanism, ObjectClass
from pkcs11.exceptions import PKCS11Error, UserAlreadyLoggedIn

from likeness.keys.states import KeyStoreAway, MasterKeyForeign

PREFIX = b"p11\x00"
NUMBER, NONCE = 4, 12

T = TypeVar("T")


class Token:
    held_for = 300.0

    def __init__(self, module: Path, label: str, pin_file: Path) -> None:
        self._module, self._label, self._pin_file = module, label, pin_file
        self._lock = threading.Lock()
        """A session does one thing at a time."""
        self._session: Any = None

    def wrap(self, tenant: UUID, secret: bytes) -> bytes:
        def work(session: Any) -> bytes:
            keys = _keys(session, tenant)
            key = keys[-1] if keys else _make(session, tenant, 1)
            nonce = token_bytes(NONCE)
            sealed = key.encrypt(secret, mechanism=Mechanism.AES_GCM, mechanism_param=_gcm(nonce, tenant))
            return PREFIX + bytes(key[Attribute.ID]) + nonce + bytes(sealed)

        return self._with(work)

    def unwrap(self, tenant: UUID, wrapped: bytes) -> bytes:
        if not wrapped.startswith(PREFIX):
            raise MasterKeyForeign("The company's key was not wrapped by a PKCS#11 token.")
        rest = wrapped[len(PREFIX) :]
        number, nonce, sealed = rest[:NUMBER], rest[NUMBER : NUMBER + NONCE], rest[NUMBER + NONCE :]

        def work(session: Any) -> bytes:
            for key in _keys(session, tenant):
                if bytes(key[Attribute.ID]) == number:
                    param = _gcm(nonce, tenant)
                    return bytes(key.decrypt(sealed, mechanism=Mechanism.AES_GCM, mechanism_param=param))
            raise KeyStoreAway(f"The token {self._label} does not hold the key of this company.")

        return self._with(work)

    def rotate(self, tenants: Sequence[UUID]) -> None:
        def work(session: Any) -> None:
            for tenant in tenants:
                newest = _keys(session, tenant)[-1:]
                _make(session, tenant, 1 + max((int.from_bytes(key[Attribute.ID], "big") for key in newest), default=0))

        self._with(work)

    def destroy(self, tenant: UUID) -> None:
        def work(session: Any) -> None:
            for key in _keys(session, tenant):
                key.destroy()

        self._with(work)

    def describe(self) -> str:
        def work(session: Any) -> str:
            token = session.token
            return (
                f"The companies' keys are wrapped by the PKCS#11 token {self._label} ({str(token.manufacturer_id).strip()}"
                f" {str(token.model).strip()}), each by a key of its own, and are held in memory for up to"
                f" {self.held_for / 60:g} minutes."
            )

        return self._with(work)

    def _with(self, work: Callable[[Any], T]) -> T:
        """Tried twice, because a token that was taken out and put back has forgotten the session."""
        with self._lock, _answered(self._label):
            for last in (False, True):
                try:
                    if self._session is None:
                        self._session = self._open()
                    return work(self._session)
                except PKCS11Error:
                    self._session = None
                    if last:
                        raise
        raise AssertionError("the last try returns or raises")

    def _open(self) -> Any:
        try:
            pin = self._pin_file.read_text().strip()
        except OSError as error:
            raise KeyStoreAway(f"The token's PIN cannot be read from {self._pin_file}.") from error
        token = pkcs11.lib(str(self._module)).get_token(token_label=self._label)
        try:
            return token.open(rw=True, user_pin=pin)
        except UserAlreadyLoggedIn:  # By another session of this very process.
            return token.open(rw=True)


@contextmanager
def _answered(label: str) -> Iterator[None]:
    try:
        yield
    except (PKCS11Error, RuntimeError, OSError) as error:
        raise KeyStoreAway(f"The PKCS#11 token {label} does not answer ({type(error).__name__}).") from None


def _keys(session: Any, tenant: UUID) -> list[Any]:
    """The oldest first."""
    wanted = {Attribute.CLASS: ObjectClass.SECRET_KEY, Attribute.LABEL: _label(tenant)}
    return sorted(session.get_objects(wanted), key=lambda key: bytes(key[Attribute.ID]))


def _make(session: Any, tenant: UUID, number: int) -> Any:
    closed = {Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: False}
    return session.generate_key(
        KeyType.AES, 256, id=number.to_bytes(NUMBER, "big"), label=_label(tenant), store=True, template=closed
    )


def _gcm(nonce: bytes, tenant: UUID) -> Any:
    return pkcs11.GCMParams(nonce=nonce, aad=tenant.bytes, tag_bits=128)


def _label(tenant: UUID) -> str:
    return f"likeness-{tenant}"
