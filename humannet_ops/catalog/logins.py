"""Letting the catalog's roles log in with a password. The password itself never leaves this process."""

from __future__ import annotations

from collections.abc import Mapping

from psycopg2.extensions import encrypt_password

from humannet_ops.catalog.connection import connect, queries, transaction

ROLES = ("crawler", "worker", "reviewer", "reader")
"""What migrations make; sql/README.md says what each may."""


def set_passwords(passwords: Mapping[str, str]) -> None:
    """Let roles log in, each with its password; all or none. Doing it again changes them.

    What is sent is the SCRAM verifier (RFC 5802), so no password is in the server's log or statistics.

    Args:
        passwords: By role, of those in ``ROLES``.

    Raises:
        LookupError: there is no such role, or a password is empty.
        CatalogError: the role of the catalog's address may not; only who made the roles may, or a superuser.
    """
    for role, password in passwords.items():
        if role not in ROLES:
            raise LookupError(f"no role {role!r} in the catalog; those are {', '.join(ROLES)}")
        if not password:
            raise LookupError(f"the password of the catalog's role {role} is empty: `infra/make-env` makes one")
    with connect() as link, transaction(link):
        for role, password in passwords.items():
            verifier = encrypt_password(password, role, link, "scram-sha-256")
            queries().name_login(link, role=role, verifier=verifier)
            queries().allow_login(link)
