"""What Likeness needs of a Keycloak: one realm with organizations, one client, and a narrow one for adding companies.

`set_up` is carried out as Keycloak's administrator, once and after every upgrade: it compares what is there with what is
written here, changes what differs, and says so. What an operator has added beside it is left alone. Companies are added
later by `add_company`, as the client `likeness-setup`, which may make organizations and their identity providers in this
realm and nothing else. The web server holds neither of these credentials.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from keycloak import KeycloakAdmin

from likeness.sso.administering import SETUP_CLIENT, KeycloakRefused, Reach, administrator, differs, told

SETUP_ROLES = ("manage-identity-providers", "manage-organizations", "view-realm")
ADDRESS_SCOPE = "likeness-address"
FIRST_SIGN_IN = "likeness first sign-in"
SECOND_FACTOR = "likeness second factor"
MFA = "mfa"
"""What `acr` says of a sign-in with a second factor that Keycloak itself asked for."""
LEVELS = {"password": 1, MFA: 2}
SECOND_FACTOR_SECONDS = 12 * 3600
"""As long as a session lasts: who proved a second factor is not asked again within it."""


@dataclass(frozen=True)
class KeycloakSetUp:
    """What a set-up changed, and the two secrets that it leaves."""

    changes: list[str]
    client_secret: str = field(repr=False)
    setup_secret: str = field(repr=False)


def set_up(reach: Reach, client: str, public_url: str, *, inside_url: str = "") -> KeycloakSetUp:
    """Raises `KeycloakRefused`. `inside_url` is where Keycloak reaches this program, if not at its public address."""
    changes: list[str] = []
    with told():
        admin = administrator(reach, "master")
        _realm(admin, reach.realm, changes)
        admin.change_current_realm(reach.realm)
        _profile(admin, changes)
        _organization_scope(admin, changes)
        _address_scope(admin, changes)
        _first_sign_in(admin, changes)
        _second_factor(admin, changes)
        ours = _client(admin, _web_client(client, public_url, inside_url or public_url), changes)
        _scopes(admin, ours, changes)
        setup = _client(admin, _setup_client(), changes)
        _rights(admin, setup, changes)
        return KeycloakSetUp(changes, _secret(admin, ours), _secret(admin, setup))


def _realm(admin: KeycloakAdmin, realm: str, changes: list[str]) -> None:
    wanted = {
        "enabled": True,
        "organizationsEnabled": True,
        "sslRequired": "external",
        "registrationAllowed": False,
        "bruteForceProtected": True,
        "editUsernameAllowed": False,
        # Accounts of two companies are never one, whatever their providers say of names and addresses.
        "loginWithEmailAllowed": False,
        "duplicateEmailsAllowed": True,
        "ssoSessionIdleTimeout": 1800,
        "ssoSessionMaxLifespan": 12 * 3600,
        "accessTokenLifespan": 300,
    }
    levels = {"acr.loa.map": json.dumps(LEVELS)}
    if realm not in {one["realm"] for one in admin.get_realms()}:
        admin.create_realm({"realm": realm, "displayName": "Likeness", "attributes": levels} | wanted)
        changes.append(f"The realm {realm} was made.")
        return
    there = admin.get_realm(realm)
    if differs(there, wanted | {"attributes": levels}):
        there["attributes"] = there.get("attributes", {}) | levels
        admin.update_realm(realm, there | wanted)
        changes.append(f"The realm {realm} was changed.")


def _profile(admin: KeycloakAdmin, changes: list[str]) -> None:
    """Nobody is asked for a name or an address that their company's provider does not tell: Likeness needs neither."""
    profile = admin.get_realm_users_profile()
    personal = ("email", "firstName", "lastName")
    asked = [one for one in profile["attributes"] if one["name"] in personal and one.get("required")]
    for attribute in asked:
        del attribute["required"]
    if asked:
        admin.update_realm_users_profile(profile)
        changes.append("Nobody is asked for a name or an address by Keycloak.")


def _organization_scope(admin: KeycloakAdmin, changes: list[str]) -> None:
    """The id of the organization stands in the token: its alias may be renamed, its id never."""
    scope = admin.get_client_scope_by_name("organization")
    if scope is None:
        raise KeycloakRefused("This Keycloak knows no organizations. Likeness needs Keycloak 26 or newer.")
    wanted = {"addOrganizationId": "true", "id.token.claim": "true", "access.token.claim": "false",
              "claim.name": "organization", "multivalued": "true", "jsonType.label": "JSON"}  # fmt: skip
    for mapper in scope["protocolMappers"]:
        if mapper["protocolMapper"] == "oidc-organization-membership-mapper" and differs(mapper["config"], wanted):
            admin.update_mapper_in_client_scope(
                scope["id"], mapper["id"], mapper | {"config": mapper["config"] | wanted}
            )
            changes.append("Tokens name the organization by its id.")


def _address_scope(admin: KeycloakAdmin, changes: list[str]) -> None:
    """An address is asked for once, at the first sign-in of somebody, and stands in no token."""
    asked = {"id.token.claim": "false", "access.token.claim": "false", "introspection.token.claim": "false",
             "userinfo.token.claim": "true"}  # fmt: skip

    def mapper(name: str, kind: str, attribute: str, label: str) -> dict[str, Any]:
        return {"name": name, "protocol": "openid-connect", "protocolMapper": kind,
                "config": asked | {"user.attribute": attribute, "claim.name": name, "jsonType.label": label}}  # fmt: skip

    attributes = {"include.in.token.scope": "false", "display.on.consent.screen": "false"}
    mappers = [
        mapper("email", "oidc-usermodel-attribute-mapper", "email", "String"),
        mapper("email_verified", "oidc-usermodel-property-mapper", "emailVerified", "boolean"),
    ]
    scope = admin.get_client_scope_by_name(ADDRESS_SCOPE)
    if scope is None:
        wanted = {"name": ADDRESS_SCOPE, "protocol": "openid-connect", "attributes": attributes}
        admin.create_client_scope(wanted | {"protocolMappers": mappers})
        changes.append("The scope for addresses was made.")
        return
    there = {one["name"]: one for one in scope.get("protocolMappers", [])}
    wrong = [one for one in mappers if differs(there.get(one["name"], {}), one)]
    for one in wrong:
        if (known := there.get(one["name"])) is not None:
            admin.delete_mapper_from_client_scope(scope["id"], known["id"])
        admin.add_mapper_to_client_scope(scope["id"], one)
    if differs(scope.get("attributes", {}), attributes):
        admin.update_client_scope(scope["id"], scope | {"attributes": scope.get("attributes", {}) | attributes})
    elif not wrong:
        return
    changes.append("The scope for addresses was changed.")


def _first_sign_in(admin: KeycloakAdmin, changes: list[str]) -> None:
    """The first sign-in by a company's provider makes an account of its own and joins the organization.

    Keycloak's own flow offers to link an account that has the same name or address, which may be another company's.
    """
    about = "The first sign-in by a company's provider: an account of its own, never one that is there."
    made = _flow(admin, FIRST_SIGN_IN, about)
    changed = _steps(admin, FIRST_SIGN_IN, ("idp-create-user-if-unique", "idp-add-organization-member"))
    for step in admin.get_authentication_flow_executions(FIRST_SIGN_IN):
        changed |= _require(admin, FIRST_SIGN_IN, step, "REQUIRED")
    if made or changed:
        changes.append(f"The flow for a first sign-in was {'made' if made else 'changed'}.")


def _flow(admin: KeycloakAdmin, alias: str, about: str) -> bool:
    """Whether it was made. One that is there may be empty: a set-up that was killed leaves it so."""
    if alias in {one["alias"] for one in admin.get_authentication_flows()}:
        return False
    kind = {"providerId": "basic-flow", "topLevel": True, "builtIn": False}
    admin.create_authentication_flow({"alias": alias, "description": about} | kind)
    return True


def _steps(admin: KeycloakAdmin, flow: str, wanted: tuple[str, ...]) -> bool:
    """Adds the steps that the flow, or one inside it, does not have; whether there were any."""
    there = {one.get("providerId") for one in admin.get_authentication_flow_executions(flow)}
    missing = [step for step in wanted if step not in there]
    for step in missing:
        admin.create_authentication_flow_execution({"provider": step}, flow)
    return bool(missing)


def _require(admin: KeycloakAdmin, flow: str, step: dict[str, Any], requirement: str) -> bool:
    if step["requirement"] == requirement:
        return False
    admin.update_authentication_flow_executions(step | {"requirement": requirement}, flow)
    return True


def _second_factor(admin: KeycloakAdmin, changes: list[str]) -> None:
    """The flow that follows a company's own sign-in where it demands a second factor: it raises `acr` to `mfa`."""
    made = _flow(admin, SECOND_FACTOR, "After a company's own sign-in: a one-time code.")
    # A flow in which every step is passed over counts as failed; this one is passed by somebody whose code still counts.
    changed = _steps(admin, SECOND_FACTOR, ("allow-access-authenticator",))
    inner = f"{SECOND_FACTOR} asked for"
    if inner not in {one.get("displayName") for one in admin.get_authentication_flow_executions(SECOND_FACTOR)}:
        admin.create_authentication_flow_subflow(
            {"alias": inner, "type": "basic-flow", "provider": "registration-page-form", "description": ""}, SECOND_FACTOR
        )
        changed = True
    changed |= _steps(admin, inner, ("conditional-level-of-authentication", "auth-otp-form"))
    for step in admin.get_authentication_flow_executions(SECOND_FACTOR):
        requirement = "CONDITIONAL" if step.get("displayName") == inner else "REQUIRED"
        changed |= _require(admin, SECOND_FACTOR, step, requirement)
        if step.get("providerId") == "conditional-level-of-authentication":
            changed |= _level(admin, step)
    if made or changed:
        changes.append(f"The flow for a second factor was {'made' if made else 'changed'}.")


def _level(admin: KeycloakAdmin, step: dict[str, Any]) -> bool:
    """From which level on the code is asked for, and how long one counts; whether that had to be said."""
    config = {"loa-condition-level": str(LEVELS[MFA]), "loa-max-age": str(SECOND_FACTOR_SECONDS)}
    known = step.get("authenticationConfig")
    if known is None:
        admin.create_execution_config(step["id"], {"alias": "likeness mfa", "config": config})
        return True
    there = admin.get_authenticator_config(known)
    if differs(there.get("config", {}), config):
        admin.update_authenticator_config(there | {"config": config}, known)
        return True
    return False


def _web_client(client: str, public_url: str, inside_url: str) -> dict[str, Any]:
    return {
        "clientId": client,
        "name": "Likeness",
        "enabled": True,
        "protocol": "openid-connect",
        "publicClient": False,
        "standardFlowEnabled": True,
        "implicitFlowEnabled": False,
        "directAccessGrantsEnabled": False,
        "serviceAccountsEnabled": False,
        "fullScopeAllowed": False,
        "frontchannelLogout": False,
        "redirectUris": [f"{public_url}/sso/callback"],
        "webOrigins": [],
        "attributes": {
            "pkce.code.challenge.method": "S256",
            "post.logout.redirect.uris": f"{public_url}/sign-in",
            "backchannel.logout.url": f"{inside_url}/sso/logout",
            "backchannel.logout.session.required": "true",
            "backchannel.logout.revoke.offline.tokens": "true",
            "use.refresh.tokens": "false",
        },
    }


def _setup_client() -> dict[str, Any]:
    return {
        "clientId": SETUP_CLIENT,
        "name": "Likeness: adding companies",
        "enabled": True,
        "protocol": "openid-connect",
        "publicClient": False,
        "standardFlowEnabled": False,
        "implicitFlowEnabled": False,
        "directAccessGrantsEnabled": False,
        "serviceAccountsEnabled": True,
        "fullScopeAllowed": True,
    }


def _client(admin: KeycloakAdmin, wanted: dict[str, Any], changes: list[str]) -> str:
    """The client's id inside Keycloak."""
    name = wanted["clientId"]
    known = admin.get_client_id(name)
    if known is None:
        changes.append(f"The client {name} was made.")
        return str(admin.create_client(wanted))
    there = admin.get_client(known)
    if differs(there, wanted):
        attributes = there.get("attributes", {}) | wanted.get("attributes", {})
        admin.update_client(known, there | wanted | {"attributes": attributes})
        changes.append(f"The client {name} was changed.")
    return known


def _scopes(admin: KeycloakAdmin, client: str, changes: list[str]) -> None:
    """Nothing of a person but an opaque id stands in a token; who asks for more gets it by the organization's name."""
    wanted = {"basic", "acr", ADDRESS_SCOPE}
    known = {one["name"]: one["id"] for one in admin.get_client_scopes()}
    there = {one["name"]: one["id"] for one in admin.get_client_default_client_scopes(client)}
    for name in sorted(there.keys() - wanted):
        admin.delete_client_default_client_scope(client, there[name])
    for name in sorted(wanted - there.keys()):
        admin.add_client_default_client_scope(client, known[name], {})
    optional = {one["name"] for one in admin.get_client_optional_client_scopes(client)}
    if "organization" not in optional:
        admin.add_client_optional_client_scope(client, known["organization"], {})
    if there.keys() != wanted or "organization" not in optional:
        changes.append("The scopes of the client were set.")


def _rights(admin: KeycloakAdmin, client: str, changes: list[str]) -> None:
    user = admin.get_client_service_account_user(client)["id"]
    holder = admin.get_client_id("realm-management")
    if holder is None:
        raise KeycloakRefused("This realm has no client realm-management, which holds the rights to administer it.")
    there = {one["name"] for one in admin.get_client_roles_of_user(user, holder)}
    missing = [admin.get_client_role(holder, name) for name in SETUP_ROLES if name not in there]
    if missing:
        admin.assign_client_role(user, holder, missing)
        changes.append(f"The client {SETUP_CLIENT} may make organizations and their providers.")


def _secret(admin: KeycloakAdmin, client: str) -> str:
    return str(admin.get_client_secrets(client)["value"])
