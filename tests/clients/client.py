"""The official command line, as published, in an environment of its own."""

import json
import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from process import ROOT, Process, Server, plain_environment

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


class Client:
    """The console script of one version, with credentials of one server and nothing else."""

    def __init__(self, version: str, server: Server, home: Path):
        venv = Path(os.environ.get("MUSTER_TEST_CACHE", ROOT / ".cache")) / f"venv-{version}"
        self.bin = venv / "bin"
        if not (self.bin / "limacharlie").is_file():
            raise FileNotFoundError(f"{self.bin}/limacharlie is missing: run ./test clients")
        self.home = home
        names = ("LC_OID", "LC_API_KEY", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "NO_PROXY")
        # Only 5.x can be pointed at a server; 4.x finds it behind the vendor's host names.
        names += ("LC_API_URL", "LC_JWT_URL") if version == "5" else ()
        self.environment = plain_environment(home) | {name: server.environment[name] for name in names}
        self.environment |= {
            "LC_CREDS_FILE": str(home / "credentials"),
            "LC_NO_JWT_CACHE": "1",
            "HTTPS_PROXY": server.environment["MUSTER_COMPAT_PROXY"],
            "PYTHONUNBUFFERED": "1",
        }

    def _environment(self, changes: dict[str, str | None]) -> dict[str, str]:
        merged = self.environment | changes
        return {name: value for name, value in merged.items() if value is not None}

    def run(self, *argv: str, environment: dict[str, str | None] | None = None) -> Result:
        """Runs a command to its end; a variable that is None is taken away."""
        done = subprocess.run(
            [self.bin / "limacharlie", *argv], env=self._environment(environment or {}), cwd=self.home,
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=COMMAND_MAX_S, check=False,
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
