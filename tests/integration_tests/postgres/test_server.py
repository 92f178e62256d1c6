"""The server that the tests start is real, theirs alone, and leaves nothing behind."""

import os
import select
import signal
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from tests.integration_tests.postgres import server as servers
from tests.integration_tests.postgres.proxy import Proxy
from tests.integration_tests.postgres.server import (
    PACKAGE,
    GivenServer,
    OwnServer,
    Server,
    connected,
    database,
    url_of,
)

ROOT = Path(__file__).parents[3]
PATIENCE = 120

STARTED = textwrap.dedent(
    """
    import sys
    from pathlib import Path
    from tests.integration_tests.postgres.server import OwnServer

    server = OwnServer()
    print(server.pid, server.folder, flush=True)
    sys.stdin.read()
    """
)


def _one(connection: psycopg.Connection[tuple[object, ...]], query: str) -> object:
    row = connection.execute(query.encode()).fetchone()
    assert row is not None
    return row[0]


def test_each_test_has_a_database_with_pgvector(dsn: str) -> None:
    with psycopg.connect(dsn) as connection:
        near = "SELECT '[1,0]'::halfvec(2) <=> '[0,1]'::halfvec(2)"
        assert _one(connection, near) == 1.0
        connection.execute("CREATE TABLE mine (id int)")


def test_no_other_test_sees_it(dsn: str) -> None:
    with psycopg.connect(dsn) as connection:
        assert _one(connection, "SELECT to_regclass('mine')") is None


def test_a_database_goes_although_someone_is_connected(server: Server) -> None:
    with database(server) as name:
        left = psycopg.connect(server.dsn(name))
    with pytest.raises(psycopg.OperationalError):
        left.execute("SELECT 1")
    left.close()
    with pytest.raises(psycopg.OperationalError, match="does not exist"):
        psycopg.connect(server.dsn(name))


def test_what_was_committed_survives_a_kill(
    own_server: OwnServer, own_database: str
) -> None:
    before = own_server.pid
    with psycopg.connect(own_server.dsn(own_database)) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 1 AS id")
        connection.commit()
        own_server.kill()
        assert own_server.pid is None
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(own_server.dsn(own_database))

    own_server.start()

    assert own_server.pid not in {None, before}
    with psycopg.connect(own_server.dsn(own_database)) as connection:
        assert _one(connection, "SELECT id FROM kept") == 1


def test_it_is_restarted_with_other_settings_for_once(own_server: OwnServer) -> None:
    own_server.restart(max_connections="7")
    with connected(own_server) as connection:
        assert _one(connection, "SHOW max_connections") == "7"
    own_server.start()
    own_server.restart()
    with connected(own_server) as connection:
        assert _one(connection, "SHOW max_connections") == "100"


def test_the_proxy_stands_before_it(proxy: Proxy, proxied_dsn: str) -> None:
    with psycopg.connect(proxied_dsn) as connection:
        assert _one(connection, "SELECT 1") == 1
        proxy.cut()
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(proxied_dsn)
    proxy.heal()
    with psycopg.connect(proxied_dsn) as connection:
        assert _one(connection, "SELECT 1") == 1


def test_nobody_gets_in_without_the_password(own_server: OwnServer) -> None:
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(own_server.dsn(password="guess"))
    assert not list(own_server.folder.glob("password"))


def test_many_run_at_once_in_folders_with_spaces() -> None:
    with ThreadPoolExecutor(2) as threads:
        started = list(threads.map(lambda _: OwnServer(_spaced()), range(2)))
    try:
        assert len({server.port for server in started}) == 2
        for server in started:
            with connected(server) as connection:
                folder = _one(connection, "SHOW data_directory")
                assert folder == str(server.folder / "data")
                assert " " in str(folder)
    finally:
        for server in started:
            server.close()
            assert not server.folder.exists()
            server.folder.parent.rmdir()


def test_programs_that_others_cannot_reach_are_copied(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(servers, "_is_open", lambda path: path.name != PACKAGE)
    with OwnServer(servers.folder_of_others()) as server, connected(server) as one:
        assert _one(one, "SELECT 1") == 1
        is_copied = (server.folder / "programs").exists()
        # An ordinary user runs what he has installed.
        assert is_copied == (os.geteuid() == 0)


def _spaced() -> Path:
    found = servers.folder_of_others() / f"a folder {os.urandom(4).hex()}"
    found.mkdir(mode=0o755)
    return found


def _is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()
    except OSError:
        return False
    # A dead child of what was killed has nobody to be buried by.
    return state[0] != "Z"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")
def test_it_ends_with_the_tests_even_if_these_are_killed() -> None:
    tests = subprocess.Popen(  # noqa: S603 - our own script
        [sys.executable, "-c", STARTED],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert tests.stdout is not None
    pid, folder = tests.stdout.readline().strip().split(" ", 1)
    assert _is_running(int(pid))

    with tests:
        tests.send_signal(signal.SIGKILL)
    _wait_for_the_guard(Path(folder))

    assert not _is_running(int(pid))


def _wait_for_the_guard(folder: Path) -> None:
    """Wait until a folder has gone, which is the last that the guard does."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if bytes(folder) in words and b"server_guard.py" in b" ".join(words):
            descriptor = os.pidfd_open(int(process.name))
            ended, _, _ = select.select([descriptor], [], [], PATIENCE)
            os.close(descriptor)
            assert ended
    assert not folder.exists()


def test_a_start_that_fails_says_why_and_leaves_nothing(
    own_server: OwnServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(servers, "PATIENCE", 1.0)
    with pytest.raises(RuntimeError, match="no_such_setting"):
        own_server.restart(no_such_setting="1")
    monkeypatch.undo()
    own_server.start()


@pytest.mark.parametrize(
    "parameters",
    [
        {"host": "127.0.0.1", "port": "5432", "dbname": "a b", "user": "x@y"},
        {"host": "/tmp/a b", "port": "5432", "dbname": "d", "user": "u"},  # noqa: S108 - a path
        {"host": "h", "dbname": "d", "user": "u", "password": "p:/?#@% +"},
        {"host": "h", "dbname": "d", "options": "-c search_path=a,b"},
        {"dbname": "d"},
    ],
)
def test_a_url_says_what_its_parameters_say(parameters: dict[str, str]) -> None:
    assert conninfo_to_dict(url_of(parameters)) == parameters


def test_another_server_may_be_given(own_server: OwnServer) -> None:
    given = GivenServer(own_server.dsn("postgres", application_name="mine"))
    with database(given) as name, connected(given, name) as connection:
        assert _one(connection, "SELECT current_database()") == name
        assert _one(connection, "SHOW application_name") == "mine"
