"""The permission map: which role may do what. It is the only place that says so.

Routes ask for a permission and never for a role (`access.desk`), so a new role is one entry here.

A person who works here sees either who somebody is or what somebody did, never both: HR and brand see names, legal and
auditors see acts under ids that name nobody. Whoever saw both could join the two, by a name that legal knows or by an id.
The one exception is legal's search by name (`person.find`): without it nobody could answer a request that came by letter.
It shows a few people at a time, the log holds each search, and each person reads in their own record that they were found.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from enum import StrEnum

from likeness.locale.marks import N_
from tenants.models import Role


class Permission(StrEnum):
    """What a route asks for. The sentence beside each in `WORDS` is shown where somebody does not hold it."""

    COMPANY_READ = "company.read"
    COMPANY_CHANGE = "company.change"
    ACCOUNTS_CHANGE = "accounts.change"
    MEMBERS_READ = "members.read"
    MEMBERS_CHANGE = "members.change"
    CREDITS_READ = "credits.read"
    LOOKS_READ = "looks.read"
    LOOKS_CHANGE = "looks.change"
    LOOKS_BIND = "looks.bind"
    BATCHES_READ = "batches.read"
    BATCHES_CHANGE = "batches.change"
    PEOPLE_READ = "people.read"
    PEOPLE_CHANGE = "people.change"
    PEOPLE_IMPORT = "people.import"
    PEOPLE_PROVISION = "people.provision"
    LEAVERS_RULE = "leavers.rule"
    HEADSHOTS_READ = "headshots.read"
    HEADSHOTS_APPROVE = "headshots.approve"
    APPROVAL_CHANGE = "approval.change"
    ACTS_READ = "acts.read"
    HOLDS_CHANGE = "holds.change"
    REQUESTS_ENTER = "requests.enter"
    REQUESTS_DECIDE = "requests.decide"
    PERSON_FIND = "person.find"
    CONCERNS_ANSWER = "concerns.answer"
    PEOPLE_ERASE = "people.erase"
    COMPANY_LEAVE = "company.leave"
    COMPANY_PACKAGE = "company.package"
    INSTALLATION_READ = "installation.read"
    COMPANIES_FOUND = "companies.found"
    COMPANIES_CHANGE = "companies.change"
    JOBS_REVIVE = "jobs.revive"
    CREDITS_GRANT = "credits.grant"
    MAILBOX_READ = "mailbox.read"
    EMERGENCY_CONFIRM = "emergency.confirm"
    OPERATORS_CHANGE = "operators.change"
    ACCOUNT_CHANGE = "account.change"


P = Permission

WORDS: Mapping[Permission, str] = {
    P.COMPANY_READ: N_("see the company's terms"),
    P.COMPANY_CHANGE: N_("change the company's terms"),
    P.ACCOUNTS_CHANGE: N_("hand in the company's own sign-in"),
    P.MEMBERS_READ: N_("see who works here"),
    P.MEMBERS_CHANGE: N_("invite members and change their roles"),
    P.CREDITS_READ: N_("see the credits"),
    P.LOOKS_READ: N_("see the looks"),
    P.LOOKS_CHANGE: N_("change the looks"),
    P.LOOKS_BIND: N_("say which departments a look is for"),
    P.BATCHES_READ: N_("see the batches"),
    P.BATCHES_CHANGE: N_("change a batch as a whole"),
    P.PEOPLE_READ: N_("see who is on the list and where everybody stands"),
    P.PEOPLE_CHANGE: N_("invite people and write to them"),
    P.PEOPLE_IMPORT: N_("import workbooks"),
    P.PEOPLE_PROVISION: N_("add joiners and remove leavers as your directory says (SCIM)"),
    P.LEAVERS_RULE: N_("say what follows when your directory tells that somebody joined or left"),
    P.HEADSHOTS_READ: N_("see and download headshots that their owners released"),
    P.HEADSHOTS_APPROVE: N_("approve released headshots, and ask for other ones"),
    P.APPROVAL_CHANGE: N_("say whether released headshots are approved before they are used"),
    P.ACTS_READ: N_("see erasures, certificates, holds and the ledger"),
    P.HOLDS_CHANGE: N_("place, confirm and lift holds"),
    P.REQUESTS_ENTER: N_("enter what somebody asked for by letter"),
    P.REQUESTS_DECIDE: N_("decide about what people ask for"),
    P.PEOPLE_ERASE: N_("delete people"),
    P.COMPANY_PACKAGE: N_("take what is handed back when the company leaves"),
    P.COMPANY_LEAVE: N_("have the company leave, with everything deleted"),
    P.PERSON_FIND: N_("find one person by name, which the log and the person's own record say"),
    P.CONCERNS_ANSWER: N_("read and answer what people say is wrong"),
    P.INSTALLATION_READ: N_("see the state of this installation"),
    P.COMPANIES_FOUND: N_("add a company"),
    P.COMPANIES_CHANGE: N_("change, suspend and close a company"),
    P.JOBS_REVIVE: N_("have a job that was given up tried again"),
    P.CREDITS_GRANT: N_("grant credits to a company"),
    P.MAILBOX_READ: N_("read the mailbox of this machine"),
    P.EMERGENCY_CONFIRM: N_("let somebody of a company in, together with another operator"),
    P.OPERATORS_CHANGE: N_(
        "see who operates this installation, and end an operator's access or, two together, give it back"
    ),
    P.ACCOUNT_CHANGE: N_("look after your own account"),
}

EVERY_MEMBER = frozenset({P.COMPANY_READ, P.MEMBERS_READ, P.ACCOUNT_CHANGE})

ROLES: Mapping[Role, frozenset[Permission]] = {
    Role.OWNER: EVERY_MEMBER
    | {
        P.COMPANY_LEAVE,
        P.COMPANY_CHANGE,
        P.ACCOUNTS_CHANGE,
        P.MEMBERS_CHANGE,
        P.CREDITS_READ,
        P.APPROVAL_CHANGE,
        P.LOOKS_READ,
        P.LOOKS_BIND,
    },
    Role.HR: EVERY_MEMBER
    | {
        P.CREDITS_READ,
        P.LOOKS_READ,
        P.LOOKS_CHANGE,
        P.BATCHES_READ,
        P.BATCHES_CHANGE,
        P.PEOPLE_READ,
        P.PEOPLE_CHANGE,
        P.PEOPLE_IMPORT,
        P.PEOPLE_PROVISION,
        P.LEAVERS_RULE,
        P.HEADSHOTS_READ,
        P.HEADSHOTS_APPROVE,
        P.APPROVAL_CHANGE,
        P.REQUESTS_ENTER,
        P.PEOPLE_ERASE,
        P.COMPANY_PACKAGE,
        P.CONCERNS_ANSWER,
    },
    Role.BRAND: EVERY_MEMBER | {P.LOOKS_READ, P.LOOKS_CHANGE, P.LOOKS_BIND, P.BATCHES_READ, P.HEADSHOTS_READ},
    Role.LEGAL: EVERY_MEMBER
    | {P.COMPANY_CHANGE, P.LOOKS_READ, P.ACTS_READ, P.HOLDS_CHANGE, P.REQUESTS_DECIDE, P.PERSON_FIND, P.CONCERNS_ANSWER},
    # Reads, and changes nothing but who is signed in under the own name.
    Role.AUDITOR: EVERY_MEMBER | {P.CREDITS_READ, P.LOOKS_READ, P.ACTS_READ},
    # Counts and times of all companies, and no person of any.
    Role.OPERATOR: frozenset(
        {
            P.INSTALLATION_READ,
            P.COMPANIES_FOUND,
            P.COMPANIES_CHANGE,
            P.JOBS_REVIVE,
            P.CREDITS_GRANT,
            P.MAILBOX_READ,
            P.EMERGENCY_CONFIRM,
            P.OPERATORS_CHANGE,
            P.ACCOUNT_CHANGE,
        }
    ),
}

ROLE_NAMES: Mapping[Role, str] = {
    Role.OWNER: N_("Owner"), Role.HR: N_("HR"), Role.BRAND: N_("Brand"), Role.LEGAL: N_("Legal"),
    Role.AUDITOR: N_("Auditor"), Role.OPERATOR: N_("Operator"),
}  # fmt: skip
COMPANY_ROLES = (Role.OWNER, Role.HR, Role.BRAND, Role.LEGAL, Role.AUDITOR)
"""In the order in which pages show them."""
NAMES = frozenset({Role.HR, Role.BRAND})
"""Roles that see who somebody is. Only these can be bound to departments."""
ACTS = frozenset({Role.LEGAL, Role.AUDITOR})
"""Roles that see what was done about somebody, under an id that names nobody."""
WHOLE_COMPANY = frozenset(
    {
        P.BATCHES_CHANGE,
        P.PEOPLE_IMPORT,
        P.PEOPLE_PROVISION,
        P.LEAVERS_RULE,
        P.MEMBERS_CHANGE,
        P.COMPANY_CHANGE,
        P.ACCOUNTS_CHANGE,
        P.APPROVAL_CHANGE,
        P.COMPANY_PACKAGE,
    }
)
"""What is about people of every department, so nobody who is bound to some may do it. Of looks they change
those of their departments alone: `looks.py`."""

FOR_MACHINES = frozenset(Permission) - {
    # Whoever has a key has no name of their own: who works here, and what takes two people, is said by people.
    # What is said of somebody's picture is said by people, too.
    P.MEMBERS_CHANGE, P.ACCOUNT_CHANGE, P.HOLDS_CHANGE, P.COMPANY_CHANGE, P.LEAVERS_RULE, P.HEADSHOTS_APPROVE,
    P.APPROVAL_CHANGE, P.ACCOUNTS_CHANGE,
    P.INSTALLATION_READ, P.COMPANIES_FOUND, P.COMPANIES_CHANGE, P.JOBS_REVIVE, P.CREDITS_GRANT, P.MAILBOX_READ,
    P.EMERGENCY_CONFIRM, P.OPERATORS_CHANGE,
}  # fmt: skip
"""What a key can be made for, where its maker may do it."""


BEGINS = frozenset(
    {
        P.PEOPLE_CHANGE,
        P.PEOPLE_IMPORT,
        P.BATCHES_CHANGE,
        P.LOOKS_CHANGE,
        P.LOOKS_BIND,
        P.COMPANY_CHANGE,
        P.ACCOUNTS_CHANGE,
        P.MEMBERS_CHANGE,
    }
)
"""What begins or changes something, and waits while the company is suspended. Reading, deleting and proving go on."""


def of(roles: Collection[str]) -> frozenset[Permission]:
    """What somebody with these roles may do. Roles that exclude each other do not add up: see `resting`."""
    asleep = resting(roles)
    return frozenset().union(*(ROLES[Role(role)] for role in roles if role not in asleep))


def exclude_each_other(roles: Collection[str]) -> bool:
    return bool(NAMES & set(roles)) and bool(ACTS & set(roles))


def resting(roles: Collection[str]) -> frozenset[Role]:
    """Roles that somebody holds from before these excluded each other, and that give nothing until they choose one side.

    Names stay and acts rest: a list of people that nobody can work would stop the company, and what legal decides can
    wait for the second person whom the page asks for.
    """
    return frozenset(ACTS & {Role(role) for role in roles}) if exclude_each_other(roles) else frozenset()
