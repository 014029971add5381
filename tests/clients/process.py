"""Processes that the tests start: a server and sensors, each ended by its own id."""

import os
import re
import shlex
import signal
import socket
import subprocess
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# Where `./test` keeps the environments that it makes.
CACHE = Path(os.environ.get("MUSTER_TEST_CACHE", ROOT / ".cache"))

# A cold debug build on a loaded machine needs a few seconds; more than this is a fault.
START_MAX_S = 60
# A server hands its sensors over within 4 s and then closes its store.
STOP_MAX_S = 20

# Children inherit an ignored signal, as of a shell that runs this in the background, and could not be interrupted then.
# One that is handled here has its default in them.
signal.signal(signal.SIGINT, signal.default_int_handler)

# What `muster up` and `muster serve` say when they are ready.
READY = re.compile(" is up on | serves on ")


def program(name: str) -> str:
    """Path of a built program; MUSTER_BIN_DIR names another folder than target/debug."""
    folder = Path(os.environ.get("MUSTER_BIN_DIR", ROOT / "target" / "debug"))
    path = folder / name
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: run cargo build -p muster -p muster-sensor")
    return str(path)


def python_of(environment: str) -> str:
    """The interpreter of an environment that `./test clients` makes, with other people's packages in it."""
    path = CACHE / f"venv-{environment}" / "bin" / "python"
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: run ./test clients")
    return str(path)


def eventually(what: str, probe, seconds: float = 30):
    """The first true value of `probe`; asks every 100 ms, fails with `what` after so many seconds."""
    deadline = time.monotonic() + seconds
    last = None
    while time.monotonic() < deadline:
        last = probe()
        if last:
            return last
        time.sleep(0.1)
    raise AssertionError(f"{what}: not within {seconds} s; last seen: {last!r}")


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Process:
    """A child process with its output in a file."""

    def __init__(self, arguments: list[str], log: Path, environment: dict[str, str]):
        self.log = log
        with log.open("ab") as output:
            self.child = subprocess.Popen(
                arguments, stdout=output, stderr=output, stdin=subprocess.DEVNULL, env=environment, cwd=log.parent
            )

    def text(self) -> str:
        return self.log.read_text(errors="replace")

    def check_alive(self) -> None:
        code = self.child.poll()
        assert code is None, f"{self.child.args[:2]} ended with {code}:\n{self.text()[-4000:]}"

    def stop(self, ask: int = signal.SIGTERM, patience: float = STOP_MAX_S) -> int:
        """Asks the process to stop, and kills it if it has not after so many seconds. Returns its exit code."""
        if self.child.poll() is None:
            self.child.send_signal(ask)
            try:
                self.child.wait(patience)
            except subprocess.TimeoutExpired:
                self.child.kill()
        return self.child.wait()


def read_environment(path: Path) -> dict[str, str]:
    """The variables of the file that `muster up` writes for shells."""
    lines = [line.removeprefix("export ") for line in path.read_text().splitlines()]
    return dict(shlex.split(line)[0].split("=", 1) for line in lines if line and not line.startswith("#"))


def plain_environment(home: Path) -> dict[str, str]:
    """What every child gets: nothing of the caller's settings, a home of its own."""
    home.mkdir(parents=True, exist_ok=True)
    keep = ("PATH", "LANG", "TZ", "TMPDIR", "LLVM_PROFILE_FILE")
    kept = {name: os.environ[name] for name in keep if name in os.environ}
    return {"LC_ALL": "C.UTF-8"} | kept | {"HOME": str(home)}


class Server:
    """`muster up` on a directory of its own; with settings for `muster serve`, that instead."""

    def __init__(self, folder: Path, settings: str = ""):
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.settings = settings
        self.data_dir = folder / "data"
        self.sensors: list[Sensor] = []
        self.process: Process | None = None
        self.listen = self.http = "127.0.0.1:0"
        try:
            self.start()
        except BaseException:
            self.stop()
            raise

    def start(self) -> None:
        """Starts the server, on the ports it had before if it ran before."""
        written, log = self.data_dir / "env", self.folder / "server.log"
        if self.settings:
            file = self.folder / "muster.toml"
            addresses = f'listen = "{self.listen}"\nhttp = "{self.http}"\nproxy = "127.0.0.1:0"\n'
            file.write_text(f'data_dir = "{self.data_dir}"\n{addresses}{self.settings}')
            arguments = ["serve", "--config", str(file)]
        else:
            arguments = ["up", "--no-sensor", "--data-dir", str(self.data_dir)]
            arguments += ["--listen", self.listen, "--http", self.http]
        before = len(READY.findall(log.read_text(errors="replace"))) if log.exists() else 0
        self.process = Process([program("muster"), *arguments], log, plain_environment(self.folder / "home"))

        def is_up() -> bool:
            self.process.check_alive()
            return len(READY.findall(self.process.text())) > before and written.is_file()

        eventually("the server is up", is_up, START_MAX_S)
        self.environment = read_environment(written)
        self.http = re.sub("^http://", "", self.environment["LC_API_URL"])
        self.listen = re.sub("^https://", "", self.environment["MUSTER_URL"])

    @property
    def oid(self) -> str:
        return self.environment["LC_OID"]

    @property
    def peak_mib(self) -> int:
        """The most memory that its process has had resident."""
        status = Path(f"/proc/{self.process.child.pid}/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) // 1024

    @property
    def url(self) -> str:
        return self.environment["LC_API_URL"]

    def stop(self) -> None:
        for sensor in self.sensors:
            sensor.process.stop()
        if self.process:
            self.process.stop()


class Sensor:
    """A real sensor with a state directory of its own, started through `prefix`."""

    def __init__(self, server: Server, name: str, prefix: tuple[str, ...] = ()):
        self.server, self.name, self.prefix = server, name, prefix
        self.folder = server.folder / name
        self.folder.mkdir()
        self.sid = ""
        self.start()
        server.sensors.append(self)

    def start(self) -> None:
        environment = plain_environment(self.folder / "home") | {"RUST_LOG": "info"}
        # Quick reconnections; and nothing that a task asks for may isolate, stop or end this machine.
        environment |= {"MUSTER_TEST_BACKOFF_MS": "20", "MUSTER_TEST_SANDBOX": "1"}
        key = self.server.environment["MUSTER_INSTALL_KEY"]
        arguments = ["run", "--key", key, "--state-dir", str(self.folder / "state")]
        self.process = Process([*self.prefix, program("muster-sensor"), *arguments], self.folder / "sensor.log", environment)
