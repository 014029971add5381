"""Licences of everything the programs and the fuzz targets are built from, against the list in deny.toml."""

import json
import re
import subprocess
import tomllib
from pathlib import Path

from steps import ROOT, Counts


def check() -> Counts:
    counts = Counts()
    rules = tomllib.loads((ROOT / "deny.toml").read_text())
    allowed = set(rules["licenses"]["allow"])
    banned = {entry["crate"] for entry in rules["bans"]["deny"]}
    packages = {package["id"]: package for folder in (ROOT, ROOT / "fuzz") for package in packages_of(folder)}
    for package in packages.values():
        problems = []
        if not satisfied(package["license"] or "", allowed):
            problems.append(f"licence {package['license']!r} is not allowed by deny.toml")
        if package["name"] in banned:
            problems.append("is banned by deny.toml")
        if package["source"] and not package["source"].startswith("registry+https://github.com/rust-lang/"):
            problems.append(f"comes from {package['source']}")
        counts.record(f"{package['name']} {package['version']}", problems)
    counts.add(of_console())
    return counts


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


def packages_of(workspace: Path) -> list[dict]:
    argv = ["cargo", "metadata", "--format-version", "1", "--locked"]
    return json.loads(subprocess.run(argv, cwd=workspace, check=True, capture_output=True, text=True).stdout)["packages"]


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
