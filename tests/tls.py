"""TLS as an operator has it: an authority of one's own, a certificate of it for `localhost` alone, and what stands before
servers that have no TLS themselves: nginx before the program, and a door before the PostgreSQL of the tests."""

from __future__ import annotations

import re
import select
import shutil
import socket
import socketserver
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tests.waiting import PATIENCE

NGINX = shutil.which("nginx") or "/usr/sbin/nginx"
SSL_REQUEST = bytes.fromhex("0000000804d2162f")


@dataclass(frozen=True)
class Certificates:
    folder: Path

    @property
    def authority(self) -> Path:
        return self.folder / "authority.pem"

    @property
    def certificate(self) -> Path:
        return self.folder / "server.pem"

    @property
    def key(self) -> Path:
        return self.folder / "server.key"

    def believing(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.authority))


def certificates(folder: Path, *, called: str = "Zebra's own authority") -> Certificates:
    folder.mkdir()
    made, now = Certificates(folder), datetime.now(UTC)
    own, theirs = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    authority = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, called)])

    def signed(subject: x509.Name, public: ec.EllipticCurvePublicKey, *more: x509.ExtensionType) -> bytes:
        begun = x509.CertificateBuilder(authority, subject, public, x509.random_serial_number())
        begun = begun.not_valid_before(now - timedelta(hours=1)).not_valid_after(now + timedelta(days=1))
        begun = begun.add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(own.public_key())
        begun = begun.add_extension(identifier, critical=False)
        for one in more:
            begun = begun.add_extension(one, critical=isinstance(one, x509.BasicConstraints))
        return begun.sign(own, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    only = dict.fromkeys(
        ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "encipher_only", "decipher_only"),
        False,
    )
    signs = x509.KeyUsage(digital_signature=True, key_cert_sign=True, crl_sign=True, **only)
    made.authority.write_bytes(
        signed(authority, own.public_key(), x509.BasicConstraints(ca=True, path_length=None), signs)
    )
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    names = x509.SubjectAlternativeName([x509.DNSName("localhost")])
    serves = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
    leaf = x509.BasicConstraints(ca=False, path_length=None)
    made.certificate.write_bytes(signed(subject, theirs.public_key(), leaf, names, serves))
    made.key.touch(mode=0o600)
    made.key.write_bytes(
        theirs.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return made


class _Door(socketserver.BaseRequestHandler):
    server: _Doors

    def handle(self) -> None:
        with suppress(OSError):
            if self.request.recv(8, socket.MSG_WAITALL) != SSL_REQUEST:
                return  # Nobody comes in in clear.
            self.request.sendall(b"S")
            with (
                self.server.context.wrap_socket(self.request, server_side=True) as outside,
                socket.socket(socket.AF_UNIX) as inside,
            ):
                inside.connect(self.server.path)
                self._pass_on(outside, inside)

    def _pass_on(self, outside: ssl.SSLSocket, inside: socket.socket) -> None:
        while True:
            # What the TLS layer has read already, no `select` tells of.
            ready = [outside] if outside.pending() else select.select([outside, inside], [], [])[0]
            for one in ready:
                if not (data := one.recv(65536)):
                    return
                (inside if one is outside else outside).sendall(data)


class _Doors(socketserver.ThreadingTCPServer):
    daemon_threads = True

    def __init__(self, context: ssl.SSLContext, path: str) -> None:
        super().__init__(("127.0.0.1", 0), _Door)
        self.context, self.path = context, path


@contextmanager
def door_to_postgres(made: Certificates, folder: str) -> Iterator[int]:
    """The port at which the PostgreSQL whose socket is in `folder` is reached with TLS and in no other way."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made.certificate, made.key)
    with _Doors(context, f"{folder}/.s.PGSQL.5432") as doors:
        thread = threading.Thread(target=doors.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        yield int(doors.server_address[1])
        doors.shutdown()


@contextmanager
def front(made: Certificates, written: str, port: int, behind: int) -> Iterator[None]:
    """nginx with the lines of the documentation, which listens on `port` and passes on to `behind`."""
    said = written.replace("listen 443 ssl", f"listen 127.0.0.1:{port} ssl")
    said = said.replace("127.0.0.1:8000", f"127.0.0.1:{behind}")
    said = re.sub(r"(ssl_certificate) [^;]+;", rf"\1 {made.certificate};", said)
    said = re.sub(r"(ssl_certificate_key) [^;]+;", rf"\1 {made.key};", said.replace("heads.example", "localhost"))
    places = "".join(
        f"{kind}_temp_path {made.folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    file = made.folder / "nginx.conf"
    file.write_text(
        f"daemon off; pid {made.folder}/nginx.pid; error_log {made.folder}/nginx.log; events {{}}\n"
        f"http {{ access_log off; {places}\n{said} }}\n"
    )
    with subprocess.Popen([NGINX, "-e", made.folder / "nginx.log", "-c", file]) as running:
        try:
            yield
        finally:
            running.terminate()
            running.wait(PATIENCE)
