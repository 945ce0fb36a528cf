"""Whether receivers can tell that mails from this installation are genuine: what DNS says of the sender's domain.

SPF (RFC 7208) names the servers that may send, DKIM (RFC 6376) the key that signs, DMARC (RFC 7489) what receivers do with
the rest. Nothing here changes anything; what is missing is for whoever runs the domain.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from email.utils import parseaddr
from typing import Literal
from urllib.parse import urlsplit
from uuid import UUID

import dns.exception
import dns.resolver

from likeness.locale.marks import N_

SECONDS = 3.0
MOST_LOOKUPS = 10
"""RFC 7208, section 4.6.4: a record that needs more is as good as none."""
SELECTOR = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")

OWNERSHIP = N_("Ownership")
"""The check of whose domain it is."""
SILENT = N_("No DNS server answered, so nothing is known. Try again in a minute.")

State = Literal["good", "warn", "bad"]


@dataclass(frozen=True)
class Check:
    """What was found, as a sentence of the catalogue with its values."""

    name: str
    state: State
    sentence: str
    record: str = ""
    values: Mapping[str, str] = field(default_factory=dict)

    @property
    def says(self) -> str:
        return self.sentence.format(**self.values) if self.values else self.sentence


class DnsSilent(Exception):
    """No DNS server answered."""


class Names:
    """Asks DNS, and counts how often."""

    def __init__(self, server: str = "") -> None:
        self._resolver = dns.resolver.Resolver(configure=not server)
        if server:
            host, _, port = server.partition(":")
            self._resolver.nameservers, self._resolver.port = [host], int(port or 53)
        self._resolver.lifetime = SECONDS

    def ask(self, name: str, kind: str) -> list[str]:
        """Nothing where there is no such record. Raises `DnsSilent`."""
        try:
            answer = self._resolver.resolve(name, kind)
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer, dns.resolver.YXDOMAIN):
            return []
        except dns.exception.DNSException as error:
            raise DnsSilent from error
        if kind == "TXT":
            return [b"".join(one.strings).decode("utf-8", "replace") for one in answer]
        return [str(one.exchange if kind == "MX" else one).rstrip(".") for one in answer]


def domain_of(mail_from: str) -> str:
    return parseaddr(mail_from)[1].rpartition("@")[2].lower()


def check(mail_from: str, smtp_url: str, selector: str, names: Names, *, returns: str = "") -> list[Check]:
    """`returns` is where mails come back to, whose domain is the one that SPF is asked of; empty for the sender."""
    domain, host = domain_of(mail_from), urlsplit(smtp_url).hostname or ""
    found = []
    looks: dict[str, Callable[[], Check]] = {
        "SPF": lambda: _spf(domain_of(returns) or domain, host, names),
        "DKIM": lambda: _dkim(domain, selector, names),
        "DMARC": lambda: _dmarc(domain, names),
    }
    for name, look in looks.items():
        try:
            found.append(look())
        except DnsSilent:
            found.append(Check(name, "warn", SILENT))
    return found


def own(
    address: str, tenant: UUID, smtp_url: str, selector: str, names: Names, *, returns: str = ""
) -> list[Check]:
    """The same of a company's own sender, and first whether its domain says that it is this company's."""
    domain = domain_of(address)
    try:
        found = _owned(domain, tenant, names)
    except DnsSilent:
        found = Check(OWNERSHIP, "warn", SILENT)
    return [found, *check(address, smtp_url, selector, names, returns=returns)]


def record_of(tenant: UUID) -> str:
    """What the TXT record at `_likeness` of a company's domain says."""
    return f"likeness={tenant}"


def proven(checks: Iterable[Check]) -> bool:
    """The domain says that it is the company's, and has the key that mails are signed with."""
    return {one.name for one in checks if one.state == "good"} >= {OWNERSHIP, "DKIM"}


def disproven(checks: Iterable[Check]) -> bool:
    """One of these is gone; a DNS server that says nothing proves nothing."""
    return any(one.state == "bad" for one in checks if one.name in (OWNERSHIP, "DKIM"))


def _owned(domain: str, tenant: UUID, names: Names) -> Check:
    at, wanted = f"_likeness.{domain}", record_of(tenant)
    records = [one.strip() for one in names.ask(at, "TXT")]
    if wanted in records:
        return Check(OWNERSHIP, "good", N_("{at} names your company."), wanted, {"at": at})
    return Check(OWNERSHIP, "bad", N_("There is no record at {at} that names your company. Publish it as it stands above."),
                 records[0] if records else "", {"at": at})  # fmt: skip


def _spf(domain: str, host: str, names: Names) -> Check:
    records = [one for one in names.ask(domain, "TXT") if one.lower().split(" ")[0] == "v=spf1"]
    if not records:
        return Check("SPF", "bad", N_("There is no record at {domain}. Receivers cannot tell which servers may send for it:"
                     " publish a TXT record such as “v=spf1 mx -all”."), values={"domain": domain})  # fmt: skip
    if len(records) > 1:
        return Check("SPF", "bad", N_("There are several records, which counts as an error. Keep one."), records[0])
    record = records[0]
    if re.search(r"(^| )\+?all( |$)", record):
        return Check("SPF", "bad", N_("It lets every server in the world send for this domain. End it with “-all”."),
                     record)  # fmt: skip
    sends = names.ask(host, "A") + names.ask(host, "AAAA") if host and not _is_address(host) else [host] if host else []
    if not sends:
        return Check("SPF", "warn", N_("There is one. No mail server is set up here, so it is not known whether it is"
                     " named."), record)  # fmt: skip
    left = [MOST_LOOKUPS]
    named = {"host": host, "addresses": ", ".join(sends)}
    if all(_named(record, domain, one, names, left) for one in sends):
        return Check("SPF", "good", N_("It names {host} ({addresses})."), record, named)
    return Check("SPF", "warn", N_("It does not name {host} ({addresses}). That is right only if that server hands"
                 " the mails on to another one, which is named."), record, named)  # fmt: skip


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _named(record: str, domain: str, address: str, names: Names, left: list[int]) -> bool:
    """Whether the record lets this address send: its parts from left to right, other records that it includes too."""
    for part in record.split()[1:]:
        kind, _, value = part.lstrip("+").partition(":")
        if kind in ("ip4", "ip6"):
            if _within(address, [value]):
                return True
            continue
        if kind not in ("a", "mx", "include") and not part.startswith("redirect="):
            continue
        left[0] -= 1
        if left[0] < 0:
            return False
        if kind == "a" and _within(address, _addresses(value or domain, names)):
            return True
        if kind == "mx" and any(_within(address, _addresses(one, names)) for one in names.ask(value or domain, "MX")):
            return True
        other = value if kind == "include" else part.partition("=")[2] if part.startswith("redirect=") else ""
        if other and any(
            _named(one, other, address, names, left) for one in names.ask(other, "TXT") if one.startswith("v=spf1")
        ):
            return True
    return False


def _addresses(name: str, names: Names) -> list[str]:
    name = name.partition("/")[0]
    return names.ask(name, "A") + names.ask(name, "AAAA")


def _within(address: str, networks: Iterable[str]) -> bool:
    for network in networks:
        try:
            if ipaddress.ip_address(address) in ipaddress.ip_network(network, strict=False):
                return True
        except ValueError:
            continue
    return False


def _dkim(domain: str, selector: str, names: Names) -> Check:
    if not selector:
        return Check("DKIM", "warn", N_("Type the selector that your mail server signs with; it stands in its settings,"
                     " and as “s=” in the DKIM-Signature of any mail that it sent."))  # fmt: skip
    if not SELECTOR.fullmatch(selector):
        return Check("DKIM", "bad", N_("A selector has letters, digits, dots and hyphens alone."))
    at = f"{selector}._domainkey.{domain}"
    records = [one for one in names.ask(at, "TXT") if "p=" in one]
    if not records:
        return Check(
            "DKIM", "bad", N_("There is no key at {at}. Publish the one that your mail server signs with."),
            values={"at": at},
        )  # fmt: skip
    key = re.search(r"(?:^|;)\s*p=([^;]*)", records[0])
    if key is None or not key[1].strip():
        return Check("DKIM", "bad", N_("The key was revoked: its record is empty. Publish the one in use."), records[0])
    return Check("DKIM", "good", N_("There is a key at {at}."), records[0], {"at": at})


def _dmarc(domain: str, names: Names) -> Check:
    records = [one for one in names.ask(f"_dmarc.{domain}", "TXT") if one.startswith("v=DMARC1")]
    if not records:
        return Check("DMARC", "warn", N_("There is no record at _dmarc.{domain}. Anybody may pretend to be you, and your"
                     " mails are trusted less. Begin with “v=DMARC1; p=none” and read the reports."),
                     values={"domain": domain})  # fmt: skip
    policy = re.search(r"(?:^|;)\s*p=(\w+)", records[0])
    if policy and policy[1] in ("quarantine", "reject"):
        return Check("DMARC", "good", N_("Receivers set aside or refuse what pretends to come from you."), records[0])
    return Check("DMARC", "warn", N_("Receivers only report what pretends to come from you. Once the reports are clean,"
                 " raise it to “p=quarantine” or “p=reject”."), records[0])  # fmt: skip
