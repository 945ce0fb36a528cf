"""The operators' page about mail: who sends, and what DNS says about that sender."""

from __future__ import annotations

from typing import Any

from litestar import Request, Response, get
from litestar.params import FromQuery

from dashboard.pages import page
from likeness.identity import Kind
from likeness.mail import sender
from likeness.web.guards import kernel_of, only
from tenants.members.access import desk
from tenants.members.permissions import Permission

OPERATORS = [only(Kind.OPERATOR)]


@get("/operations/mail", sync_to_thread=True, guards=OPERATORS)
def show_sender(request: Request[Any, Any, Any], selector: FromQuery[str] = "") -> Response[str]:
    settings = kernel_of(request).settings
    with desk(request, Permission.INSTALLATION_READ):
        pass
    # After the transaction, because DNS may take its time.
    checks = sender.check(
        settings.mail_from, settings.smtp_url, selector.strip(), sender.Names(settings.dns_server),
        returns=settings.bounces_address,
    )  # fmt: skip
    context = {
        "sender": settings.mail_from, "domain": sender.domain_of(settings.mail_from), "checks": checks,
        "selector": selector.strip()[:63], "server": bool(settings.smtp_url), "asked": settings.dns_server,
        "returns": settings.bounces_address, "read": bool(settings.bounces_address and settings.bounces_imap),
    }  # fmt: skip
    return page(request, "operations/mail.html", context)


routes: list[Any] = [show_sender]
