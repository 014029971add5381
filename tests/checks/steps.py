"""What every step of ./test is made of: commands with live output, counts, and a clean end."""

import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / ".cache"
LOGS = CACHE / "log"


@dataclass
class Counts:
    """What a step found; `skips` says of each skipped check why."""

    passed: int = 0
    failed: int = 0
    skips: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def record(self, name: str, problems: list[str]) -> None:
        """One check: passed if there is no problem."""
        if problems:
            self.failed += 1
            self.failures += [f"{name}: {problem}" for problem in problems]
            for problem in problems:
                print(f"  {name}: {problem}", flush=True)
        else:
            self.passed += 1

    def add(self, other: "Counts") -> None:
        self.passed += other.passed
        self.failed += other.failed
        self.skips += other.skips
        self.failures += other.failures


def say(text: str) -> None:
    print(text, flush=True)


def run(name: str, argv: list[str], environment: dict[str, str] | None = None, cwd: Path = ROOT) -> tuple[int, str]:
    """Runs a command, showing its output as it comes and keeping it in a log. Returns exit code and output."""
    say(f"$ {' '.join(str(word) for word in argv)}")
    LOGS.mkdir(parents=True, exist_ok=True)
    lines = []
    # A session of its own: whatever the command leaves behind can be found and ended by its id.
    child = subprocess.Popen(
        argv, cwd=cwd, env=os.environ | (environment or {}), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, errors="replace", start_new_session=True,
    )
    try:
        with (LOGS / f"{name}.log").open("w") as log:
            for line in child.stdout:
                log.write(line)
                lines.append(line)
                sys.stdout.write(line)
                sys.stdout.flush()
        return child.wait(), "".join(lines)
    except BaseException:
        end([child.pid, *(pid for pid, _ in of_session(child.pid))])
        raise


def start(name: str, argv: list[str]) -> subprocess.Popen:
    """Starts a command that keeps nothing else waiting for a processor; what it says is kept in a log."""
    say(f"$ {' '.join(argv)} &  # see .cache/log/{name}.log")
    LOGS.mkdir(parents=True, exist_ok=True)
    with (LOGS / f"{name}.log").open("w") as log:
        return subprocess.Popen(
            argv, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
            preexec_fn=stand_back,
        )


def stand_back() -> None:
    """Puts this process behind all others in line for a processor."""
    os.nice(19)
    try:
        # Where every session has a share of its own, being nice counts within that alone.
        Path("/proc/self/autogroup").write_text("19")
    except OSError:
        pass


def environment_of(name: str, requirements: Path) -> Path:
    """A virtual environment with exactly what a file of requirements lists; made once for each list."""
    folder = CACHE / f"venv-{name}"
    key = hashlib.sha256(requirements.read_bytes() + sys.version.encode()).hexdigest()
    stamp = folder / "made-from"
    if stamp.is_file() and stamp.read_text() == key:
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    code, _ = run(f"venv-{name}", [sys.executable, "-m", "venv", str(folder)])
    # The lists are whole, and some packages ask for others that do not work any more.
    install = [str(folder / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check", "--no-deps", "-r", str(requirements)]
    if code == 0:
        code, _ = run(f"pip-{name}", install)
    if code:
        raise RuntimeError(f"the packages of {requirements.relative_to(ROOT)} could not be installed")
    stamp.write_text(key)
    return folder


def of_session(session: int) -> list[tuple[int, str]]:
    """Processes of a session that still run, with what they are."""
    return [(pid, line) for pid, sid, line in processes() if sid == session]


def processes() -> list[tuple[int, int, str]]:
    """Every process: its id, its session, its command line."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            status = (entry / "stat").read_text()
            line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
        except OSError:
            continue
        state, _, _, session = status.rpartition(")")[2].split()[:4]
        if state != "Z":
            found.append((int(entry.name), int(session), line))
    return found


def end(pids: list[int]) -> None:
    """Ends processes by id: asks, waits 5 s, kills."""
    for ask in (signal.SIGTERM, signal.SIGKILL):
        alive = [pid for pid in pids if Path(f"/proc/{pid}").exists()]
        for pid in alive:
            try:
                os.kill(pid, ask)
            except ProcessLookupError:
                pass
        deadline = time.monotonic() + 5
        while any(Path(f"/proc/{pid}").exists() for pid in alive) and time.monotonic() < deadline:
            time.sleep(0.1)


def cargo_test_counts(output: str) -> Counts:
    """Sums what `cargo test` printed. A test that finds its machine unfit prints `SKIPPED name: reason`."""
    counts = Counts()
    suite = ""
    for line in output.splitlines():
        if found := re.match(r"\s+(?:Running|Doc-tests) (.+?)(?: \(|$)", line):
            suite = found[1]
        elif found := re.match(r"test result: \w+\. (\d+) passed; (\d+) failed; (\d+) ignored", line):
            counts.passed += int(found[1])
            counts.failed += int(found[2])
        elif found := re.match(r"(?i:skipped):? (.+)", line):
            counts.passed -= 1
            counts.skips.append(f"{found[1]} ({suite})")
        elif found := re.match(r"test (.+?) \.\.\. (FAILED|ignored)(?:, (.+))?", line):
            if found[2] == "ignored":
                counts.skips.append(f"{found[1]} ({suite}): {found[3] or 'no reason given'}")
            else:
                counts.failures.append(f"{found[1]} ({suite})")
    return counts
