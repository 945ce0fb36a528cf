"""The two roles that the program connects as. Schema and rights name them, so they have to be there before the tables."""

from __future__ import annotations

from collections.abc import Mapping

import psycopg
from psycopg import sql
from sqlalchemy import make_url

ROLES = {"likeness_app": "LIKENESS_DATABASE_URL", "likeness_rescan": "LIKENESS_RESCAN_DATABASE_URL"}
"""Each role, and the setting with the address that it is used in."""


class RolesMissing(RuntimeError):
    """A role is missing and the owner may not make it; the message holds the statements to run."""


def make_roles(owner_url: str, addresses: Mapping[str, str]) -> list[str]:
    """Makes the roles that are missing, and says in sentences what it made. Those that are there stay as they are.

    A role gets the password of its address, where there is one. Raises `RolesMissing`.
    """
    address = make_url(owner_url).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(address, autocommit=True) as connection:
        there = {name for (name,) in connection.execute("select rolname from pg_roles").fetchall()}
        missing = [role for role in ROLES if role not in there]
        try:
            return [_make(connection, role, addresses.get(role, "")) for role in missing]
        except psycopg.errors.InsufficientPrivilege:
            statements = "\n".join(f"  {_statement(role)} password '…';" for role in missing)
            raise RolesMissing(
                "Roles are missing, and the role of LIKENESS_OWNER_DATABASE_URL may not make them. Nothing was changed. Run"
                f" this as a superuser, with passwords of your own, then `likeness migrate` again:\n{statements}"
            ) from None


def _make(connection: psycopg.Connection[tuple[str]], role: str, address: str) -> str:
    url = make_url(address) if address else None
    password = url.password if url is not None and url.username == role else None
    if not password:
        connection.execute(sql.SQL(_statement(role)))
        return (
            f"The role {role} was made, without a password. If your server asks for one:"
            f" alter role {role} password '…'; and put it into {ROLES[role]}."
        )
    # What the server keeps of a password is made here, so that the password itself cannot end up in the server's log.
    kept = connection.pgconn.encrypt_password(password.encode(), role.encode(), b"scram-sha-256").decode()
    connection.execute(sql.SQL(_statement(role) + " password {}").format(sql.Literal(kept)))
    return f"The role {role} was made, with the password of {ROLES[role]}."


def _statement(role: str) -> str:
    return f"create role {role} login nosuperuser nobypassrls"
