"""What a directory may say of people and groups: the parts of SCIM's own schemas that this product needs, and no more.

Whatever else a directory sends, such as telephone numbers or photos, is dropped before anything is stored.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, field_validator, validate_email
from scim2_models import (
    URN,
    AuthenticationScheme,
    CaseExact,
    ComplexAttribute,
    Extension,
    Meta,
    Mutability,
    Reference,
    Required,
    Resource,
    ResourceType,
    Schema,
    ScimPolicy,
    ScimProvider,
    ServiceProviderConfig,
    Uniqueness,
)
from scim2_models.resources.resource import AnyExtension
from scim2_models.resources.service_provider_config import Bulk, ChangePassword, ETag, Filter, Patch, Sort

from batch.people.employees import EmployeeProfile
from likeness.web.bodies import ORDINARY
from tenants.plain import one_line

MOST_ON_A_PAGE = 200
MOST_OPERATIONS = 100
"""In one request: each is a transaction of its own, and all of them take a few seconds."""
LONGEST_FILTER = 500
"""Characters. Each of its terms is asked of everybody on the list; a thousand terms took 4.4 milliseconds of one person."""
POLICY = ScimPolicy(
    unknown=ScimPolicy.Unknown.ignore,
    # What Entra sends, though the standard reads it otherwise.
    remove_value_as_filter=ScimPolicy.RemoveValue.apply,
    unmatched_path_filter=ScimPolicy.UnmatchedPathFilter.create,
)


class Name(ComplexAttribute):
    formatted: str | None = None
    family_name: str | None = None
    given_name: str | None = None


class Email(ComplexAttribute):
    value: Annotated[str | None, Required.true] = None
    """Not pydantic's own type, of which a filter builds a schema for each person that it is asked of: 2.4 milliseconds of
    processor instead of 0.03."""
    type: str | None = None
    primary: bool | None = None

    @field_validator("value")
    @classmethod
    def _is_an_address(cls, value: str | None) -> str | None:
        return value if value is None else validate_email(value)[1]


class EnterpriseUser(Extension):
    __schema__ = URN("urn:ietf:params:scim:schemas:extension:enterprise:2.0:User")

    employee_number: str | None = None
    department: str | None = None


class User(Resource[AnyExtension]):
    __schema__ = URN("urn:ietf:params:scim:schemas:core:2.0:User")

    user_name: Annotated[str | None, Uniqueness.server, Required.true] = None
    name: Name | None = None
    display_name: str | None = None
    preferred_language: str | None = None
    active: bool | None = None
    emails: Annotated[list[Email] | None, Required.true] = None


class GroupMember(ComplexAttribute):
    value: Annotated[str | None, Mutability.immutable, CaseExact.true] = None
    ref: Annotated[Reference[User] | None, Mutability.immutable] = Field(  # type: ignore[type-arg]
        None, serialization_alias="$ref", validation_alias="$ref"
    )
    type: Annotated[str | None, Mutability.immutable] = Field(None, examples=["User"])


class Group(Resource[Any]):
    __schema__ = URN("urn:ietf:params:scim:schemas:core:2.0:Group")

    display_name: Annotated[str | None, Required.true] = None
    members: list[GroupMember] | None = None


DirectoryUser = User[EnterpriseUser]
CONFIG = ServiceProviderConfig(
    patch=Patch(supported=True),
    bulk=Bulk(supported=True, max_operations=MOST_OPERATIONS, max_payload_size=ORDINARY),
    filter=Filter(supported=True, max_results=MOST_ON_A_PAGE),
    change_password=ChangePassword(supported=False),
    sort=Sort(supported=False),
    etag=ETag(supported=False),
    authentication_schemes=[
        AuthenticationScheme(
            type="oauthbearertoken",
            name="Key for programs",
            description="A key made on the page Team, sent as a bearer token.",
            primary=True,
        )
    ],
)
PROVIDER = ScimProvider(
    models=[User, EnterpriseUser, Group],
    resource_types=[ResourceType.from_resource(DirectoryUser), ResourceType.from_resource(Group)],
    config=CONFIG,
    policy=POLICY,
)


def described(base: str) -> dict[str, list[Resource[Any]]]:
    """The three places where a service describes itself, by their names in the address."""
    types, schemas = list(PROVIDER.resource_types), list(PROVIDER.schemas)
    config = CONFIG.model_copy(
        update={"meta": Meta(resource_type="ServiceProviderConfig", location=f"{base}/ServiceProviderConfig")}
    )
    for one in types:
        one.meta = Meta(resource_type="ResourceType", location=f"{base}/ResourceTypes/{one.id}")
    for schema in schemas:
        schema.meta = Meta(resource_type="Schema", location=f"{base}/Schemas/{schema.id}")
    return {"ServiceProviderConfig": [config], "ResourceTypes": [*types], "Schemas": [*schemas]}


DESCRIBES = {"ServiceProviderConfig": ServiceProviderConfig, "ResourceTypes": ResourceType, "Schemas": Schema}


def address_in(user: User[Any]) -> str:
    """The one address at which somebody is reached: the primary one, else the one for work, else the first."""
    found = [one for one in user.emails or [] if one.value]
    found.sort(key=lambda one: (not one.primary, (one.type or "").lower() != "work"))
    return str(found[0].value) if found else ""


def profile_in(user: User[Any], before: EmployeeProfile | None, document: str, department: str | None) -> EmployeeProfile:
    """What the company's list says of somebody, as the directory has it. Raises `TextRefused`."""
    name = user.name or Name()
    whole = name.formatted or " ".join(part for part in (name.given_name, name.family_name) if part)
    more = user[EnterpriseUser] or EnterpriseUser()
    language = user.preferred_language
    return EmployeeProfile(
        full_name=one_line(whole or user.display_name or str(user.user_name), 200, "name"),
        email=address_in(user),
        employee_key=one_line(more.employee_number, 100, "employee number") if more.employee_number else None,
        department=one_line(more.department or department or "", 200, "department", needed=False) or None,
        site=before.site if before else None,
        manager_email=before.manager_email if before else None,
        language=one_line(language, 100, "language") if language else (before.language if before else None),
        receipt=before.receipt if before else None,
        directory=document,
    )
