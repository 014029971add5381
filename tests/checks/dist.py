#!/usr/bin/env python3
"""The sensor for Windows and for other Linux machines: built, and run on what stands in for them"""

import os
import shutil
from pathlib import Path

from steps import ROOT, Counts, run

# What runs programs that are not of this machine, and the Debian package each comes with.
STAND_INS = {"/usr/lib/wine/wine64": "wine64", "/usr/bin/qemu-aarch64": "qemu-user"}
PROGRAMS = ("muster-sensor-x86_64-linux", "muster-sensor-arm64-linux", "muster-sensor-x86_64-windows.exe")
# A sensor for a machine that has little: what an idle one takes beside its buffers is mostly this.
PROGRAM_MIB_MAX = 12


def build(options) -> Counts:
    """Builds all three; the profile of packages takes several times as long, and is for --long."""
    counts = Counts()
    missing = [package for path, package in STAND_INS.items() if not Path(path).exists()]
    if missing and os.geteuid() == 0 and shutil.which("apt-get"):
        run("apt-update", ["apt-get", "update", "-q"])
        quiet = {"DEBIAN_FRONTEND": "noninteractive"}
        run("apt-install", ["apt-get", "install", "-q", "-y", "--no-install-recommends", *missing], quiet)
    code, _ = run("dist-build", ["./dist", "--profile", "dist" if options.long else "release"])
    counts.record("dist-build", [f"exit {code}; see .cache/log/dist-build.log"] if code else [])
    if not code:
        for name in PROGRAMS:
            mib = (ROOT / "target" / "dist-builds" / name).stat().st_size / 2**20
            counts.record(f"size of {name}", [f"{mib:.1f} MiB; {PROGRAM_MIB_MAX} are allowed"] if mib > PROGRAM_MIB_MAX else [])
    return counts
