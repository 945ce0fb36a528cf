"""Seals the page (PAdES): whoever changes a byte of the file, or adds one, breaks the seal."""

from __future__ import annotations

import io
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

from asn1crypto import keys as asn1_keys
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509.oid import NameOID
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign import fields, signers
from pyhanko.sign.validation import validate_pdf_signature
from pyhanko.sign.validation.status import SignatureCoverageLevel
from pyhanko_certvalidator import ValidationContext
from pyhanko_certvalidator.registry import SimpleCertificateStore

FIELD = "Seal"
LASTS = timedelta(days=365 * 30)


class PaperSealBroken(ValueError):
    """The file was changed after it was sealed, or somebody else sealed it."""


def apart(act: Callable[[], Any]) -> Any:
    """pyHanko starts an event loop of its own, which a thread that runs one already refuses."""
    with ThreadPoolExecutor(1) as alone:
        return alone.submit(act).result()


def new_credential(instance: str, now: datetime) -> tuple[bytes, bytes]:
    """A key and the instance's own certificate for it, both PEM. No authority vouches for it: its fingerprint is published,
    and every certificate's signed text names it.

    P-256, because readers of PDF files know it; hardly one knows Ed25519.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Likeness at {instance}"[:64])])
    usage = x509.KeyUsage(
        digital_signature=True, content_commitment=True, key_encipherment=False, data_encipherment=False,
        key_agreement=False, key_cert_sign=False, crl_sign=False, encipher_only=False, decipher_only=False,
    )  # fmt: skip
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + LASTS)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .sign(key, SHA256())
    )
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return secret, certificate.public_bytes(Encoding.PEM)


def fingerprint(certificate: bytes) -> str:
    """SHA-256 of the certificate (PEM), as browsers and readers of PDF files show it."""
    return sha256(x509.load_pem_x509_certificate(certificate).public_bytes(Encoding.DER)).hexdigest()


def seal(pdf: bytes, key: bytes, certificate: bytes, *, field: str = FIELD) -> bytes:
    """`key` and `certificate` are PEM."""
    signer = signers.SimpleSigner(
        signing_cert=_certificate(certificate),
        signing_key=_key(key),
        cert_registry=SimpleCertificateStore(),
    )
    how = signers.PdfSignatureMetadata(
        field_name=field, md_algorithm="sha256", subfilter=fields.SigSeedSubFilter.PADES, reason="Certificate of deletion"
    )
    out = io.BytesIO()
    apart(lambda: signers.PdfSigner(how, signer=signer).sign_pdf(IncrementalPdfFileWriter(io.BytesIO(pdf)), output=out))
    return out.getvalue()


def _key(pem: bytes) -> asn1_keys.PrivateKeyInfo:
    key = load_pem_private_key(pem, None)
    return asn1_keys.PrivateKeyInfo.load(key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()))


def _certificate(pem: bytes) -> asn1_x509.Certificate:
    return asn1_x509.Certificate.load(x509.load_pem_x509_certificate(pem).public_bytes(Encoding.DER))


def check(pdf: bytes, sealed_by: str) -> datetime:
    """When it was sealed. `sealed_by` is the fingerprint of the certificate that has to have sealed it.

    Raises `PaperSealBroken`. pyHanko calls a file whole and trusted to which something was added after the seal; its
    `bottom_line` does not, and neither does the coverage of the entire file.
    """
    try:
        (signature,) = PdfFileReader(io.BytesIO(pdf)).embedded_signatures
        theirs = signature.signer_cert
        if sha256(theirs.dump()).hexdigest() != sealed_by:
            raise PaperSealBroken("This page was sealed by somebody else.")
        trust = ValidationContext(trust_roots=[theirs], allow_fetching=False)
        status = apart(lambda: validate_pdf_signature(signature, signer_validation_context=trust))
    except PaperSealBroken:
        raise
    except Exception as error:  # A file that somebody changed makes the library fail in any way there is.
        raise PaperSealBroken("This page carries no seal that can be checked.") from error
    if not status.bottom_line or status.coverage != SignatureCoverageLevel.ENTIRE_FILE:
        raise PaperSealBroken("This page was changed after it was sealed.")
    return signature.self_reported_timestamp or datetime.now(UTC)
