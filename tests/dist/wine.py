"""Wine, which stands in for Windows."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

FOLDER = Path("/usr/lib/wine")
BOOT_MAX_S = 180
RUN_MAX_S = 120

# Rust's standard library takes its randomness from a library that Wine 8 does not have. Windows has the real one.
MISSING_LIBRARY = """
#include <windows.h>
BOOLEAN NTAPI SystemFunction036(PVOID, ULONG);
__declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE to, SIZE_T bytes) { return SystemFunction036(to, (ULONG)bytes); }
"""


def kept() -> dict[str, str]:
    """Variables that programs have from this one."""
    return {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}


class Wine:
    """One installation of Windows, in a folder."""

    def __init__(self, prefix: Path):
        self.prefix = prefix
        self.argv = [str(FOLDER / "wine64")]
        self.environment = {"WINEPREFIX": str(prefix), "WINEDEBUG": "-all", "WINEDLLOVERRIDES": "mscoree,mshtml="}
        library = self.drive / "windows/system32/bcryptprimitives.dll"
        if not library.is_file():
            prefix.mkdir(parents=True, exist_ok=True)
            self.run("wineboot", "-i", seconds=BOOT_MAX_S)
            # By itself it says that it is Windows 7, which the sensor is not made for.
            self.run("reg", "add", r"HKCU\Software\Wine", "/v", "Version", "/d", "win10", "/f")
            source = prefix / "bcryptprimitives.c"
            source.write_text(MISSING_LIBRARY)
            compiler = "x86_64-w64-mingw32-gcc-win32"
            subprocess.run([compiler, "-shared", "-O2", "-o", str(library), str(source), "-ladvapi32"], check=True)

    @staticmethod
    def is_installed() -> bool:
        return (FOLDER / "wine64").is_file()

    @property
    def drive(self) -> Path:
        """Where drive C lies."""
        return self.prefix / "drive_c"

    @staticmethod
    def path(path: Path) -> str:
        """A path of this machine, as Windows sees it."""
        return "Z:" + str(path).replace("/", "\\")

    def run(self, *argv: str, seconds: float = RUN_MAX_S, **variables: str) -> subprocess.CompletedProcess:
        """Runs a program of Windows to its end."""
        return subprocess.run(
            [*self.argv, *argv], env=kept() | self.environment | variables, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, errors="replace", timeout=seconds, check=False,
        )

    @contextmanager
    def awake(self, told: Path) -> Iterator[None]:
        """Keeps services up, which Wine ends with the last program that is none. Wine 8 keeps no event log, but says what
        it was to keep: that is written to a file. What runs already says it elsewhere."""
        with told.open("wb") as file:
            variables = kept() | self.environment | {"WINEDEBUG": "+eventlog"}
            argv = [*self.argv, "cmd", "/k", "echo awake"]
            keeper = subprocess.Popen(argv, env=variables, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=file)
            try:
                # What is started before that, services with it, writes where the other program does.
                assert keeper.stdout.readline().strip() == b"awake"
                yield
            finally:
                keeper.communicate(timeout=RUN_MAX_S)

    def stop(self) -> None:
        """Ends everything that runs on it, and nothing else."""
        server = shutil.which("wineserver64", path=str(FOLDER)) or str(FOLDER / "wineserver64")
        subprocess.run([server, "-k"], env=os.environ | self.environment, check=False, timeout=60)
