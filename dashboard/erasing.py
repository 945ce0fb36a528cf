"""Deleting everything of one's own, and the page that is left afterwards.

That page is public, because its owner's session goes with everything else. Its address holds two opaque ids, the
erasure's own being the secret, and it shows nothing that names anybody.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from litestar import Request, Response, get
from litestar.params import FromPath
from sqlmodel import Session, col, select

from compliance.models import Certificate, Erasure
from dashboard.pages import page
from likeness.db import tenant_of
from likeness.errors import NotFound
from likeness.identity import Caller
from likeness.kernel import Kernel
from likeness.web import kernel_of

PUBLIC = {"public": True}


class ErasureMissing(NotFound):
    """There is no such erasure, or it is somebody else's."""


def ask(kernel: Kernel, caller: Caller, now: datetime) -> Erasure:
    with kernel.db.transaction(caller.tenant) as session:
        erasure = Erasure(
            tenant_id=caller.tenant, employee_id=caller.id, trigger="person", requested_by=str(caller), requested_at=now
        )
        session.add(erasure)
    return erasure


def latest(kernel: Kernel, tenant: UUID, employee_id: UUID) -> Erasure | None:
    with kernel.db.transaction(tenant) as session:
        return session.exec(
            select(Erasure)
            .where(col(Erasure.tenant_id) == tenant, col(Erasure.employee_id) == employee_id)
            .order_by(col(Erasure.requested_at).desc())
            .limit(1)
        ).first()


def address(erasure: Erasure) -> str:
    return f"/gone/{erasure.tenant_id.hex}.{erasure.id.hex}"


@get("/gone/{token:str}", sync_to_thread=True, opt=PUBLIC)
def show_erasure(request: Request[Any, Any, Any], token: FromPath[str]) -> Response[str]:
    tenant, erasure_id = _ids(token)
    with kernel_of(request).db.transaction(tenant) as session:
        erasure, certificate = _found(session, erasure_id)
    context = {"erasure": erasure, "certificate": certificate, "download": f"/gone/{token}/certificate"}
    return page(request, "visit/gone.html", context)


@get("/gone/{token:str}/certificate", sync_to_thread=True, opt=PUBLIC)
def download_certificate(request: Request[Any, Any, Any], token: FromPath[str]) -> Response[str]:
    """The signed certificate as a file that `likeness verify` reads."""
    tenant, erasure_id = _ids(token)
    with kernel_of(request).db.transaction(tenant) as session:
        certificate = _found(session, erasure_id)[1]
    if certificate is None:
        raise ErasureMissing("The certificate is not signed yet. It takes a few minutes.")
    return certificate_file(certificate)


def certificate_file(certificate: Certificate) -> Response[str]:
    return Response(
        certificate.jws + "\n",
        media_type="application/jose",
        headers={
            "content-disposition": f'attachment; filename="certificate-{str(certificate.id)[:8]}.jws"',
            "cache-control": "private, no-store",
        },
    )


def _found(session: Session, erasure_id: UUID) -> tuple[Erasure, Certificate | None]:
    tenant = tenant_of(session)
    erasure = session.exec(
        select(Erasure).where(col(Erasure.tenant_id) == tenant, col(Erasure.id) == erasure_id)
    ).one_or_none()
    if erasure is None:
        raise ErasureMissing("There is no such erasure.")
    certificate = session.exec(
        select(Certificate)
        .where(col(Certificate.tenant_id) == tenant, col(Certificate.erasure_id) == erasure_id)
        .order_by(col(Certificate.stage).desc())
        .limit(1)
    ).first()
    return erasure, certificate


def _ids(token: str) -> tuple[UUID, UUID]:
    try:
        tenant, erasure_id = token.split(".", 1)
        return UUID(hex=tenant), UUID(hex=erasure_id)
    except ValueError:
        raise ErasureMissing("There is no such erasure.") from None


routes: list[Any] = [show_erasure, download_certificate]
