"""The embedded PostgreSQL with real processes: made, shared, killed, in the way, in a bad place."""

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from pasar.kernel.embedded import Address, EmbeddedError, EmbeddedServer
from pasar.kernel.embedded_host import Programs, ServiceUser, end_processes, find_programs, processes_in, service_user

SMALL = {"shared_buffers": "16MB", "max_wal_size": "64MB", "min_wal_size": "32MB"}
SOURCES = Path(__file__).resolve().parents[2] / "src"
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")

START_AND_WAIT = """
import sys
from pathlib import Path
from pasar.kernel.embedded import EmbeddedError, EmbeddedServer
server = EmbeddedServer(Path(sys.argv[1]), settings={"shared_buffers": "16MB"})
try:
    address = server.start()
except EmbeddedError as error:
    sys.exit(str(error))
print("started" if server.started_here else "attached", address.port, address.home, flush=True)
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that any user may reach, with a path short enough for a socket."""
    made = Path(tempfile.mkdtemp(prefix="pasar-embedded-"))
    made.chmod(0o755)
    yield made
    for record in list(made.rglob("server.json")):
        EmbeddedServer(record.parent).remove()
    shutil.rmtree(made)


@pytest.fixture(scope="module")
def shared() -> Iterator[EmbeddedServer]:
    """One durable server for the tests that kill and restart it."""
    made = Path(tempfile.mkdtemp(prefix="pasar-embedded-"))
    made.chmod(0o755)
    server = EmbeddedServer(made / "postgres", settings=SMALL)
    server.start()
    yield server
    server.remove()
    shutil.rmtree(made)


def ask(dsn: str, query: str) -> object:
    async def connect_and_ask() -> object:
        connection = await asyncpg.connect(dsn, timeout=10)
        try:
            return await connection.fetchval(query)
        finally:
            await connection.close()

    return asyncio.run(connect_and_ask())


def postmaster(address: Address) -> int:
    return int((address.home / "data" / "postmaster.pid").read_text().split()[0])


def in_another_process(folder: Path, interpreter: str = sys.executable, **more: object) -> subprocess.Popen[str]:
    command = [interpreter, "-c", START_AND_WAIT, str(folder)]
    packages = Path(asyncpg.__file__).parents[1]
    environment = os.environ | {"PYTHONPATH": f"{SOURCES}{os.pathsep}{packages}"}
    piped = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "env": environment}
    return subprocess.Popen(command, **piped, **more)  # pyright: ignore


@pytest.fixture
def ordinary() -> dict[str, object]:
    """How to run as `nobody`: with an interpreter of this version that it can reach."""
    nobody = ServiceUser("nobody", 65534, 65534)
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    candidates = [sys.executable, *filter(None, [shutil.which(version, path="/usr/bin:/usr/local/bin")])]
    usable = [path for path in candidates if nobody.may_enter(Path(path).resolve().parent)]
    if not usable or not nobody.may_enter(SOURCES) or not nobody.may_enter(Path(asyncpg.__file__).parent):
        pytest.skip("the interpreter or this project is below a closed folder")
    return {"interpreter": usable[0], "user": nobody.uid, "group": nobody.gid, "extra_groups": []}


def test_a_server_has_its_database_its_roles_and_safe_settings(shared: EmbeddedServer) -> None:
    address = shared.start()
    for role in ("postgres", "pasar_app", "pasar_reader"):
        assert ask(address.dsn(role=role), "select current_user") == role
        assert ask(address.dsn(role=role, tcp=True), "select inet_server_addr()::text") is not None
    safe = {"fsync": "on", "synchronous_commit": "on", "data_checksums": "on", "wal_level": "replica"}
    for name, value in safe.items():
        assert ask(address.dsn(), f"show {name}") == value
    assert ask(address.dsn(role="pasar_reader"), "show transaction_read_only") == "on"
    owner = "select pg_get_userbyid(datdba) from pg_database where datname = 'pasar'"
    assert ask(address.dsn(), owner) == "pasar_owner"
    assert ask(address.dsn(), "select count(*) from pg_roles where rolname like 'pasar_%' and rolsuper") == 0


def test_tcp_asks_for_the_password_and_the_socket_is_closed_to_others(shared: EmbeddedServer) -> None:
    address = shared.start()
    with pytest.raises(asyncpg.InvalidPasswordError):
        ask(f"postgresql://postgres:guess@127.0.0.1:{address.port}/pasar", "select 1")
    assert address.socket.stat().st_mode & 0o077 == 0
    assert (shared.folder / "server.json").stat().st_mode & 0o077 == 0
    assert (address.home / "data").stat().st_mode & 0o077 == 0


def test_attaching_takes_milliseconds(shared: EmbeddedServer) -> None:
    address = shared.start()
    other = EmbeddedServer(shared.folder)
    took_s = []
    for _ in range(5):
        started = time.perf_counter()
        assert other.start() == address
        took_s.append(time.perf_counter() - started)
    assert not other.started_here
    assert min(took_s) < 0.1, "attaching starts programs"


def test_after_kill_9_of_the_postmaster_a_start_just_works_and_what_was_committed_is_there(
    shared: EmbeddedServer,
) -> None:
    address = shared.start()
    ask(address.dsn(), "create table survived as select 42 as answer")
    os.kill(postmaster(address), signal.SIGKILL)
    again = shared.start()
    assert again.port == address.port
    assert ask(again.dsn(), "select answer from survived") == 42


def test_after_kill_9_of_everything_a_start_just_works(shared: EmbeddedServer) -> None:
    address = shared.start()
    for process in processes_in(address.home / "data"):
        with contextlib.suppress(ProcessLookupError):  # Of itself, as its postmaster is gone.
            os.kill(process, signal.SIGKILL)
    assert ask(shared.start().dsn(), "select 1") == 1


def test_a_process_id_that_another_program_got_since_is_no_obstacle(shared: EmbeddedServer) -> None:
    address = shared.start()
    shared.stop()
    pid_file = address.home / "data" / "postmaster.pid"
    pid_file.write_text(f"{os.getppid()}\n{address.home / 'data'}\n0\n{address.port}\n{address.socket}\n\n\n")
    if user := service_user():
        os.chown(pid_file, user.uid, user.gid)
    assert ask(shared.start().dsn(), "select 1") == 1


def test_stopping_is_fast_and_may_be_repeated(shared: EmbeddedServer) -> None:
    shared.start()
    started = time.perf_counter()
    shared.stop()
    assert time.perf_counter() - started < 30  # It waits for nobody; who is not killed has a minute.
    shared.stop()
    assert shared.running() is None
    assert shared.start() == shared.running()


def test_the_port_is_kept_and_another_is_picked_when_somebody_took_it(shared: EmbeddedServer) -> None:
    address = shared.start()
    shared.stop()
    with socket.socket() as thief:
        thief.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        thief.bind(("127.0.0.1", address.port))
        thief.listen()
        assert shared.start().port != address.port
        shared.stop()
        with pytest.raises(EmbeddedError, match=rf"Port {address.port} .* taken .*PASAR_DATABASE_PORT"):
            EmbeddedServer(shared.folder, port=address.port).start()
    assert EmbeddedServer(shared.folder, port=address.port, settings=SMALL).start().port == address.port


def test_a_data_folder_of_another_version_is_refused_with_a_sentence(shared: EmbeddedServer) -> None:
    address = shared.start()
    shared.stop()
    version = address.home / "data" / "PG_VERSION"
    real = version.read_text()
    version.write_text("14\n")
    try:
        with pytest.raises(EmbeddedError, match=r"is of PostgreSQL 14, but .* PASAR_DATABASE_PROGRAMS"):
            shared.start()
    finally:
        version.write_text(real)
    assert ask(shared.start().dsn(), "select 1") == 1


def test_several_processes_may_start_at_once(folder: Path) -> None:
    processes = [in_another_process(folder / "postgres") for _ in range(3)]
    said = [process.communicate(timeout=60) for process in processes]
    words = [output.split() for output, _ in said]
    assert sorted(word[0] for word in words) == ["attached", "attached", "started"], said
    assert len({tuple(word[1:]) for word in words}) == 1


def test_a_start_that_was_killed_in_the_middle_leaves_nothing_half_made(folder: Path) -> None:
    process = in_another_process(folder / "postgres", start_new_session=True)
    deadline = time.monotonic() + 30
    while not list(folder.glob("postgres/data.unfinished/base")) and time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    server = EmbeddedServer(folder / "postgres", settings=SMALL)
    assert ask(server.start().dsn(role="pasar_app"), "select current_database()") == "pasar"


def test_a_path_too_long_for_a_socket_gets_a_short_one(folder: Path) -> None:
    deep = folder / ("long-" * 20) / "postgres"
    server = EmbeddedServer(deep, settings=SMALL)
    address = server.start()
    assert not address.socket.is_relative_to(deep)
    assert ask(address.dsn(), "select 1") == 1
    server.stop()
    shutil.rmtree(address.socket)
    again = server.start()
    assert ask(again.dsn(), "select 1") == 1
    server.remove()
    assert not again.socket.exists()


def test_a_folder_may_be_moved_while_the_server_is_down(folder: Path) -> None:
    server = EmbeddedServer(folder / "before it's moved", settings=SMALL)
    server.start()
    server.stop()
    (folder / "before it's moved").rename(folder / "after")
    moved = EmbeddedServer(folder / "after", settings=SMALL)
    address = moved.start()
    assert address.home == folder / "after"
    assert ask(address.dsn(), "select 1") == 1


def test_what_was_set_by_alter_system_survives_a_restart(shared: EmbeddedServer) -> None:
    address = shared.start()
    ask(address.dsn(), "alter system set work_mem = '13MB'")
    shared.stop()
    assert ask(shared.start().dsn(), "show work_mem") == "13MB"


def test_a_chosen_folder_without_programs_is_refused(folder: Path) -> None:
    with pytest.raises(EmbeddedError, match="No PostgreSQL 15 or newer runs from"):
        EmbeddedServer(folder / "postgres", programs=folder).start()


def test_programs_of_the_data_folders_version_are_preferred() -> None:
    assert find_programs(None, None).major >= 15
    debian = Path("/usr/lib/postgresql/15/bin")
    if debian.is_dir():
        assert find_programs(None, 15) == Programs(debian, 15)
        assert find_programs(debian, None) == Programs(debian, 15)


def test_a_file_in_the_way_is_said(folder: Path) -> None:
    (folder / "file").write_text("")
    with pytest.raises(EmbeddedError, match=r"file.*PASAR_DATA_DIR"):
        EmbeddedServer(folder / "file" / "postgres").start()


@as_root
def test_root_lends_the_server_a_user_of_its_own(shared: EmbeddedServer) -> None:
    address = shared.start()
    user = service_user()
    assert user is not None
    assert user.uid != 0
    assert Path(f"/proc/{postmaster(address)}").stat().st_uid == user.uid


@as_root
def test_below_a_closed_home_root_keeps_the_data_elsewhere_and_says_so(folder: Path) -> None:
    home = folder / "home"
    home.mkdir(mode=0o700)
    server = EmbeddedServer(home / "postgres", settings=SMALL)
    address = server.start()
    assert not address.home.is_relative_to(home)
    assert any(str(address.home) in notice for notice in server.notices)
    assert home.stat().st_mode & 0o777 == 0o700
    assert ask(address.dsn(), "select 1") == 1
    assert EmbeddedServer(home / "postgres").start() == address
    server.remove()
    assert not address.home.exists()


@as_root
@pytest.mark.slow
def test_programs_below_a_closed_home_are_copied_with_their_libraries(folder: Path) -> None:
    home = folder / "home"
    home.mkdir(mode=0o700)
    found = find_programs(None, None).folder
    package = found.parents[1]
    if not (libraries := package.with_name(package.name + ".libs")).is_dir():
        pytest.skip("only wheels bring libraries")
    shutil.copytree(package, home / package.name, symlinks=True)
    shutil.copytree(libraries, home / libraries.name, symlinks=True)
    programs = home / found.relative_to(package.parent)
    server = EmbeddedServer(folder / "postgres", programs=programs, settings=SMALL)
    address = server.start()
    running = Path(os.readlink(f"/proc/{postmaster(address)}/exe"))
    assert not running.is_relative_to(home)
    assert ask(address.dsn(), "select 1") == 1
    server.remove()
    shutil.rmtree(next(parent for parent in running.parents if parent.name.startswith("postgresql-")))


@as_root
def test_an_ordinary_user_runs_the_server_itself_also_below_a_closed_home(
    folder: Path, ordinary: dict[str, object]
) -> None:
    home = folder / "home"
    home.mkdir(mode=0o700)
    os.chown(home, 65534, 65534)
    output, errors = in_another_process(home / "postgres", **ordinary).communicate(timeout=60)
    assert output.split()[:1] == ["started"], errors
    address = EmbeddedServer(home / "postgres").running()
    assert address is not None
    assert address.home == home / "postgres"
    assert Path(f"/proc/{postmaster(address)}").stat().st_uid == 65534
    os.kill(postmaster(address), signal.SIGKILL)
    output, errors = in_another_process(home / "postgres", **ordinary).communicate(timeout=60)
    assert output.split()[:1] == ["started"], errors
    os.kill(postmaster(address), signal.SIGINT)


@as_root
def test_a_folder_of_somebody_else_is_refused_with_a_sentence(folder: Path, ordinary: dict[str, object]) -> None:
    (folder / "postgres").mkdir(mode=0o755)
    _, errors = in_another_process(folder / "postgres", **ordinary).communicate(timeout=60)
    assert "belongs to somebody else" in errors
    assert "PASAR_DATA_DIR" in errors


@as_root
def test_a_full_disk_is_said(folder: Path) -> None:
    disk = folder / "disk"
    disk.mkdir()
    small = ["mount", "-t", "tmpfs", "-o", "size=12m,mode=755", "tmpfs", disk]
    if subprocess.run(small, capture_output=True).returncode:
        pytest.skip("file systems cannot be mounted here")
    try:
        with pytest.raises(EmbeddedError, match="The disk is full"):
            EmbeddedServer(disk / "postgres", settings=SMALL).start()
        assert not (disk / "postgres" / "data").exists()
        subprocess.run(["mount", "-o", "remount,size=300m", disk], check=True)
        assert ask(EmbeddedServer(disk / "postgres", settings=SMALL).start().dsn(), "select 1") == 1
        EmbeddedServer(disk / "postgres").remove()
    finally:
        subprocess.run(["umount", disk], check=True)


def test_a_server_that_is_just_ending_is_stopped_without_a_complaint(shared: EmbeddedServer) -> None:
    """Its lock file goes before its last process does: then there is nobody to tell, and nothing wrong."""
    address = shared.start()
    data = address.home / "data"
    (data / "postmaster.pid").unlink()
    for process in processes_in(data):
        with contextlib.suppress(OSError):  # Workers come and go.
            if Path(f"/proc/{process}/cmdline").read_text().startswith("/"):  # The postmaster itself.
                os.kill(process, signal.SIGINT)
    shared.stop()
    assert processes_in(data) == []
    shared.start()


def test_processes_that_do_not_end_are_killed(folder: Path) -> None:
    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
    child = subprocess.Popen([sys.executable, "-c", deaf], cwd=folder, stdout=subprocess.PIPE)
    assert child.stdout is not None
    child.stdout.readline()
    assert processes_in(folder) == [child.pid]
    assert end_processes(folder, 1) == []
    assert child.wait(60) == -signal.SIGKILL
    assert end_processes(folder, 0.1) == []
