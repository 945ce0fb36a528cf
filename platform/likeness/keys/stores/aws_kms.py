"""AWS KMS as the one who wraps: one key for all companies, with the company in the encryption context.

KMS deletes a key only after 7 to 30 days, so there is none of a company alone: what is destroyed with a company is its
wrapped key in the key folder. Credentials and region come from where AWS's own programs look for them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any
from uuid import UUID

import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from likeness.keys.states import KeyStoreAway, MasterKeyForeign

PREFIX = b"kms\x00"


class AwsKms:
    held_for = 300.0

    def __init__(self, key: str) -> None:
        self._key = key

    def wrap(self, tenant: UUID, secret: bytes) -> bytes:
        with _answered():
            answer = self._kms.encrypt(KeyId=self._key, Plaintext=secret, EncryptionContext=_context(tenant))
        return PREFIX + bytes(answer["CiphertextBlob"])

    def unwrap(self, tenant: UUID, wrapped: bytes) -> bytes:
        if not wrapped.startswith(PREFIX):
            raise MasterKeyForeign("The company's key was not wrapped by AWS KMS.")
        with _answered():
            # The key is named, so that a blob wrapped by anybody else's key is refused.
            answer = self._kms.decrypt(
                KeyId=self._key, CiphertextBlob=wrapped[len(PREFIX) :], EncryptionContext=_context(tenant)
            )
        return bytes(answer["Plaintext"])

    def rotate(self, tenants: Sequence[UUID]) -> None:
        with _answered():
            self._kms.rotate_key_on_demand(KeyId=self._described()["KeyId"])

    def destroy(self, tenant: UUID) -> None:
        """There is nothing of one company alone."""

    def describe(self) -> str:
        key = self._described()
        if not key["Enabled"]:
            raise KeyStoreAway(f"The key {self._key} of AWS KMS is {key['KeyState']}.")
        return (
            f"The companies' keys are wrapped by the key {key['Arn']} of AWS KMS, and are held in memory for up to"
            f" {self.held_for / 60:g} minutes."
        )

    def _described(self) -> dict[str, Any]:
        with _answered():
            return dict(self._kms.describe_key(KeyId=self._key)["KeyMetadata"])

    @cached_property
    def _kms(self) -> Any:
        config = Config(connect_timeout=5, read_timeout=10, retries={"total_max_attempts": 3})
        return botocore.session.get_session().create_client("kms", config=config)


def _context(tenant: UUID) -> dict[str, str]:
    return {"likeness-tenant": str(tenant)}


@contextmanager
def _answered() -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        raise KeyStoreAway(f"AWS KMS answered {error.response.get('Error', {}).get('Code', 'an error')}.") from None
    except BotoCoreError as error:
        raise KeyStoreAway(f"AWS KMS does not answer ({type(error).__name__}).") from None
