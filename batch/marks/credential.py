"""Who signs what pictures say of themselves: this installation, or the operator's own certificate.

The installation's own first key is derived from the operators' index key, so that every process that may open a headshot
signs alike, nothing more is stored, and it is kept and lost with the other keys. One that replaces it is drawn anew and
lies sealed outside the database, where no restored backup brings the one before it back. Nobody outside vouches for them:
a program that checks says that the signer is unknown, unless it is given what `likeness signer marks` prints.

What is signed is the same to the byte whoever signs it and when: Ed25519, and ECDSA with RFC 6979's numbers.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from secrets import token_bytes

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256, SHA384
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

from likeness.ground.db import PLATFORM, utc_now
from likeness.ground.errors import Gone
from likeness.kernel import Kernel
from likeness.keys.keys import KeyClass, KeyRef, SealBroken
from likeness.keys.states import KeyUnavailable

log = logging.getLogger(__name__)

SINCE, UNTIL = datetime(2026, 1, 1, tzinfo=UTC), datetime(2056, 1, 1, tzinfo=UTC)
"""Fixed, so that the certificates are the same each time; long, because a signature without a timestamp ends with them."""
USES = (ExtendedKeyUsageOID.EMAIL_PROTECTION, ObjectIdentifier("1.3.6.1.5.5.7.3.36"))
"""What every reader of C2PA takes, and the signing of documents (RFC 9336), which is what is meant."""
C2PA_SIGNING = ObjectIdentifier("1.3.6.1.4.1.62558.2.1")
EDDSA, ES256, ES384 = -8, -7, -35
"""COSE's numbers, RFC 9053."""
MOST_BYTES = 30_000
"""Of all certificates: one segment of a JPEG has to hold them."""


SEALED_UNDER = KeyRef(PLATFORM, PLATFORM, KeyClass.PROFILE)
CONTEXT = "marks/signer"


class CredentialWrong(ValueError):
    """The file of LIKENESS_MARKS_CREDENTIAL cannot be used. The message says why."""


@dataclass(frozen=True)
class Credential:
    key: Ed25519PrivateKey | ec.EllipticCurvePrivateKey = field(repr=False)
    chain: tuple[bytes, ...]
    """DER, the signer's own first, without the root."""
    root: bytes = b""
    """PEM, where it is this installation's own."""
    until: datetime = UNTIL
    """What it signed is called invalid from then on, because nothing says when it was signed."""

    @property
    def algorithm(self) -> int:
        if isinstance(self.key, Ed25519PrivateKey):
            return EDDSA
        return ES256 if self.key.curve.key_size == 256 else ES384

    @property
    def fingerprint(self) -> str:
        return sha256(b"".join(self.chain)).hexdigest()

    def sign(self, data: bytes) -> bytes:
        """As COSE has it: r and s side by side for ECDSA."""
        if isinstance(self.key, Ed25519PrivateKey):
            return self.key.sign(data)
        size = self.key.curve.key_size // 8
        how = ec.ECDSA(SHA256() if size == 32 else SHA384(), deterministic_signing=True)
        r, s = decode_dss_signature(self.key.sign(data, how))
        return r.to_bytes(size) + s.to_bytes(size)


@dataclass(frozen=True)
class Root:
    """The certificate above one of the installation's own keys."""

    pem: str
    since: datetime
    until: datetime | None
    """None for the one that signs now."""


def of(kernel: Kernel) -> Credential:
    """Raises `KeyUnavailable`: then nothing is delivered, because it would leave unmarked."""
    given = kernel.settings.marks_credential
    if given is None:
        return _own(kernel)
    try:
        return read(given)
    except CredentialWrong as error:
        log.error("LIKENESS_MARKS_CREDENTIAL: %s", error)
        raise KeyUnavailable from error


def _own(kernel: Kernel) -> Credential:
    listed = kernel.db.outside.marks()
    if not listed:
        return derived(kernel.keys.index_key(PLATFORM))
    try:
        return derived(kernel.keys.open(SEALED_UNDER).open(bytes.fromhex(listed[-1]["sealed"]), CONTEXT))
    except (Gone, SealBroken, ValueError) as error:
        raise KeyUnavailable from error


def replace(kernel: Kernel, now: datetime) -> str:
    """A new key of the installation's own, in the place of one that is no longer trusted; returns its root certificate.

    What the one before signed goes on verifying under that one's root, which stays listed.
    """
    secret = token_bytes(32)
    made = derived(secret)
    sealed = kernel.keys.open_or_create(SEALED_UNDER).seal(secret, CONTEXT)
    kernel.db.outside.keep_marks(made.fingerprint, made.root.decode(), sealed, now)
    return made.root.decode()


def roots(kernel: Kernel) -> list[Root]:
    """Of every key of the installation's own, the newest first: with all of them whatever it ever signed is checked."""
    listed = kernel.db.outside.marks()
    starts = [SINCE, *(datetime.fromisoformat(one["since"]) for one in listed)]
    pems = [derived(kernel.keys.index_key(PLATFORM)).root.decode(), *(one["root"] for one in listed)]
    found = [Root(*one) for one in zip(pems, starts, [*starts[1:], None], strict=True)]
    return found[::-1]


def derived(secret: bytes) -> Credential:
    """The installation's own, of this secret."""
    root, signer = _key(secret, b"root"), _key(secret, b"signer")
    number = sha256(_public(root)).hexdigest()
    above, below = _name(f"Likeness installation {number[:16]}"), _name(f"Likeness pictures {number[:16]}")
    above_id = x509.SubjectKeyIdentifier.from_public_key(root.public_key())
    signed_by = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(above_id)
    authority = (
        _begun(above, above, root)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs=False), critical=True)
        .add_extension(above_id, critical=False)
        .add_extension(signed_by, critical=False)
        .sign(root, None)
    )
    own = (
        _begun(below, above, signer)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs=True), critical=True)
        .add_extension(x509.ExtendedKeyUsage(USES), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(signer.public_key()), critical=False)
        .add_extension(signed_by, critical=False)
        .sign(root, None)
    )
    return Credential(signer, (own.public_bytes(Encoding.DER),), authority.public_bytes(Encoding.PEM))


def read(file: Path) -> Credential:
    """The operator's own: a private key and its certificates in PEM, the signer's first. Raises `CredentialWrong`."""
    try:
        data = file.read_bytes()
        key = load_pem_private_key(data, None)
        chain = x509.load_pem_x509_certificates(data)
    except (OSError, ValueError, TypeError) as error:
        raise CredentialWrong(f"{file} holds no readable private key and certificates in PEM.") from error
    if not isinstance(key, Ed25519PrivateKey | ec.EllipticCurvePrivateKey) or (
        isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name not in ("secp256r1", "secp384r1")
    ):
        raise CredentialWrong(f"The key in {file} is neither P-256, P-384 nor Ed25519.")
    if chain[0].public_key() != key.public_key():
        raise CredentialWrong(f"The first certificate in {file} is not that of its key.")
    if chain[0].issuer == chain[0].subject:
        raise CredentialWrong(f"The certificate in {file} is signed by itself, which C2PA refuses.")
    _check_fit(file, chain[0])
    said = tuple(one.public_bytes(Encoding.DER) for one in chain if one.issuer != one.subject)
    if sum(map(len, said)) > MOST_BYTES:
        raise CredentialWrong(f"The certificates in {file} are too long for a picture: at most {MOST_BYTES} bytes.")
    return Credential(key, said, until=chain[0].not_valid_after_utc)


def _check_fit(file: Path, own: x509.Certificate) -> None:
    """Every reader would call what this certificate signs invalid unless all of this holds. Raises `CredentialWrong`."""
    if not own.not_valid_before_utc <= utc_now() < own.not_valid_after_utc:
        raise CredentialWrong(
            f"The certificate in {file} holds from {own.not_valid_before_utc:%Y-%m-%d} to"
            f" {own.not_valid_after_utc:%Y-%m-%d}. Put one in its place that holds today."
        )
    try:
        uses = own.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        signs = own.extensions.get_extension_for_class(x509.KeyUsage).value.digital_signature
    except x509.ExtensionNotFound:
        uses, signs = x509.ExtendedKeyUsage(USES[:1]), False
    if not signs or not set(uses) & {*USES, C2PA_SIGNING}:
        raise CredentialWrong(
            f"The certificate in {file} is not for signing: C2PA asks for the key usage digitalSignature and one of the"
            " purposes C2PA signing, documents or mail."
        )


def _key(secret: bytes, what: bytes) -> Ed25519PrivateKey:
    derived = HKDF(SHA256(), 32, salt=None, info=b"marks of pictures|" + what).derive(secret)
    return Ed25519PrivateKey.from_private_bytes(derived)


def _public(key: Ed25519PrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def _name(common: str) -> x509.Name:
    # The organisation is what viewers show. It is not the operator's: the name of an internal site would travel with faces.
    return x509.Name([
        x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Likeness"),
        x509.NameAttribute(NameOID.COMMON_NAME, common),
    ])  # fmt: skip


def _begun(subject: x509.Name, issuer: x509.Name, key: Ed25519PrivateKey) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(int.from_bytes(sha256(_public(key)).digest()[:16]) >> 1)
        .not_valid_before(SINCE)
        .not_valid_after(UNTIL)
    )


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=signs, content_commitment=False, key_encipherment=False, data_encipherment=False,
        key_agreement=False, key_cert_sign=not signs, crl_sign=not signs, encipher_only=False, decipher_only=False,
    )  # fmt: skip
