"""The official command line, as published, in an environment of its own."""

import json
import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from process import CACHE, Process, Server, plain_environment

# No command waits longer by itself: reconnects and repeats of the client are within seconds.
COMMAND_MAX_S = 90


@dataclass
class Result:
    """How a command ended."""

    argv: list[str]
    code: int
    stdout: str
    stderr: str

    @property
    def json(self):
        """The document on standard output; some commands narrate on lines before it."""
        start = re.search(r"^[\[{\"]", self.stdout, re.MULTILINE)
        return json.loads(self.stdout[start.start() if start else 0 :])

    def __str__(self) -> str:
        return f"limacharlie {' '.join(self.argv)}\nexit {self.code}\nstdout: {self.stdout}\nstderr: {self.stderr}"


# Both versions are told to set this; 5.x needs it for streams alone.
WITH_PROXY = '. "$1"; export HTTPS_PROXY="$MUSTER_COMPAT_PROXY"; exec env -0'


def sourced(file: Path, environment: dict[str, str]) -> dict[str, str]:
    """What a shell has after it did what the documentation tells users to do."""
    done = subprocess.run(["sh", "-ec", WITH_PROXY, "sh", file], env=environment, capture_output=True, text=True, check=True)
    return dict(variable.split("=", 1) for variable in done.stdout.split("\0") if variable)


class Client:
    """The console script of one version, with credentials of one server and nothing else."""

    def __init__(self, version: str, server: Server, home: Path):
        venv = CACHE / f"venv-{version}"
        self.bin = venv / "bin"
        if not (self.bin / "limacharlie").is_file():
            raise FileNotFoundError(f"{self.bin}/limacharlie is missing: run ./test clients")
        self.home = home
        self.environment = sourced(server.data_dir / "env", plain_environment(home)) | {
            "LC_CREDS_FILE": str(home / "credentials"),
            "LC_NO_JWT_CACHE": "1",
            "PYTHONUNBUFFERED": "1",
        }

    def _environment(self, changes: dict[str, str | None]) -> dict[str, str]:
        merged = self.environment | changes
        return {name: value for name, value in merged.items() if value is not None}

    def run(self, *argv: str, environment: dict[str, str | None] | None = None, at_most: float = COMMAND_MAX_S) -> Result:
        """Runs a command to its end, for so many seconds at most; a variable that is None is taken away."""
        done = subprocess.run(
            [self.bin / "limacharlie", *argv], env=self._environment(environment or {}), cwd=self.home,
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=at_most, check=False,
        )
        return Result(list(argv), done.returncode, done.stdout, done.stderr)

    def start(self, *argv: str, environment: dict[str, str | None] | None = None) -> Process:
        """Starts a command that runs until it is interrupted."""
        log = self.home / f"{'-'.join(argv[:2])}-{os.urandom(4).hex()}.log"
        return Process([str(self.bin / "limacharlie"), *argv], log, self._environment(environment or {}))

    def python(self, program: str, *arguments: str) -> Result:
        """Runs a program against the client's own library."""
        done = subprocess.run(
            [self.bin / "python", "-c", program, *arguments], env=self.environment, cwd=self.home,
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=COMMAND_MAX_S, check=False,
        )
        return Result(["(python)", *arguments], done.returncode, done.stdout, done.stderr)
