"""The built sensors on what stands in for their machines, against a real server: an empty root, qemu, Wine."""

import json
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from api import Api
from process import ROOT, Process, Server, eventually, plain_environment, program
from wine import Wine

BUILT = ROOT / "target" / "dist-builds"
ANSWER_MAX_S = 60


@pytest.fixture(scope="session")
def folder():
    path = Path(tempfile.mkdtemp(prefix="muster-dist-"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


class World:
    """A server, and what asks it."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.server = Server(folder)
        self.api = Api(self.server)

    def run(self, *arguments: str) -> str:
        """What the operator's program prints."""
        environment = plain_environment(self.folder / "operator") | self.server.environment
        done = subprocess.run(
            [program("muster"), *arguments], env=environment, stdin=subprocess.DEVNULL, capture_output=True,
            text=True, timeout=2 * ANSWER_MAX_S, check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def muster(self, *arguments: str):
        """The same as JSON."""
        printed = self.run("--json", *arguments)
        lines = [line for line in printed.splitlines() if line.strip()]
        try:
            return json.loads(printed)
        except ValueError:
            return [json.loads(line) for line in lines]

    def is_online(self, sid: str) -> None:
        """Waits until a sensor is."""
        eventually("the sensor is online", lambda: self.api("GET", sid)["is_online"])

    def answer(self, sid: str, command: str) -> dict:
        """The event that a task is answered by."""
        found = self.muster("task", sid, command, "--wait", f"{ANSWER_MAX_S}s")
        return event_of(found)


def event_of(found):
    """The first event in what was printed."""
    if isinstance(found, dict):
        if "event" in found:
            return found["event"]
        found = list(found.values())
    for one in found if isinstance(found, list) else []:
        if (event := event_of(one)) is not None:
            return event
    return None


@pytest.fixture(scope="session")
def world(folder):
    made = World(folder / "world")
    yield made
    made.server.stop()


class Machine:
    """A built sensor that runs as `argv` says, with a state directory that it knows by another name."""

    def __init__(self, world: World, name: str, argv: list[str], state_dir: str, environment: dict[str, str]):
        self.world, self.argv, self.state_dir, self.environment = world, argv, state_dir, environment
        self.log = world.folder / f"{name}.log"
        before = world.api.sids()
        self.start()

        def fresh():
            self.process.check_alive()
            return world.api.sids() - before

        self.sid = eventually(f"{name} is enrolled", fresh, 60).pop()
        world.is_online(self.sid)

    def start(self) -> None:
        key = self.world.server.environment["MUSTER_INSTALL_KEY"]
        arguments = ["run", "--key", key, "--state-dir", self.state_dir]
        given = {"MUSTER_TEST_BACKOFF_MS": "20", "MUSTER_TEST_SANDBOX": "1", "RUST_LOG": "info"}
        environment = plain_environment(self.world.folder / "home") | given | self.environment
        self.process = Process([*self.argv, *arguments], self.log, environment)

    def info(self) -> dict:
        return self.world.api("GET", self.sid)["info"]

    def answer(self, command: str) -> dict:
        return self.world.answer(self.sid, command)


@pytest.fixture(scope="session")
def wine():
    if not Wine.is_installed():
        pytest.skip("NOT CHECKED: Wine, of the package wine64, cannot be installed here")
    made = Wine(ROOT / ".cache" / "wine")
    yield made
    made.stop()


@pytest.fixture(scope="session")
def windows(world, wine, folder):
    """A sensor on Windows."""
    state = folder / "windows-state"
    program = BUILT / "muster-sensor-x86_64-windows.exe"
    made = Machine(world, "windows", [*wine.argv, str(program)], wine.path(state), wine.environment)
    yield made
    made.process.stop()
