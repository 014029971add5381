#!/usr/bin/env python3
"""Coverage-guided fuzzing: each target of fuzz/ for seconds, or for minutes with --long.

To replay what a target failed on: python3 tests/checks/fuzz.py TARGET FILE
"""

import os
import re
import subprocess
import sys
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from steps import CACHE, LOGS, ROOT, Counts, run, say

FOLDER = ROOT / "fuzz"
# What a target has learned is kept here, so that a later run goes on from there.
CORPUS = CACHE / "fuzz"

SECONDS = 10
SECONDS_LONG = 600
# The short run repeats itself: it tells of a change, not of luck. The long one looks for what is new.
SEED = 1
# The quickest targets learn nothing more after so many inputs.
RUNS_MAX = 2_000_000
# The grammars are small; longer inputs only make each run slower.
INPUT_BYTES_MAX = 4096
# An input of this size takes milliseconds; so long is a fault, however busy the machine.
INPUT_SECONDS_MAX = 30
RESIDENT_MB_MAX = 2048


def targets() -> list[str]:
    manifest = tomllib.loads((FOLDER / "Cargo.toml").read_text())
    return [target["name"] for target in manifest["bin"]]


def build() -> list[str]:
    """Builds all targets; what is wrong, if anything."""
    code, _ = run("fuzz-build", ["cargo", "build", "--release", "--locked"], cwd=FOLDER)
    return [f"exit {code}; see .cache/log/fuzz-build.log"] if code else []


def program(target: str) -> Path:
    version = subprocess.run(["rustc", "-vV"], check=True, capture_output=True, text=True).stdout
    host = re.search(r"^host: (.+)$", version, re.MULTILINE)[1]
    return ROOT / "target" / "fuzz" / host / "release" / target


def check(options) -> Counts:
    counts = Counts()
    problems = build()
    counts.record("build", problems)
    if problems:
        return counts
    LOGS.mkdir(parents=True, exist_ok=True)
    limits = [f"-max_total_time={SECONDS_LONG}"] if options.long else [f"-max_total_time={SECONDS}", f"-seed={SEED}"]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        results = pool.map(lambda target: (target, *fuzz(target, limits)), targets())
        for target, told, problems in results:
            say(f"  {target:<10}{told}")
            counts.record(target, problems)
    return counts


def fuzz(target: str, limits: list[str]) -> tuple[str, list[str]]:
    """Runs one target under libFuzzer's `limits`: how far it came, and what is wrong, if anything."""
    learned, seeds, words = CORPUS / target, FOLDER / "seeds" / target, FOLDER / "dictionaries" / f"{target}.dict"
    learned.mkdir(parents=True, exist_ok=True)
    argv = [
        str(program(target)), str(learned), str(seeds), *limits, f"-runs={RUNS_MAX}",
        f"-max_len={INPUT_BYTES_MAX}", f"-timeout={INPUT_SECONDS_MAX}", f"-rss_limit_mb={RESIDENT_MB_MAX}",
        f"-artifact_prefix={CORPUS}/{target}-", "-print_final_stats=1", "-reload=0",
    ]
    if words.is_file():
        argv.append(f"-dict={words}")
    log = LOGS / f"fuzz-{target}.log"
    with log.open("wb") as output:
        code = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=output, stderr=output, check=False).returncode
    text = log.read_text(errors="replace")
    problems = []
    if not re.search(r"Loaded \d+ modules", text):
        problems.append("was built without instrumentation: unset RUSTFLAGS, which replaces fuzz/.cargo/config.toml")
    if code:
        reason = re.search(r"panicked at (.+?)\n(.*)", text) or re.search(r"ERROR: (libFuzzer:) (.*)", text)
        problems.append(f"{reason[1]} {reason[2]}" if reason else f"exit {code}; see {log.relative_to(ROOT)}")
        if found := re.search(r"Test unit written to (\S+)", text):
            problems.append(f"replay: python3 tests/checks/fuzz.py {target} {Path(found[1]).relative_to(ROOT)}")
    runs = re.search(r"number_of_executed_units: (\d+)", text)
    coverage = re.findall(r"cov: (\d+)", text)
    return f"{int(runs[1]) if runs else 0:>10,} inputs{coverage[-1] if coverage else 0:>8} places reached", problems


def replay(target: str, file: str) -> int:
    if target not in targets():
        sys.exit(f"no such target: {target}; one of {', '.join(targets())}")
    if problems := build():
        sys.exit(problems[0])
    return subprocess.run([str(program(target)), f"-timeout={INPUT_SECONDS_MAX}", file], check=False).returncode


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    sys.exit(replay(*sys.argv[1:]))
