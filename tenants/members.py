"""The people who work the desk. Name and address are sealed under the member's own key."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from uuid import UUID, uuid4

from email_validator import EmailNotValidError, validate_email
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session, col, select

from likeness import ledger, mail
from likeness.db import PLATFORM, tenant_of, utc_now
from likeness.errors import Conflict, Forbidden, Gone, NotFound, Unprocessable
from likeness.identity import INVITED_LIFETIME, LINK_LIFETIME, Kind, end_sessions_of, keep_link, new_token
from likeness.kernel import Kernel
from likeness.keys import KeyClass, KeyFolder, KeyRef, blind_index
from tenants import letters
from tenants.models import Member, Role, Tenant
from tenants.plain import one_line

CONTEXT = "member/profile"


class MemberMissing(NotFound):
    """There is no such member."""


class MemberKnown(Conflict):
    """A member has this address."""


class MemberRefused(Unprocessable):
    """The address cannot receive mail, or the role does not exist here."""


class LastOfRole(Conflict):
    """Nobody else could give this role to anybody any more."""


class NoLongerMember(Gone):
    """The link is in order, but its member was disabled since."""


class JoinedAlready(Conflict):
    """The invitation was taken up."""


class InvitedJustNow(Conflict):
    """A second mail within the hour helps nobody."""


class RoleNotHeld(Forbidden):
    """The member does not hold the role."""


@dataclass(frozen=True)
class MemberProfile:
    name: str
    email: str


def invite_member(
    session: Session,
    keys: KeyFolder,
    email: str,
    name: str,
    roles: Collection[Role],
    *,
    by: UUID | None = None,
    caller: str = ledger.SYSTEM,
) -> Member:
    """Raises `MemberKnown` or `MemberRefused`. The role of an operator exists only in the platform's own tenant.

    `by` is the member of the same company who invites. What lets the new member in goes to their address: `mail_link`.
    """
    tenant = tenant_of(session)
    profile = MemberProfile(one_line(name, 200, "name"), address(email))
    _check_roles(tenant, roles)
    member_id = uuid4()
    sealed = keys.open_or_create(KeyRef(tenant, member_id, KeyClass.PROFILE)).seal(
        json.dumps(asdict(profile)).encode(), CONTEXT
    )
    member = Member(
        id=member_id,
        tenant_id=tenant,
        email_index=blind_index(keys.index_key(tenant), profile.email),
        profile=sealed,
        roles=sorted(roles),
        invited_by=by,
    )
    try:
        with session.begin_nested():
            session.add(member)
    except IntegrityError:
        raise MemberKnown(
            "Somebody with this address is a member already, or was one: see the list on the Team page."
        ) from None
    ledger.record(session, "member.invited", caller=caller, objects=[member.id])
    return member


def invite(
    session: Session, kernel: Kernel, email: str, name: str, roles: Collection[Role], *, inviter: Member, now: datetime
) -> Member:
    """A member invites another one, whose link goes to them alone. Raises what `invite_member` does."""
    member = invite_member(
        session, kernel.keys, email, name, roles, by=inviter.id, caller=f"{Kind.MEMBER}:{inviter.id}"
    )
    mail_link(session, kernel, member, now, campaign="first", inviter=profile(kernel.keys, inviter).name)
    return member


def invite_again(session: Session, kernel: Kernel, member_id: UUID, *, inviter: Member, now: datetime) -> Member:
    """Raises `RoleNotHeld`, `MemberMissing` and `JoinedAlready`; once an hour is enough: `InvitedJustNow`."""
    member = active(session, member_id)
    check_may_give(inviter, [Role(role) for role in member.roles])
    if member.joined_at is not None:
        raise JoinedAlready("They have signed in before. They get a link at the front door, under “Mail me a link”.")
    name = profile(kernel.keys, inviter).name
    if not mail_link(session, kernel, member, now, campaign=f"again-{now:%Y%m%d%H}", inviter=name):
        raise InvitedJustNow("A fresh invitation went out within this hour. One an hour is enough.")
    return member


def get(session: Session, member_id: UUID) -> Member:
    return _one(session, member_id, locked=False)


def _one(session: Session, member_id: UUID, *, locked: bool) -> Member:
    query = select(Member).where(col(Member.tenant_id) == tenant_of(session), col(Member.id) == member_id)
    member = session.exec(query.with_for_update() if locked else query).one_or_none()
    if member is None:
        raise MemberMissing
    return member


def mail_link(
    session: Session, kernel: Kernel, member: Member, now: datetime, *, campaign: str, inviter: str | None = None
) -> bool:
    """Mails a one-time link to the member's own address; False when this campaign wrote to them before.

    Nobody else is ever shown it: whoever holds it is the member. With an `inviter` it is the first one, which lasts
    for a week.
    """
    tenant = session.exec(select(Tenant).where(col(Tenant.id) == member.tenant_id)).one()
    who, front = profile(kernel.keys, member), kernel.settings.public_url.rstrip("/")
    kind = Kind.OPERATOR if member.tenant_id == PLATFORM else Kind.MEMBER
    lasting = INVITED_LIFETIME if inviter else LINK_LIFETIME
    token = new_token(member.tenant_id)
    link = f"{front}/sign-in/{token}"
    if inviter:
        letter = letters.invitation(
            tenant, who.name, who.email, inviter, member.roles, link, f"{front}/sign-in", now + lasting
        )
    else:
        letter = letters.sign_in(tenant, who.name, who.email, link, now + lasting)
    template = "member-invitation" if inviter else "sign-in"
    written = mail.post(session, kernel.keys, member.id, letter, template=template, campaign=campaign)
    if written is None:
        return False
    keep_link(session, token, kind, member.id, now + lasting)
    ledger.record(session, "member.link-mailed", objects=[member.id])
    return True


def came_in(session: Session, member_id: UUID, now: datetime) -> None:
    """At a sign-in, before the link is used up. Raises `NoLongerMember`; one who is disabled meanwhile waits here."""
    member = _one(session, member_id, locked=True)
    if member.disabled_at is not None:
        raise NoLongerMember("You no longer work on this company's desk. Ask one of its members to let you back in.")
    member.joined_at, member.signed_in_at = member.joined_at or now, now
    session.add(member)


def find(session: Session, keys: KeyFolder, email: str) -> Member | None:
    """The active member with this address."""
    found = find_all(session, keys, [email.strip()])
    return found[0][0] if found else None


def find_all(session: Session, keys: KeyFolder, emails: Sequence[str]) -> list[tuple[Member, str]]:
    """The active members among these addresses, each with its address."""
    key = keys.index_key(tenant_of(session))
    indexed = {blind_index(key, email): email for email in emails}
    rows = session.exec(
        select(Member).where(
            col(Member.tenant_id) == tenant_of(session),
            col(Member.email_index).in_(indexed),
            col(Member.disabled_at).is_(None),
        )
    )
    return [(member, indexed[member.email_index]) for member in rows]


def active(session: Session, member_id: UUID) -> Member:
    """Raises `MemberMissing` for somebody who no longer works the desk."""
    member = get(session, member_id)
    if member.disabled_at is not None:
        raise MemberMissing
    return member


def check_new(email: str, name: str) -> None:
    """Raises what `invite_member` would raise for these words."""
    one_line(name, 200, "name")
    address(email)


def check_may_give(giver: Member, roles: Collection[Role]) -> None:
    """Raises `RoleNotHeld`: whoever could hand out a role without holding it could give it to themselves."""
    if not set(roles) <= {Role(role) for role in giver.roles}:
        raise RoleNotHeld("Only somebody who holds a role can give or take it.")


def profile(keys: KeyFolder, member: Member) -> MemberProfile:
    key = keys.open(KeyRef(member.tenant_id, member.id, KeyClass.PROFILE))
    return MemberProfile(**json.loads(key.open(member.profile, CONTEXT)))


def all(session: Session) -> list[Member]:
    return list(
        session.exec(select(Member).where(col(Member.tenant_id) == tenant_of(session)).order_by(col(Member.created_at)))
    )


def give_roles(session: Session, member_id: UUID, roles: Collection[Role], *, by: UUID, caller: str) -> Member:
    """Raises `LastOfRole`: a role that nobody holds can be given by nobody."""
    _check_roles(tenant_of(session), roles)
    desk = _desk(session)
    member = _of(desk, member_id)
    _keep_one(desk, member, {Role(role) for role in member.roles} - set(roles))
    if sorted(roles) != member.roles:
        member.roles = sorted(roles)
        _given(session, member, by)
        ledger.record(session, "member.changed", caller=caller, objects=[member.id])
    return member


def disable(session: Session, member_id: UUID, now: datetime, *, caller: str) -> None:
    """Signs the member out everywhere, at once. Raises `LastOfRole`."""
    desk = _desk(session)
    member = _of(desk, member_id)
    if member.disabled_at is not None:
        return
    _keep_one(desk, member, {Role(role) for role in member.roles})
    member.disabled_at = now
    session.add(member)
    session.flush()
    end_sessions_of(session, member.id)
    ledger.record(session, "member.disabled", caller=caller, objects=[member.id])


def let_back(session: Session, member_id: UUID, *, by: UUID, caller: str) -> Member:
    """The member works the desk again, with the roles from before; who lets them back has given these."""
    member = _one(session, member_id, locked=True)
    if member.disabled_at is not None:
        member.disabled_at = None
        _given(session, member, by)
        ledger.record(session, "member.let-back", caller=caller, objects=[member.id])
    return member


def _given(session: Session, member: Member, by: UUID) -> None:
    member.roles_by, member.roles_at = sorted({*member.roles_by, str(by)}), utc_now()
    session.add(member)


def _desk(session: Session) -> dict[UUID, Member]:
    """Everybody, locked in one order: two who take a role from each other at the same time come one after the other."""
    rows = session.exec(
        select(Member).where(col(Member.tenant_id) == tenant_of(session)).order_by(col(Member.id)).with_for_update()
    )
    return {member.id: member for member in rows}


def _of(desk: dict[UUID, Member], member_id: UUID) -> Member:
    if member_id not in desk:
        raise MemberMissing
    return desk[member_id]


def _keep_one(desk: dict[UUID, Member], member: Member, taken: Collection[Role]) -> None:
    """Each role stays with somebody who has signed in: a role that nobody holds can be given by nobody."""
    if member.disabled_at is not None or member.joined_at is None:
        return  # Nothing is lost with somebody who never came.
    others = [one for one in desk.values() if one.id != member.id and one.joined_at and one.disabled_at is None]
    for role in sorted(taken):
        if not any(role in other.roles for other in others):
            raise LastOfRole(
                f"Nobody else of {letters.PARTS[role]} has signed in yet. Invite somebody, wait until they came in, and"
                " then take it away."
            )


def _check_roles(tenant: UUID, roles: Collection[Role]) -> None:
    allowed = {Role.OPERATOR} if tenant == PLATFORM else {Role.HR, Role.LEGAL}
    if not roles or not set(roles) <= allowed:
        raise MemberRefused(f"Choose among the roles: {', '.join(sorted(allowed))}.")


def address(email: str) -> str:
    """The address as typed, trimmed. Raises `MemberRefused`."""
    typed = one_line(email, 254, "address")
    # Domains inside a company are fine, though the library refuses them: they are checked as if they were public.
    public = re.sub(r"(\.local|(?<=@)localhost)$", "x.example", typed, flags=re.IGNORECASE)
    try:
        validate_email(public, check_deliverability=False, test_environment=True)
    except EmailNotValidError:
        raise MemberRefused("This is not an e-mail address.") from None
    return typed
