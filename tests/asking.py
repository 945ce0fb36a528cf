"""Notices who asks the object store while a transaction of the same thread is open: a store that lets wait would hold the
transaction's connection and its rows, and with them everybody else."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from threading import local
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.orm import Session

from likeness.store.bucket import Bucket
from likeness.store.storage import Folder

VERBS = ("create", "read", "exists", "delete", "find", "folders", "delete_prefix", "delete_unfinished", "older")


class Open(local):
    """The sessions of this thread whose transactions are open."""

    def __init__(self) -> None:
        self.sessions = set[int]()


@contextmanager
def asked_within() -> Iterator[list[str]]:
    """The functions that ask so, as `module.function`, until the block ends."""
    here, found = Open(), list[str]()

    def begun(session: Session, *_: Any) -> None:
        here.sessions.add(id(session))

    def ended(session: Session, transaction: Any) -> None:
        if transaction.parent is None:
            here.sessions.discard(id(session))

    def noting(verb: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(verb)
        def asked(*args: Any, **options: Any) -> Any:
            if here.sessions:
                found.append(_caller())
            return verb(*args, **options)

        return asked

    event.listen(Session, "after_begin", begun)
    event.listen(Session, "after_transaction_end", ended)
    with pytest.MonkeyPatch.context() as patch:
        for store in (Bucket, Folder):
            for verb in VERBS:
                patch.setattr(store, verb, noting(getattr(store, verb)))
        yield found
    event.remove(Session, "after_begin", begun)
    event.remove(Session, "after_transaction_end", ended)


def _caller() -> str:
    frame = sys._getframe(1)
    while frame.f_back and frame.f_globals["__name__"].startswith(("tests.asking", "likeness.store.")):
        frame = frame.f_back
    return f"{frame.f_globals['__name__']}.{frame.f_code.co_qualname}"
