"""``humannet cluster init``: everything that must be there before the first service starts. Changes nothing twice."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from humannet_ops.local.components import PlatformError
from humannet_ops.orchestration.legs import POOLS

ROLES = ("crawler", "worker", "reviewer", "reader")


def initialise(environment: Mapping[str, str]) -> None:
    """Bring both databases up to this code, and make the login, the pools, the roles' passwords and the bucket.

    Args:
        environment: ``ADMIN_PASSWORD``, ``CATALOG_<ROLE>_PASSWORD`` and ``<POOL>_SLOTS``, beside what Airflow and
            ``humannet`` read themselves.

    Raises:
        PlatformError: a part of Airflow fails, or a password is missing.
        CatalogError: the catalog does not answer or may not be changed.
        StoreError: the object store does not answer.
    """
    from humannet_ops.catalog import logins, migrations
    from humannet_ops.detectors.install import install
    from humannet_ops.settings import settings
    from humannet_ops.stages import execution
    from humannet_ops.storage import make_bucket

    passwords = {role: _secret(environment, f"CATALOG_{role.upper()}_PASSWORD") for role in ROLES}
    admin = _secret(environment, "ADMIN_PASSWORD")
    print("Migrating Airflow's database", flush=True)
    _airflow("db", "migrate")
    _make_admin(admin)
    _make_pools(environment)
    print("Migrating the catalog", flush=True)
    migrations.upgrade()
    logins.set_passwords(passwords)
    make_bucket()
    print("Installing the models", flush=True)
    install(settings().models)
    execution.register()
    print("Ready", flush=True)


def pools(environment: Mapping[str, str]) -> dict[str, dict[str, object]]:
    """Return the pools as ``airflow pools import`` reads them; ``CRAWL_SLOTS`` and so on say how large."""
    return {
        name: {
            "slots": int(environment.get(f"{name.upper()}_SLOTS") or slots),
            "description": description,
            "include_deferred": False,
        }
        for name, (slots, description) in POOLS.items()
    }


def _make_pools(environment: Mapping[str, str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pools.json"
        path.write_text(json.dumps(pools(environment)))
        _airflow("pools", "import", str(path))


def _make_admin(password: str) -> None:
    """Make Airflow's first user, or give it the password of ``.env`` again. A command line would show it to all."""
    who = ("--username", "admin")
    created = _airflow(
        "users", "create", *who, "--role", "Admin", "--firstname", "HumanNet", "--lastname", "Ops",
        "--email", "admin@localhost", answers=(password, password),
    )  # fmt: skip
    if "already exist" in created:
        _airflow("users", "reset-password", *who, answers=(password, password))


def _airflow(*arguments: str, answers: tuple[str, ...] = ()) -> str:
    """Run Airflow's command line and return what it printed. Without a terminal, it reads passwords from its input."""
    done = subprocess.run(
        [sys.executable, "-m", "airflow", *arguments],
        input="".join(f"{answer}\n" for answer in answers),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ,
        start_new_session=True,
    )
    if done.returncode:
        tail = "\n".join(done.stdout.splitlines()[-15:])
        raise PlatformError(f"`airflow {' '.join(arguments)}` failed:\n{tail}")
    return done.stdout


def _secret(environment: Mapping[str, str], name: str) -> str:
    if not environment.get(name):
        raise PlatformError(f"{name} is not set: run infra/make-env, which writes it into .env.")
    return environment[name]
