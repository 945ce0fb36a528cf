"""Coming in with the account of one's company, and what follows from a sign-out there.

A sign-in starts by GET, because the content policy lets no form lead to another site, and its answer comes back in the
query, because a form that another site posts is refused. What the browser brings back is believed only together with
the cookie that it was sent away with.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Annotated, Any
from uuid import UUID, uuid4

from litestar import Request, Response, get, post
from litestar.enums import RequestEncodingType
from litestar.params import Body, FromPath, FromQuery
from litestar.response import Redirect
from sqlmodel import Session

from batch.visit import arrivals, invitations
from batch.visit.arrivals import NotConnected, Parts
from dashboard.pages import page, signed
from likeness import ledger
from likeness.ground.db import utc_now
from likeness.ground.errors import LikenessError
from likeness.identity import Caller, Kind, redeem, start_session, tenant_in
from likeness.kernel import Kernel
from likeness.locale.marks import N_
from likeness.sso import tokens
from likeness.sso.issuer import Issuer
from likeness.sso.tokens import LEEWAY, Proof, SignInRefused
from likeness.sso.transport import ProviderAway
from likeness.web.guards import RETRY_AFTER, caller_or_none, cookie, cookie_name, kernel_of, only, signed_in
from tenants import tenants
from tenants.api import link_opened
from tenants.members import access, members
from tenants.members.permissions import Permission
from tenants.sso import attempts, identities, providers, sessions
from tenants.sso.attempts import AttemptOver, SignInAttempt, SignInBegun
from tenants.sso.providers import Provider, ProviderMissing

log = logging.getLogger(__name__)

PUBLIC = {"public": True}
ANYBODY = [only(Kind.MEMBER, Kind.EMPLOYEE)]
Form = Annotated[dict[str, str], Body(media_type=RequestEncodingType.URL_ENCODED)]
BY_LINK = timedelta(minutes=30)
"""For so long a mailed link proves who somebody is, when they connect an account."""


class SignInGivenUp(LikenessError):
    """The company's sign-in sent the browser back without an account."""

    status, title = 403, "The sign-in was not finished"


class SecondFactorNeeded(Exception):
    """A member's account came without the second factor that the company demands; it is asked for once."""


def issuer_of(kernel: Kernel) -> Issuer:
    if kernel.issuer is None:
        raise ProviderMissing
    return kernel.issuer


@get("/sso/{provider_id:uuid}", sync_to_thread=True, opt=PUBLIC)
def leave(
    request: Request[Any, Any, Any],
    provider_id: FromPath[UUID],
    go_to: FromQuery[str] = "/",
    again: FromQuery[bool] = False,
    connect: FromQuery[bool] = False,
) -> Response[Any]:
    """Sends the browser to the company's sign-in. Raises `ProviderMissing`."""
    kernel, caller, now = kernel_of(request), caller_or_none(request), utc_now()
    issuer, provider = issuer_of(kernel), providers.get(kernel.db, provider_id)
    try:
        issuer.awake()
    except ProviderAway as problem:
        return _problem(request, problem, provider)
    known = None
    if connect and caller is not None and caller.tenant == provider.tenant_id and _by_link(kernel, caller, now):
        known = (caller.kind, caller.id)
    acr = provider.members_acr if caller is not None and caller.kind == Kind.MEMBER else ""
    with kernel.db.transaction(provider.tenant_id) as session:
        begun = attempts.begin(session, kernel.keys, provider.id, now, acr=acr, again=again, known=known, go_to=go_to)
    return _away(kernel, issuer, provider, begun, acr=acr, again=again)


def _by_link(kernel: Kernel, caller: Caller, now: datetime) -> bool:
    """The caller came by a mailed link a moment ago, not by an account."""
    with kernel.db.transaction(caller.tenant) as session:
        by_account = sessions.of(session, caller.session) is not None
    return not by_account and now - caller.authenticated_at < BY_LINK


def _away(
    kernel: Kernel, issuer: Issuer, provider: Provider, begun: SignInBegun, *, acr: str = "", again: bool = False
) -> Response[Any]:
    response: Response[Any] = Redirect(_address(issuer, provider, begun, acr=acr, again=again), status_code=303)
    response.set_cookie(**attempt_cookie(kernel, begun.browser))
    return response


def _address(issuer: Issuer, provider: Provider, begun: SignInBegun, *, acr: str = "", again: bool = False) -> str:
    return issuer.beginning(
        state=begun.state, nonce=begun.nonce, challenge=begun.challenge, organization=provider.alias,
        provider=provider.alias if provider.brokered else "", acr=acr, again=again,
    )  # fmt: skip


def with_account(request: Request[Any, Any, Any], token: str) -> Response[Any]:
    """A member's link where the company demands a second factor: it is used up, and the account is asked for."""
    kernel, tenant, now = kernel_of(request), tenant_in(token), utc_now()
    issuer = issuer_of(kernel)
    if tenant is None:
        raise ProviderMissing
    with kernel.db.transaction(tenant) as session:
        provider = providers.of_company(session)
        if provider is None:
            raise ProviderMissing
        known = redeem(session, token, now)
        link_opened(session, kernel, *known, now)
        begun = attempts.begin(session, kernel.keys, provider.id, now, acr=provider.members_acr, known=known)
    address = _address(issuer, provider, begun, acr=provider.members_acr)
    response = page(request, "sign_in/onward.html", {"address": address, "signed_out": False})
    response.set_cookie(**attempt_cookie(kernel, begun.browser))
    return response


def attempt_cookie(kernel: Kernel, value: str) -> dict[str, Any]:
    """Sent back by a navigation that another site began, which `lax` allows; ends with the attempt."""
    lasting = int(attempts.LIFETIME.total_seconds()) if value else 0
    name = f"{cookie_name(kernel.settings)}-attempt"
    return cookie(kernel.settings, value) | {"key": name, "max_age": lasting}


@get("/sso/callback", sync_to_thread=True, opt=PUBLIC)
def come_back(request: Request[Any, Any, Any]) -> Response[Any]:
    """The browser is back: a session, or a page that says why there is none."""
    kernel, query = kernel_of(request), request.query_params
    issuer, provider = issuer_of(kernel), None
    try:
        attempt = _taken(request, str(query.get("state", "")))
        provider = providers.get(kernel.db, attempt.provider_id)
        return _finish(request, issuer, provider, attempt, query)
    except (AttemptOver, ProviderAway, NotConnected, SignInGivenUp, ProviderMissing) as problem:
        return _problem(request, problem, provider)
    except SignInRefused as problem:
        log.warning("a sign-in was refused", extra={"why": problem.why})
        if provider is not None:
            with kernel.db.transaction(provider.tenant_id) as session:
                providers.note(session, provider, refused_at=utc_now())
                ledger.record(session, "identity.refused", objects=[provider.id])
        return _problem(request, problem, provider)


def _taken(request: Request[Any, Any, Any], state: str) -> SignInAttempt:
    kernel, tenant = kernel_of(request), tenant_in(state)
    browser = request.cookies.get(attempt_cookie(kernel, "")["key"], "")
    if tenant is None or not browser:
        raise AttemptOver(N_("It was begun in another browser, or took longer than ten minutes. Please start once more."))
    with kernel.db.transaction(tenant) as session:
        return attempts.take(session, state, browser, utc_now())


def _finish(
    request: Request[Any, Any, Any],
    issuer: Issuer,
    provider: Provider,
    attempt: SignInAttempt,
    query: Mapping[str, Any],
) -> Response[Any]:
    kernel = kernel_of(request)
    if query.get("iss") != issuer.name:
        raise SignInRefused("answer of another issuer")
    if "error" in query or not query.get("code"):
        # The provider's own words are not shown: anybody could write them into a link.
        log.info("a sign-in was given up", extra={"error": str(query.get("error", ""))[:40]})
        raise SignInGivenUp(N_("Your company's sign-in ended without an account. Nothing was changed."))
    given = issuer.exchanged(str(query["code"]), attempts.verifier(kernel.keys, attempt))
    now = utc_now()
    proof = tokens.identity(
        given.identity, issuer.key, issuer=issuer.name, client=issuer.client, nonce_hash=attempt.nonce_hash, now=now
    )
    providers.check_organization(provider, proof)
    if attempt.again and proof.authenticated_at < attempt.started_at - LEEWAY:
        raise SignInRefused("auth_time before the question")
    try:
        parts = _parts(kernel, issuer, provider, attempt, proof, given, now)
    except SecondFactorNeeded:
        with kernel.db.transaction(provider.tenant_id) as session:
            begun = attempts.begin(
                session, kernel.keys, provider.id, now, acr=provider.members_acr, again=attempt.again,
                known=_known(attempt), go_to=attempt.go_to,
            )  # fmt: skip
        return _away(kernel, issuer, provider, begun, acr=provider.members_acr, again=attempt.again)
    if not parts:
        raise NotConnected(
            N_("Your company's account is in order, and nobody here is known by it yet. If the company's list has your"
            " address, a link is on its way to it, or was mailed before: open it in this browser, and choose “Connect my"
            " company's account” there.")
        )
    return _signed_in(request, provider, proof, given.identity, parts, attempt.go_to, now)


def _known(attempt: SignInAttempt) -> tuple[Kind, UUID] | None:
    return (Kind(attempt.kind), attempt.subject_id) if attempt.kind and attempt.subject_id else None


def _parts(
    kernel: Kernel, issuer: Issuer, provider: Provider, attempt: SignInAttempt, proof: Proof, given: Any, now: datetime
) -> Parts:
    """Who came. Raises `SecondFactorNeeded`, after which nothing of this is stored."""
    with kernel.db.transaction(provider.tenant_id) as session:
        tenants.get(session)
        known_before = bool(identities.of(session, proof))
        parts = arrivals.of(session, kernel, proof, _known(attempt), now)
        _check_factor(provider, attempt, proof, parts)
    if parts or known_before:
        return parts
    # Only now is the address asked for: whoever is known by their account never shows it again.
    address = issuer.address(given, proof.subject)
    with kernel.db.transaction(provider.tenant_id) as session:
        parts = arrivals.by_address(session, kernel, provider, proof, address, now)
        _check_factor(provider, attempt, proof, parts)
    return parts


def _check_factor(provider: Provider, attempt: SignInAttempt, proof: Proof, parts: Parts) -> None:
    if Kind.MEMBER not in parts or not provider.members_acr or proof.acr == provider.members_acr:
        return
    if not attempt.acr:
        raise SecondFactorNeeded
    raise SignInRefused(
        "acr",
        N_("Your company asks its members for a second factor, and this sign-in came without one. Nothing was changed."),
    )


def _signed_in(
    request: Request[Any, Any, Any],
    provider: Provider,
    proof: Proof,
    token: str,
    parts: Parts,
    go_to: str,
    now: datetime,
) -> Response[Any]:
    """A new session, never one that was there before the sign-in."""
    kernel, tenant, session_id = kernel_of(request), provider.tenant_id, uuid4()
    (kind, person), *others = sorted(parts.items(), key=lambda part: part[0] != Kind.MEMBER)
    with kernel.db.transaction(tenant) as session:
        value = start_session(
            session, kind, person, now, other=others[0] if others else None, authenticated_at=proof.authenticated_at,
            session_id=session_id,
        )  # fmt: skip
        session.flush()
        sessions.note(session, kernel.keys, session_id, proof, token, now)
        if Kind.MEMBER in parts:
            providers.note(session, provider, came_at=now)
        ledger.record(session, "session.started", caller=f"{kind}:{person}")
    response = signed(request, value, go_to)
    response.set_cookie(**attempt_cookie(kernel, ""))
    return response


def _problem(request: Request[Any, Any, Any], problem: LikenessError, provider: Provider | None) -> Response[str]:
    """Why there is no session, and the two ways on: once more, or by a mailed link."""
    context = {"problem": problem, "again": f"/sso/{provider.id}" if provider else ""}
    response = page(request, "sign_in/sso_problem.html", context, status=problem.status)
    if problem.status in RETRY_AFTER:
        response.headers["retry-after"] = RETRY_AFTER[problem.status]
    response.set_cookie(**attempt_cookie(kernel_of(request), ""))
    return response


@post("/sso/logout", sync_to_thread=True, status_code=200, opt=PUBLIC)
def end_from_there(request: Request[Any, Any, Any], data: Form) -> Response[None]:
    """Back-channel logout: Keycloak itself says that a session ended there. Raises `SignInRefused`."""
    kernel = kernel_of(request)
    issuer = issuer_of(kernel)
    try:
        said = tokens.signed_out(
            data.get("logout_token", ""),
            issuer.key_for_strangers,
            issuer=issuer.name,
            client=issuer.client,
            now=utc_now(),
        )
    except SignInRefused as problem:
        log.warning("a logout token was refused", extra={"why": problem.why})
        return Response(None, status_code=400, headers={"cache-control": "no-store"})
    ended = sessions.end(kernel.db, said)
    log.info("sessions ended with those at the issuer", extra={"count": ended})
    return Response(None, headers={"cache-control": "no-store"})


def leaving(kernel: Kernel, session: Session, caller: Caller) -> str:
    """Where a browser signs out of its company's account too; empty where it came otherwise. Before the session ends."""
    row = sessions.of(session, caller.session) if kernel.issuer else None
    if row is None or kernel.issuer is None:
        return ""
    return kernel.issuer.ending(sessions.hint(kernel.keys, row), f"{kernel.settings.public_url}/sign-in")


def everywhere(kernel: Kernel, session: Session, person_id: UUID) -> list[str]:
    """What ends somebody's sessions at their company's sign-in, for `end_there`. Before the sessions here end."""
    rows = sessions.of_person(session, person_id) if kernel.issuer else []
    return [sessions.hint(kernel.keys, row) for row in rows]


def end_there(kernel: Kernel, hints: list[str]) -> bool:
    """Outside of a transaction, because it waits for Keycloak. False where one may stand there."""
    back = f"{kernel.settings.public_url}/sign-in"
    return all(kernel.issuer is not None and kernel.issuer.ended(hint, back) for hint in hints)


@contextmanager
def _own(request: Request[Any, Any, Any]) -> Iterator[Session]:
    """A transaction in which somebody looks after their own way in, as a member or as an employee."""
    caller = signed_in(request)
    with kernel_of(request).db.transaction(caller.tenant) as session:
        if caller.kind == Kind.MEMBER:
            access.permit(session, caller, Permission.ACCOUNT_CHANGE)
        yield session


@get("/sso", sync_to_thread=True, guards=ANYBODY)
def show_account(request: Request[Any, Any, Any]) -> Response[str]:
    """Whether the company's account is connected, and the way to connect it."""
    kernel, caller = kernel_of(request), signed_in(request)
    with _own(request) as session:
        provider = providers.of_company(session) if kernel.issuer else None
        identity = identities.of_person(session, caller.kind, caller.id)
        company = tenants.get(session).name
    context = {
        "company": company,
        "provider": provider,
        "identity": identity,
        "by_link": _by_link(kernel, caller, utc_now()),
    }
    return page(request, "sign_in/account.html", context)


@post("/sso/disconnect", sync_to_thread=True, guards=ANYBODY)
def disconnect(request: Request[Any, Any, Any]) -> Response[Any]:
    """From now on the caller comes by mailed links, until they connect an account once more."""
    with _own(request) as session:
        arrivals.disconnect(session, kernel_of(request), signed_in(request), utc_now())
    return Redirect("/sso", status_code=303)


@get("/sso/again", sync_to_thread=True, guards=ANYBODY)
def ask_again(request: Request[Any, Any, Any]) -> Response[str]:
    """The ways to a fresh sign-in, for what must not be done by whoever finds a screen unlocked."""
    return _again_page(request)


def _again_page(request: Request[Any, Any, Any], problem: LikenessError | None = None, said: str = "") -> Response[str]:
    kernel, caller = kernel_of(request), signed_in(request)
    with _own(request) as session:
        connected = identities.of_person(session, caller.kind, caller.id) is not None
        provider = providers.of_company(session) if kernel.issuer and connected else None
    context = {"provider": provider, "problem": problem, "said": said}
    return page(request, "sign_in/again.html", context, status=problem.status if problem else 200)


@post("/sso/again", sync_to_thread=True, status_code=200, guards=ANYBODY)
def mail_again(request: Request[Any, Any, Any]) -> Response[str]:
    """A fresh link to the caller's own address."""
    kernel, caller, now = kernel_of(request), signed_in(request), utc_now()
    try:
        with _own(request) as session:
            if caller.kind == Kind.EMPLOYEE:
                invitations.link_to_oneself(session, caller.id, now, caller=str(caller))
            else:
                member = members.active(session, caller.id)
                members.mail_link(session, kernel, member, now, campaign=f"fresh-{now:%Y%m%d%H%M}")
    except LikenessError as problem:
        if problem.status != 409:
            raise
        return _again_page(request, problem)
    return _again_page(
        request, said=N_("A link is on its way to your address. Open it in this browser, and then do it again.")
    )


routes: list[Any] = [
    leave, come_back, end_from_there, show_account, disconnect, ask_again, mail_again,
]  # fmt: skip
