"""A real PostgreSQL server for tests, made of Debian's programs and gone without a trace when tests end."""

import os
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import psycopg

_SETTINGS = "-F -c listen_addresses= -c shared_buffers=32MB -c max_connections=60 -c lc_messages=C"
_GUARD = 'read _; test -f data/postmaster.pid && "$0" stop -D data -m immediate; cd / && rm -rf "$1"'
"""Waits for the end of the tests, which may be a kill: then nobody writes to its stdin any more."""


class NoPostgresqlError(Exception):
    """This machine cannot run a server."""


class PostgresqlServer:
    """A server that nobody else can reach: it listens on a socket in a folder of its own."""

    def __init__(self) -> None:
        initdb, pg_ctl = _program("initdb"), _program("pg_ctl")
        account = _account()
        self._folder = Path(tempfile.mkdtemp(prefix="mambaad-pg-", dir="/tmp"))  # a socket's path is short
        if account:
            os.chown(self._folder, account["user"], account["group"])
        self._running = {
            "cwd": self._folder,
            "env": {"PATH": os.environ["PATH"], "LC_ALL": "C"},
            "stderr": subprocess.STDOUT,
            **account,
        }
        self._guard = subprocess.Popen(
            ["sh", "-c", _GUARD, pg_ctl, str(self._folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            start_new_session=True,  # out of reach of Ctrl-C
            **self._running,
        )
        try:
            self._run(initdb, "-D", "data", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "-N")
            self._run(
                pg_ctl, "start", "-w", "-D", "data", "-l", "log", "-o", f"{_SETTINGS} -k {self._folder}"
            )
        except BaseException:
            self.stop()
            raise

    def url(self, name: str) -> str:
        """Address of one of its databases."""
        return f"postgresql://postgres@/{name}?host={self._folder}"

    def create(self, name: str, *, template: str = "template0") -> None:
        """Add a database, a copy of another one."""
        self._execute(f"CREATE DATABASE {name} TEMPLATE {template}")

    def drop(self, name: str) -> None:
        """Delete a database, whoever still uses it."""
        self._execute(f"DROP DATABASE {name} WITH (FORCE)")

    def end_connections(self, name: str) -> None:
        """Throw everybody out of a database, as a restart would."""
        self._execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")

    def stop(self) -> None:
        """End the server and delete all it wrote."""
        self._guard.communicate()

    def _execute(self, statement: str) -> None:
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(statement)

    def _run(self, *command: str) -> None:
        with tempfile.TemporaryFile() as output:  # no pipe: the server would hold it open
            done = subprocess.run(
                command, stdin=subprocess.DEVNULL, stdout=output, check=False, **self._running
            )
            output.seek(0)
            said = output.read()[-2000:].decode(errors="replace")
        if done.returncode:
            raise RuntimeError(f"{Path(command[0]).name} failed: {said}")


def _program(name: str) -> str:
    """Where a program of PostgreSQL lies; Debian keeps the server's off the PATH."""
    newest_first = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=_version, reverse=True)
    found = shutil.which(name) or shutil.which(name, path=os.pathsep.join(map(str, newest_first)))
    if found is None:
        raise NoPostgresqlError(f"there is no {name} here")
    return found


def _version(folder: Path) -> float:
    number = folder.parent.name
    return float(number) if number.replace(".", "", 1).isdigit() else 0.0


def _account() -> dict[str, Any]:
    """Arguments of `subprocess`: PostgreSQL refuses to run as root, so root becomes `postgres`."""
    if os.geteuid() != 0:
        return {}
    try:
        entry = pwd.getpwnam("postgres")
    except KeyError as error:
        raise NoPostgresqlError("PostgreSQL does not run as root and there is no account postgres") from error
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
