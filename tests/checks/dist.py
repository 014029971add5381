"""The sensor for other machines than this one: built for Windows, and with --long for Linux on any distribution and on ARM"""

import os
import shutil
import subprocess
from pathlib import Path

from steps import LOGS, ROOT, Counts, run, say, start

# What runs programs that are not of this machine, and the Debian package each comes with.
STAND_INS = {"/usr/lib/wine/wine64": "wine64", "/usr/bin/qemu-aarch64": "qemu-user"}
# By the build of ./dist. Each takes minutes of processor time, so only what differs most is built every time.
ALWAYS = {"x86_64-windows": "muster-sensor-x86_64-windows.exe"}
LONG = ALWAYS | {"x86_64-linux": "muster-sensor-x86_64-linux", "arm64-linux": "muster-sensor-arm64-linux"}
# A program for a machine that has little.
PROGRAM_MIB_MAX = 12
FOLDER = ROOT / "target" / "dist-builds"


def begin(options) -> subprocess.Popen:
    """Begins to build them; in the profile of packages, which takes several times as long, with --long."""
    missing = [package for path, package in STAND_INS.items() if not Path(path).exists()]
    if missing and os.geteuid() == 0 and shutil.which("apt-get"):
        quiet = {"DEBIAN_FRONTEND": "noninteractive"}
        run("apt-update", ["apt-get", "update", "-q"])
        run("apt-install", ["apt-get", "install", "-q", "-y", "--no-install-recommends", *missing], quiet)
    shutil.rmtree(FOLDER, ignore_errors=True)
    return start("dist-build", ["./dist", "--profile", "dist" if options.long else "release", *wanted(options)])


def built(options, build: subprocess.Popen) -> Counts:
    """Waits until they are built, and looks at what came of it."""
    counts = Counts()
    say("./dist is at work")
    code = build.wait()
    log = (LOGS / "dist-build.log").read_text(errors="replace")
    say(log if code else "\n".join(log.splitlines()[-5:]))
    counts.record("dist-build", [f"exit {code}; see .cache/log/dist-build.log"] if code else [])
    for name in () if code else wanted(options).values():
        mib = (FOLDER / name).stat().st_size / 2**20
        counts.record(f"size of {name}", [f"{mib:.1f} MiB; {PROGRAM_MIB_MAX} are allowed"] if mib > PROGRAM_MIB_MAX else [])
    return counts


def wanted(options) -> dict[str, str]:
    return LONG if options.long else ALWAYS
