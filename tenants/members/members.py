"""The people who work the desk. Name and address are sealed under the member's own key."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session, col, select

from likeness import ledger, machines
from likeness.ground.db import PLATFORM, oldest_first, row_of, tenant_of, utc_now
from likeness.ground.errors import Conflict, Forbidden, Gone, NotFound, Unprocessable
from likeness.identity import INVITED_LIFETIME, LINK_LIFETIME, Kind, end_sessions_of, keep_link, new_token
from likeness.jobs import held
from likeness.kernel import Kernel
from likeness.keys.keys import KeyClass, KeyFolder, KeyRef, blind_index
from likeness.locale.languages import LANGUAGES, first_of
from likeness.locale.marks import N_, Term
from likeness.locale.words import Words, words
from likeness.mail import mail
from tenants import bounds
from tenants.members import letters, permissions
from tenants.models import Member, Role, Tenant
from tenants.plain import mail_domain, one_line

CONTEXT = "member/profile"


class MemberMissing(NotFound):
    """There is no such member."""

    title = "This person is not on your team"


class MemberKnown(Conflict):
    """A member has this address."""

    title = "Somebody with this address works here already"


class MemberRefused(Unprocessable):
    """The address cannot receive mail, or the role does not exist here."""

    title = "This member cannot be invited"


class LastOwner(Conflict):
    """Nobody would be left who can say who works here."""

    title = "The last owner has to stay"


class NoLongerMember(Gone):
    """The link is in order, but its member was disabled since."""

    title = "You do not work at this desk any more"


class JoinedAlready(Conflict):
    """The invitation was taken up."""

    title = "They have joined already"


class InvitedJustNow(Conflict):
    """A second mail within the hour helps nobody."""

    title = "They were invited within the last hour"


class OwnRole(Forbidden):
    """Whoever could give themselves a role could take every one."""

    title = "Somebody else has to change your own roles"


class RolesExclude(Conflict):
    """Nobody sees both who people are and what was done about them."""

    title = "These roles exclude each other"


class LanguageNotThere(Unprocessable):
    """The desk is not written in this language."""

    title = "Nothing is written in this language"


class NotBindable(Conflict):
    """Departments bound who sees names; who owns the company or reads acts works for all of it."""

    title = "This role works for the whole company"


@dataclass(frozen=True)
class MemberProfile:
    name: str
    email: str
    departments: tuple[str, ...] = ()
    """As they were written; what a query compares is on the row."""
    views: tuple[tuple[str, str], ...] = ()
    """See `views.py`."""
    language: str = ""
    """That they chose to read the desk in; empty where their browser says it."""


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
    member = Member(
        id=member_id,
        tenant_id=tenant,
        email_index=blind_index(keys.index_key(tenant), profile.email),
        profile=_sealed(keys, tenant, member_id, profile),
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
    """Raises `MemberMissing` and `JoinedAlready`; once an hour is enough: `InvitedJustNow`."""
    member = active(session, member_id)
    if member.joined_at is not None:
        raise JoinedAlready("They have signed in before. They get a link at the front door, under “Mail me a link”.")
    name = profile(kernel.keys, inviter).name
    if not mail_link(session, kernel, member, now, campaign=f"again-{now:%Y%m%d%H}", inviter=name):
        raise InvitedJustNow("A fresh invitation went out within this hour. One an hour is enough.")
    return member


def get(session: Session, member_id: UUID) -> Member:
    return _one(session, member_id, locked=False)


def locked(session: Session, member_id: UUID) -> Member:
    """Until the transaction ends nobody else writes the row."""
    return _one(session, member_id, locked=True)


def _one(session: Session, member_id: UUID, *, locked: bool) -> Member:
    member = row_of(session, Member, member_id, locked=locked)
    if member is None:
        raise MemberMissing
    return member


def mail_link(
    session: Session, kernel: Kernel, member: Member, now: datetime, *, campaign: str, inviter: str | None = None,
    template: str = "member-sign-in",
) -> bool:
    """Mails a one-time link to the member's own address; False when this campaign wrote to them before.

    Nobody else is ever shown it: whoever holds it is the member. With an `inviter` it is the first one, which lasts
    for a week. `template` says why it comes: somebody asked, or an account was refused.
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
        letter = letters.sign_in(template, tenant, who.name, who.email, link, now + lasting)
    kind_of_mail = "member-invitation" if inviter else "sign-in"
    written = mail.post(session, kernel.keys, member.id, letter, template=kind_of_mail, campaign=campaign)
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
    member.joined_at, member.signed_in_at, member.seen_at = member.joined_at or now, now, now
    session.add(member)


SEEN = text(
    """
    update member set seen_at = w.seen_at from web_session w
    where member.tenant_id = :tenant and w.tenant_id = :tenant and w.id = :web_session
      and (member.seen_at is null or w.seen_at > member.seen_at)
      and member.id = (select id from member where tenant_id = :tenant and id = :member for update skip locked)
    """
)  # Where somebody changes the member at this moment the next request notes it: nobody waits for this.


def seen(session: Session, member_id: UUID, web_session: UUID) -> None:
    """Notes when the member was last there. What a page asks by itself is nobody's doing, and their session knows."""
    session.execute(SEEN, {"tenant": tenant_of(session), "member": member_id, "web_session": web_session})


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


def profile(keys: KeyFolder, member: Member) -> MemberProfile:
    key = keys.open(KeyRef(member.tenant_id, member.id, KeyClass.PROFILE))
    known = json.loads(key.open(member.profile, CONTEXT))
    lists = {"departments": tuple(known.get("departments", ())), "views": tuple(map(tuple, known.get("views", ())))}
    return MemberProfile(**known | lists)


def _sealed(keys: KeyFolder, tenant: UUID, member_id: UUID, who: MemberProfile) -> bytes:
    return keys.open_or_create(KeyRef(tenant, member_id, KeyClass.PROFILE)).seal(
        json.dumps(asdict(who)).encode(), CONTEXT
    )


def seal_again(session: Session, keys: KeyFolder, member: Member, who: MemberProfile) -> None:
    member.profile = _sealed(keys, member.tenant_id, member.id, who)
    session.add(member)


def choose_language(session: Session, keys: KeyFolder, member_id: UUID, language: str) -> None:
    """From now on the desk is read to them in this one. Raises `LanguageNotThere`."""
    if language not in LANGUAGES:
        raise LanguageNotThere("Choose one of the languages on this page.")
    member = _one(session, member_id, locked=True)
    seal_again(session, keys, member, replace(profile(keys, member), language=language))


def words_of(keys: KeyFolder, member: Member, language: str, time_zone: str, browser: str | None = None) -> Words:
    """In the language that they chose themselves, else in their browser's where it is known, else in their company's."""
    return words(first_of(profile(keys, member).language, browser, language), time_zone)


def all(session: Session, most: int | None = None, *, after: tuple[datetime, UUID] | None = None) -> list[Member]:
    """Oldest first; at most so many, those `after` the moment and the id of one."""
    query = select(Member).where(col(Member.tenant_id) == tenant_of(session))
    return list(session.exec(oldest_first(query, col(Member.created_at), col(Member.id), most, after)))


def give_roles(session: Session, member_id: UUID, roles: Collection[Role], *, by: UUID, caller: str) -> Member:
    """Raises `OwnRole`, `RolesExclude` and `LastOwner`. Giving up a role of one's own takes nobody else."""
    _check_roles(tenant_of(session), roles)
    desk = _desk(session)
    member = _of(desk, member_id)
    if member.departments is not None:
        _check_bindable(roles)
    if by == member_id and not set(roles) <= set(member.roles):
        raise OwnRole("Nobody gives themselves a role. Ask another owner of your company to give it to you.")
    _keep_one(desk, member, {Role(role) for role in member.roles} - set(roles))
    if sorted(roles) != member.roles:
        member.roles = sorted(roles)
        _given(session, member, by)
        left = {"roles": " ".join(member.roles)}
        ledger.record(session, "member.changed", caller=caller, objects=[member.id], facts=left)
    return member


def bind_to(session: Session, keys: KeyFolder, member_id: UUID, departments: Collection[str], *, caller: str) -> Member:
    """From now on the member sees the people of these departments and nobody else; of none: everybody again.

    Raises `NotBindable` and `TextRefused`.
    """
    member = _one(session, member_id, locked=True)
    if len(departments) > bounds.MOST:
        raise NotBindable(
            "Name at most {n} departments. Whoever works for more works for the whole company.", n=bounds.MOST
        )
    if departments:
        _check_bindable(member.roles)
    who = replace(profile(keys, member), departments=tuple(departments))
    key = keys.index_key(member.tenant_id)
    member.departments = [bounds.index(key, one).hex() for one in departments] or None
    member.profile = _sealed(keys, member.tenant_id, member.id, who)
    session.add(member)
    ledger.record(session, "member.bound" if departments else "member.unbound", caller=caller, objects=[member.id])
    return member


def _check_bindable(roles: Collection[str]) -> None:
    if not set(roles) <= permissions.NAMES:
        raise NotBindable("Only HR and brand are bound to departments. Take the other roles away first.")


def keep_part(session: Session, member: Member, role: str) -> Member:
    """For who works with names and acts from before these excluded each other: keeps the side of `role`, gives up the
    other. Raises `MemberMissing` for a role that they do not hold."""
    side = next((side for side in (permissions.NAMES, permissions.ACTS) if role in side), frozenset())
    if role not in member.roles:
        raise MemberMissing("You do not hold this role.")
    kept = [Role(one) for one in member.roles if one in side or one not in permissions.NAMES | permissions.ACTS]
    return give_roles(session, member.id, kept, by=member.id, caller=f"{Kind.MEMBER}:{member.id}")


def disable(session: Session, member_id: UUID, now: datetime, *, caller: str) -> None:
    """Signs the member out everywhere, at once, and nothing begins that they asked about others. Raises `LastOwner`."""
    desk = _desk(session)
    member = _of(desk, member_id)
    if member.disabled_at is not None:
        return
    _keep_one(desk, member, {Role(role) for role in member.roles})
    member.disabled_at = now
    session.add(member)
    session.flush()
    end_sessions_of(session, member.id)
    theirs = [f"{Kind.MACHINE}:{key.id}" for key in machines.standing(session, now, member.id)]
    stopped = held.forget_of(session, [f"{Kind.MEMBER}:{member.id}", *theirs])
    machines.revoke(session, now, member_id=member.id)
    ledger.record(session, "member.disabled", caller=caller, objects=[member.id, *sorted(stopped)])


def let_back(session: Session, member_id: UUID, *, by: UUID | Collection[UUID], caller: str) -> Member:
    """The member works the desk again, with the roles from before; whoever lets them back has given these."""
    member = _one(session, member_id, locked=True)
    if member.disabled_at is not None:
        member.disabled_at = None
        for one in [by] if isinstance(by, UUID) else by:
            _given(session, member, one)
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
    """An owner who has signed in stays, or an operator: every other role can be given by one of these."""
    if member.disabled_at is not None or member.joined_at is None:
        return  # Nothing is lost with somebody who never came.
    role = Role.OPERATOR if member.tenant_id == PLATFORM else Role.OWNER
    others = [one for one in desk.values() if one.id != member.id and one.joined_at and one.disabled_at is None]
    if role in taken and not any(role in other.roles for other in others):
        raise LastOwner(
            "No other {role} has signed in yet. Make somebody else one first, and wait until they have signed in.",
            role=Term("owner") if role == Role.OWNER else role,
        )


def _check_roles(tenant: UUID, roles: Collection[Role]) -> None:
    allowed = (Role.OPERATOR,) if tenant == PLATFORM else permissions.COMPANY_ROLES
    if not roles or not set(roles) <= set(allowed):
        raise MemberRefused("Choose at least one role, among those that there are.")
    if permissions.exclude_each_other(roles):
        raise RolesExclude(
            "One person works either with names (HR, brand) or with what was done (legal, auditor): whoever saw both could"
            " find out who withdrew. Invite a second person for the other part."
        )


def address(email: str) -> str:
    """The address as typed, trimmed. Raises `MemberRefused`."""
    typed = one_line(email, 254, N_("address"))
    # Whoever tries the program on a laptop may have no other address than one of the laptop itself.
    if mail_domain(re.sub(r"(?<=@)localhost$", "x.test", typed, flags=re.IGNORECASE)) is None:
        raise MemberRefused("This is not an e-mail address.")
    return typed
