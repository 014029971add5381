"""Wine, which stands in for Windows."""

import os
import shutil
import subprocess
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
        keep = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
        return subprocess.run(
            [*self.argv, *argv], env=keep | self.environment | variables, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, errors="replace", timeout=seconds, check=False,
        )

    def stop(self) -> None:
        """Ends everything that runs on it, and nothing else."""
        server = shutil.which("wineserver64", path=str(FOLDER)) or str(FOLDER / "wineserver64")
        subprocess.run([server, "-k"], env=os.environ | self.environment, check=False, timeout=60)
