"""A company in the realm: its organization, its domains, and its own identity provider, brokered by Keycloak."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from keycloak import KeycloakAdmin

from likeness.ground.errors import Conflict, Unprocessable
from likeness.sso.administering import KeycloakRefused, Reach, administrator, differs, told
from likeness.sso.keycloak import FIRST_SIGN_IN, SECOND_FACTOR


class ProviderRefused(Unprocessable):
    """A file that describes a company's identity provider lacks something."""

    title = "This identity provider cannot be added"


class AliasTaken(Conflict):
    """Another organization or identity provider of the realm has this name."""

    title = "Keycloak has that name already"


@dataclass(frozen=True)
class Broker:
    """A company's own identity provider, as its file describes it."""

    kind: str
    """`oidc` or `saml`."""
    config: Mapping[str, str] = field(repr=False)
    """With the client's secret."""
    trusts_addresses: bool = False
    second_factor: bool = False


def add_company(reach: Reach, alias: str, name: str, domains: Sequence[str], broker: Broker | None) -> str:
    """The id of the company's organization; a second call with the same words changes nothing. Raises `AliasTaken`."""
    with told():
        admin = administrator(reach, reach.realm)
        organization = _organization(admin, alias, name, domains)
        if broker is not None:
            _provider(admin, organization, alias, name, domains, broker)
        return organization


def change_company(reach: Reach, alias: str, name: str, domains: Sequence[str], broker: Broker | None) -> str:
    """Name, domains and, where it is described, the provider as they are to be from now on, working; the id of the
    organization, another one where the realm had lost it. The same twice changes nothing. Raises `AliasTaken`."""
    with told():
        admin = administrator(reach, reach.realm)
        organization = _organization(admin, alias, name, domains)
        if broker is not None:
            _provider(admin, organization, alias, name, domains, broker)
        else:
            _follow(admin, alias, name, domains)
        return organization


def replace_company(reach: Reach, old: str, alias: str, name: str, domains: Sequence[str], broker: Broker) -> str:
    """Another provider in the place of the company's earlier one; the id of the organization, which is another one too.

    Nothing of the earlier one is touched before Keycloak has taken the next. Raises `AliasTaken`.
    """
    with told():
        admin = administrator(reach, reach.realm)
        _describe(admin, alias, name, domains, broker)
    try:
        remove_company(reach, old)
        return add_company(reach, alias, name, domains, broker)
    except BaseException:
        with suppress(KeycloakRefused):
            remove_company(reach, alias)
        raise


@dataclass(frozen=True)
class Brokered:
    """The provider that a company has in the realm."""

    kind: str
    config: Mapping[str, str] = field(repr=False)
    trusts_addresses: bool = False

    def is_other(self, broker: Broker, *, signed_by_another: bool = False) -> bool:
        """Whether that describes another provider, and not this one with another secret. With `signed_by_another` one that
        is believed by a certificate by which this one is not believed is another one as well."""
        names = ("issuer", "idpEntityId")
        if broker.kind != self.kind or any(self.config.get(name) != broker.config.get(name) for name in names):
            return True
        known, wanted = (_certificates_of(config) for config in (self.config, broker.config))
        return signed_by_another and not wanted <= known


def _certificates_of(config: Mapping[str, str]) -> set[str]:
    return {"".join(one.split()) for one in config.get("signingCertificate", "").split(",")} - {""}


def brokered(reach: Reach, alias: str) -> Brokered | None:
    """None where the company has no provider of its own in the realm."""
    with told():
        for one in administrator(reach, reach.realm).get_idps():
            if one["alias"] == alias:
                return Brokered(one["providerId"], one.get("config", {}), bool(one.get("trustEmail")))
    return None


def end_company(reach: Reach, alias: str) -> None:
    """Nobody comes in by the organization and its provider; both stay, for a company that comes back."""
    with told():
        admin = administrator(reach, reach.realm)
        for one in _named(admin, alias):
            there = admin.get_organization(one["id"])
            if there.get("enabled", True):
                admin.update_organization(one["id"], there | {"enabled": False})
        for one in admin.get_idps():
            if one["alias"] == alias and one.get("enabled", True):
                admin.update_idp(alias, one | {"enabled": False})


def remove_company(reach: Reach, alias: str) -> None:
    """Takes an organization and its provider away again, for a company that could not be made."""
    with told():
        admin = administrator(reach, reach.realm)
        if alias in {one["alias"] for one in admin.get_idps()}:
            admin.delete_idp(alias)
        for one in _named(admin, alias):
            admin.delete_organization(one["id"])


def broker_of(written: Mapping[str, Any]) -> Broker:
    """What a provider's file says. Raises `ProviderRefused` with what is missing in it."""
    kind = written.get("kind")
    if kind == "oidc":
        return Broker("oidc", _oidc(written), bool(written.get("trust_email")), bool(written.get("second_factor")))
    if kind == "saml":
        return Broker("saml", _saml(written), bool(written.get("trust_email")), bool(written.get("second_factor")))
    raise ProviderRefused('The provider\'s file has to say "kind": "oidc" or "kind": "saml".')


def _oidc(written: Mapping[str, Any]) -> dict[str, str]:
    needed = {
        "issuer": "issuer", "authorization_url": "authorizationUrl", "token_url": "tokenUrl", "jwks_url": "jwksUrl",
        "client_id": "clientId", "client_secret": "clientSecret",
    }  # fmt: skip
    _check_said(written, needed)
    return {ours: str(written[name]) for name, ours in needed.items()} | {
        "clientAuthMethod": "client_secret_post",
        "defaultScope": str(written.get("scope", "openid email profile")),
        "logoutUrl": str(written.get("logout_url", "")),
        "useJwksUrl": "true",
        "validateSignature": "true",
        "pkceEnabled": "true",
        "pkceMethod": "S256",
        "syncMode": "FORCE",
    }


def _saml(written: Mapping[str, Any]) -> dict[str, str]:
    needed = {"entity_id": "idpEntityId", "sign_on_url": "singleSignOnServiceUrl", "certificate": "signingCertificate"}
    _check_said(written, needed)
    certificate = "".join(line for line in str(written["certificate"]).splitlines() if "-----" not in line)
    return {
        "idpEntityId": str(written["entity_id"]),
        "singleSignOnServiceUrl": str(written["sign_on_url"]),
        "signingCertificate": certificate.strip(),
        "nameIDPolicyFormat": "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent",
        "principalType": "SUBJECT",
        "postBindingResponse": "true",
        "postBindingAuthnRequest": "false" if written.get("by_redirect") else "true",
        "wantAssertionsSigned": "true",
        "validateSignature": "true",
        "syncMode": "FORCE",
    }


def _check_said(written: Mapping[str, Any], needed: Mapping[str, str]) -> None:
    missing = [name for name in needed if not str(written.get(name, "")).strip()]
    if missing:
        raise ProviderRefused("The provider's file does not say {names}.", names=", ".join(missing))


def _organization(admin: KeycloakAdmin, alias: str, name: str, domains: Sequence[str]) -> str:
    wanted = {"name": name, "alias": alias, "enabled": True}
    named = [{"name": domain, "verified": True} for domain in sorted(domains)]
    for one in _named(admin, alias):
        there = admin.get_organization(one["id"])
        known = sorted(domain["name"] for domain in there.get("domains", []))
        if differs(there, wanted) or known != sorted(domains):
            admin.update_organization(one["id"], there | wanted | {"domains": named})
        return str(one["id"])
    made = admin.create_organization(wanted | {"domains": named})
    if not made:
        raise KeycloakRefused("Keycloak did not say under which id the organization was made.")
    return str(made)


def _named(admin: KeycloakAdmin, alias: str) -> Iterator[dict[str, Any]]:
    yield from (one for one in admin.get_organizations() if one.get("alias") == alias)


def _provider(
    admin: KeycloakAdmin, organization: str, alias: str, name: str, domains: Sequence[str], broker: Broker
) -> None:
    _describe(admin, alias, name, domains, broker, organization)
    if alias not in {one["alias"] for one in admin.get_organization_idps(organization)}:
        admin.organization_idp_add(organization, alias)


def _describe(
    admin: KeycloakAdmin, alias: str, name: str, domains: Sequence[str], broker: Broker, organization: str | None = None
) -> None:
    """Nobody comes in by it before an organization has it."""
    wanted = {
        "alias": alias,
        "displayName": name,
        "providerId": broker.kind,
        "enabled": True,
        "trustEmail": broker.trusts_addresses,
        "storeToken": False,
        "linkOnly": False,
        "hideOnLogin": True,
        "firstBrokerLoginFlowAlias": FIRST_SIGN_IN,
        "postBrokerLoginFlowAlias": SECOND_FACTOR if broker.second_factor else "",
        "config": dict(broker.config) | {"kc.org.domain": sorted(domains)[0] if domains else "ANY"},
    }
    known = {one["alias"]: one for one in admin.get_idps()}
    if alias not in known:
        admin.create_idp(wanted)
    elif known[alias].get("organizationId") not in (None, organization):
        raise AliasTaken("The identity provider {alias} belongs to another organization.", alias=alias)
    else:
        admin.update_idp(alias, known[alias] | wanted)
    _names(admin, alias, broker.kind)


def _follow(admin: KeycloakAdmin, alias: str, name: str, domains: Sequence[str]) -> None:
    """The provider that is there already is called like its company and asked for its first domain."""
    for one in admin.get_idps():
        if one["alias"] == alias:
            config = one.get("config", {}) | {"kc.org.domain": sorted(domains)[0] if domains else "ANY"}
            wanted = {"displayName": name, "enabled": True, "config": config}
            if differs(one, wanted):
                admin.update_idp(alias, one | wanted)


def _names(admin: KeycloakAdmin, alias: str, kind: str) -> None:
    """Two companies' people may have the same name with their providers, and are two all the same."""
    name = "likeness name"
    template = {"oidc": "${ALIAS}.${CLAIM.sub}", "saml": "${ALIAS}.${NAMEID}"}[kind]
    if name not in {one["name"] for one in admin.get_idp_mappers(alias)}:
        admin.add_mapper_to_idp(alias, {
            "name": name, "identityProviderAlias": alias, "identityProviderMapper": f"{kind}-username-idp-mapper",
            "config": {"syncMode": "INHERIT", "template": template, "target": "LOCAL"},
        })  # fmt: skip
