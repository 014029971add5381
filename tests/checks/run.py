#!/usr/bin/env python3
"""Every check of the project: ./test, ./test STEP..., ./test --long, ./test --list.

Installs what it needs through the ordinary package clients, keeps its caches in
.cache and target, shows progress as it goes, and ends with a table of the steps and
one line that counts them. The exit code is 0 only if nothing failed.
"""

import argparse
import os
import shutil
import subprocess
import sys
import time
import xml.etree.ElementTree as xml
from pathlib import Path

if sys.version_info < (3, 11):
    sys.exit("./test needs Python 3.11 or later")
sys.dont_write_bytecode = True
ROOT = Path(__file__).resolve().parents[2]
os.chdir(ROOT)
sys.path.insert(0, str(ROOT / "tests" / "checks"))

import dist  # noqa: E402
import fuzz  # noqa: E402
import layers  # noqa: E402
import layout  # noqa: E402
import licences  # noqa: E402
import no_secrets  # noqa: E402
import site_weight as site  # noqa: E402
from steps import CACHE, Counts, cargo_test_counts, end, environment_of, of_session, processes, run, say  # noqa: E402

# Programs that steps need, and the Debian package each comes with.
PROGRAMS = {"chromium": "chromium", "curl": "curl", "nft": "nftables", "ip": "iproute2", "cc": "build-essential", "c++": "build-essential", "git": "git", "systemd-analyze": "systemd"}

CLIENTS = ROOT / "tests" / "clients"

# How much more the slow variants do.
LONG = {"MUSTER_SEEDS": "5000", "MUSTER_KILL_EXECUTIONS": "20000", "PROPTEST_CASES": "4096", "MUSTER_FULL_SIZE": "1", "MUSTER_LIVE_BYTES": str(2**30)}


def tools(_) -> Counts:
    """Programs of the system: installed by apt-get when missing, and when that is possible."""
    counts = Counts()
    missing = {name: package for name, package in PROGRAMS.items() if not shutil.which(name, path=search_path())}
    if not has_venv():
        missing["python3 -m venv"] = "python3-venv"
    if missing and os.geteuid() == 0 and shutil.which("apt-get"):
        apt = {"DEBIAN_FRONTEND": "noninteractive"}
        run("apt-update", ["apt-get", "update", "-q"], apt)
        packages = sorted(set(missing.values()))
        run("apt-install", ["apt-get", "install", "-q", "-y", "--no-install-recommends", *packages], apt)
    for name in PROGRAMS:
        found = shutil.which(name, path=search_path())
        counts.record(name, [] if found else [f"not installed; it comes with the package {PROGRAMS[name]}"])
    counts.record("python3 -m venv", [] if has_venv() else ["not installed; it comes with the package python3-venv"])
    for component in ("cargo fmt", "cargo clippy"):
        code, _ = run("cargo-version", [*component.split(), "--version"])
        counts.record(component, [] if code == 0 else ["not installed: rustup component add rustfmt clippy"])
    return counts


def search_path() -> str:
    return os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])


def has_venv() -> bool:
    probe = [sys.executable, "-c", "import venv, ensurepip"]
    return subprocess.run(probe, capture_output=True, check=False).returncode == 0


def format_(_) -> Counts:
    """cargo fmt --check"""
    counts = one_command("fmt", ["cargo", "fmt", "--all", "--check"])
    counts.add(one_command("fmt-fuzz", ["cargo", "fmt", "--check", "--manifest-path", "fuzz/Cargo.toml"]))
    return counts


def clippy(_) -> Counts:
    """cargo clippy over everything, warnings are errors"""
    argv = ["cargo", "clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"]
    counts = one_command("clippy", argv)
    # In release, as the targets are run, so that both share what C++ there is to build.
    argv = ["cargo", "clippy", "--all-targets", "--release", "--locked", "--", "-D", "warnings"]
    counts.add(one_command("clippy-fuzz", argv, fuzz.FOLDER))
    return counts


def one_command(name: str, argv: list[str], cwd: Path = ROOT) -> Counts:
    counts = Counts()
    code, _ = run(name, argv, cwd=cwd)
    counts.record(name, [f"exit {code}; see .cache/log/{name}.log"] if code else [])
    return counts


def cargo(options) -> Counts:
    """cargo test: unit, golden, property, simulation and end-to-end tests"""
    build = programs()
    if build.failed:
        return build
    environment = LONG if options.long else {}
    # The output of passing tests is shown, since it says what could not be checked here.
    argv = ["cargo", "test", "--workspace", "--locked", "--no-fail-fast", "--", "--show-output"]
    code, output = run("cargo", argv, environment)
    counts = cargo_test_counts(output)
    if code and not counts.failed:
        counts.record("cargo test", [f"exit {code}; see .cache/log/cargo.log"])
    return counts


def programs() -> Counts:
    """Builds all there is: with fewer targets cargo would join other features, and compile nearly everything once more."""
    return one_command("build", ["cargo", "build", "--workspace", "--all-targets", "--locked"])


def clients(options) -> Counts:
    """The official clients, unmodified, and the documented curl lines against a real server; services and extensions of the official frameworks"""
    for name in ("5", "4", "service", "service-1.8.0", "extension", "cbapi", "cbapi-1.3.0", "cbsdk3", "cbsdk6"):
        environment_of(name, CLIENTS / f"requirements-{name}.txt")
    pytest = environment_of("pytest", CLIENTS / "requirements-pytest.txt")
    return python_tests("clients", CLIENTS, pytest, LONG if options.long else {})


def browser(_) -> Counts:
    """The web console and the page of the API description in a real browser, against a real server; pictures in .cache/log"""
    built = one_command("console", ["./up", "--console-only"])
    if built.failed:
        return built
    folder = ROOT / "tests" / "browser"
    return python_tests("browser", folder, environment_of("browser", folder / "requirements.txt"))


def dist_(options) -> Counts:
    """The sensor for Windows, and with --long for any Linux and for ARM: built, and run on Wine, in an empty root and on qemu against a real server"""
    counts = dist.built(options, options.build or dist.begin(options))
    if not counts.failed:
        # The live sessions are those of the clients' tests.
        for name in ("cbapi", "cbsdk3", "cbsdk6"):
            environment_of(name, CLIENTS / f"requirements-{name}.txt")
        environment = environment_of("pytest", CLIENTS / "requirements-pytest.txt")
        counts.add(python_tests("dist", ROOT / "tests" / "dist", environment))
    return counts


def console(_) -> Counts:
    """The web console: style, types, unit tests, build, licences of its packages, weight of what browsers load"""
    counts = one_command("console", ["./up", "--console-only"])
    if counts.failed:
        return counts
    environment = {"PATH": os.pathsep.join([str(CACHE / "console" / "bin"), search_path()])}
    # A console that is up to date needs no Node.js, but its checks do.
    get = "tools=.cache/console; . <(sed -n '/^node_version/p;/^get_node/,/^}/p' ./up); get_node"
    for name, argv in {
        "console-node": ["bash", "-c", get],
        "console-packages": ["bash", "-c", "cd console && { [ node_modules/.package-lock.json -nt package-lock.json ] || npm ci --no-audit --no-fund; }"],
        "console-lint": ["bash", "-c", "cd console && npx biome ci"],
        "console-types": ["bash", "-c", "cd console && npm run types"],
        "console-unit": ["bash", "-c", "cd console && npx vitest run"],
    }.items():
        code, _ = run(name, argv, environment)
        counts.record(name, [f"exit {code}; see .cache/log/{name}.log"] if code else [])
    counts.add(site.check())
    return counts


def python_tests(name: str, folder: Path, environment: Path, more: dict[str, str] | None = None) -> Counts:
    """Tests in Python that start the programs, which are built first."""
    build = programs()
    if build.failed:
        return build
    report = CACHE / f"{name}.xml"
    report.unlink(missing_ok=True)
    pytest = environment / "bin" / "pytest"
    argv = [str(pytest), "-v", "--tb=short", "-p", "no:cacheprovider", f"--junitxml={report}"]
    variables = {"PYTHONDONTWRITEBYTECODE": "1", "PATH": search_path()} | (more or {})
    code, _ = run(name, argv, variables, folder)
    counts = junit_counts(report)
    if code and not counts.failed:
        counts.record(name, [f"pytest ended with {code}; see .cache/log/{name}.log"])
    return counts


def junit_counts(report: Path) -> Counts:
    counts = Counts()
    if not report.is_file():
        return counts
    for case in xml.parse(report).getroot().iter("testcase"):
        name = f"{case.get('classname')}::{case.get('name')}"
        if (skipped := case.find("skipped")) is not None:
            counts.skips.append(f"{name}: {skipped.get('message')}")
        elif case.find("failure") is not None or case.find("error") is not None:
            counts.failed += 1
            counts.failures.append(name)
        else:
            counts.passed += 1
    return counts


STEPS = {
    "tools": tools,
    "layers": lambda _: layers.check(),
    "layout": lambda _: layout.check(),
    "secrets": lambda _: no_secrets.check(),
    "fmt": format_,
    "licences": licences.check,
    "clippy": clippy,
    "console": console,
    "cargo": cargo,
    "fuzz": fuzz.check,
    "clients": clients,
    "browser": browser,
    "dist": dist_,
}
# Steps that wait more than they compute: what `dist` needs is built beside them.
WAITING = ("clients", "browser")
DESCRIPTIONS = {"fuzz": fuzz.__doc__, "layers": layers.__doc__, "layout": layout.__doc__, "secrets": no_secrets.__doc__, "licences": licences.__doc__}


def run_step(name: str, options) -> tuple[Counts, float]:
    say(f"\n=== {name}")
    begun = time.monotonic()
    before = {pid for pid, _, _ in processes()}
    try:
        if name in WAITING and "dist" in (options.steps or STEPS) and not options.build:
            options.build = dist.begin(options)
        counts = STEPS[name](options)
    except Exception as error:  # A step that breaks is a failure of that step; the others still run.
        counts = Counts()
        counts.record(name, [f"{type(error).__name__}: {error}"])
    if left := left_behind(before, options.build):
        end([pid for pid, _ in left])
        counts.record(f"{name} leaves no process behind", [f"{pid} {line}" for pid, line in left])
    return counts, time.monotonic() - begun


def left_behind(before: set[int], build: subprocess.Popen | None) -> list[tuple[int, str]]:
    """Processes of the project's own programs that did not run before, nor build what a later step needs; what is just
    ending gets a moment."""
    session = build.pid if build else None
    ours = str(ROOT) + os.sep
    for _ in range(20):
        left = [(pid, line) for pid, of, line in processes() if pid not in before and of != session and line.startswith(ours)]
        if not left:
            break
        time.sleep(0.1)
    return left


def summary(results: dict[str, tuple[Counts, float]]) -> int:
    say(f"\n{'step':<12}{'passed':>8}{'failed':>8}{'skipped':>9}{'seconds':>9}")
    for name, (counts, seconds) in results.items():
        say(f"{name:<12}{counts.passed:>8}{counts.failed:>8}{len(counts.skips):>9}{seconds:>9.0f}")
    every = [counts for counts, _ in results.values()]
    for title, lines in (("failed", [f"{n}: {line}" for n, (c, _) in results.items() for line in c.failures]),
                         ("skipped", [f"{n}: {line}" for n, (c, _) in results.items() for line in c.skips])):
        if lines:
            say(f"\n{title}:")
            for line in lines:
                say(f"  {line}")
    failed = sum(counts.failed for counts in every)
    say("")
    say(f"{sum(c.passed for c in every)} passed, {failed} failed, {sum(len(c.skips) for c in every)} skipped")
    return 1 if failed else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("steps", nargs="*", metavar="STEP", help=f"one of: {', '.join(STEPS)}; default: all")
    parser.add_argument("--long", action="store_true", help="run the slow variants too")
    parser.add_argument("--list", action="store_true", help="say what each step checks")
    options = parser.parse_args()
    if options.list:
        for name, step in STEPS.items():
            say(f"{name:<12}{(DESCRIPTIONS.get(name) or step.__doc__).splitlines()[0]}")
        return 0
    for name in options.steps:
        if name not in STEPS:
            parser.error(f"no such step: {name}; one of {', '.join(STEPS)}")
    CACHE.mkdir(exist_ok=True)
    options.build = None
    try:
        return summary({name: run_step(name, options) for name in options.steps or STEPS})
    finally:
        if options.build:
            end([pid for pid, _ in of_session(options.build.pid)])


if __name__ == "__main__":
    sys.exit(main())
