"""Which crate may use which, and what the pure ones must not name."""

import json
import re
import subprocess
from pathlib import Path

from steps import ROOT, Counts

# Arrows between the crates of the workspace; none goes back.
MAY_USE = {
    "muster-model": set(),
    "muster-command": {"muster-model"},
    "muster-re2": set(),
    "muster-selector": {"muster-model", "muster-re2"},
    "muster-rules": {"muster-model", "muster-re2", "muster-selector"},
    "muster-tasking": {"muster-model", "muster-command", "muster-selector"},
    "muster-wire": {"muster-model"},
    "muster-live": {"muster-model", "muster-wire"},
    "muster-webhook": {"muster-model"},
    "muster-store": {"muster-model", "muster-selector", "muster-rules", "muster-tasking", "muster-wire"},
    "muster-console": set(),
    "muster-api-types": {"muster-model"},
    "muster-server": {
        "muster-console", "muster-live", "muster-api-types",
        "muster-model", "muster-command", "muster-selector", "muster-rules", "muster-tasking", "muster-wire",
        "muster-store", "muster-webhook",
    },
    "muster-client": {"muster-api-types", "muster-model"},
    "muster-service": {"muster-model", "muster-client", "muster-webhook"},
    "muster-sensor": {"muster-model", "muster-command", "muster-live", "muster-wire"},
}
# Programs and tests on top; nothing uses them.
ON_TOP = {"muster", "muster-bench", "muster-sim"}

PURE = ("model", "command", "re2", "selector", "rules", "tasking", "wire", "live", "webhook", "api-types")
# Types of addresses have no effects, and are in core::net.
IMPURE = re.compile(
    r"\btokio\b|\bstd::(fs|net|env|process|thread)\b|\bSystemTime\b|\bstd::time::(\{[^}]*\b)?Instant\b|\bInstant::now\b"
)

# Words of HTTP: only these rooms of the server speak it.
OF_HTTP = re.compile(r"\b(ApiError|StatusCode)\b")
SPEAKS_HTTP = {
    "ApiError": ("api.rs", "api/"),
    # The last one calls others, and tells what they answered.
    "StatusCode": (
        "api.rs", "api/", "console/site.rs", "console/socket.rs", "server/metrics.rs", "output/destination/connection.rs",
    ),
}

# The rooms of the server from the ground up: a room uses rooms that stand before it, and `app`, where all are put
# together, is for those behind it.
ROOMS = (
    "nature", "clock", "random", "sealing", "config", "address", "held", "telemetry", "names", "meter", "arrival", "pki", "jobs", "link", "turns",
    "intake", "damage", "records", "profile", "settings", "errors", "replay", "access", "files", "payload", "output",
    "organization", "service", "tasking", "sensor", "live", "hive", "artifact", "transfer", "extension", "detect", "console",
    "hook", "retention", "gateway", "app", "control", "api", "server",
)
USES = re.compile(r"\buse crate::(\{[^;]*\}|[a-z_]+)|\bcrate::([a-z_]+)")


# The sensor's seam to operating systems, and the one place in it where the compiler does not check.
PLATFORM, UNCHECKED = "platform", "platform/windows/api"
OF_A_SYSTEM = re.compile(
    r"\bcfg\w*!?\(.*\b(target_os|target_family|unix|windows|linux)\b"
    r"|\bstd::os::(unix|linux|windows|fd)\b|\b(rustix|procfs|winreg|windows_sys|windows_service)::|\bsignal::(unix|windows)\b"
)


def check() -> Counts:
    counts = Counts()
    output = subprocess.run(
        ["cargo", "metadata", "--format-version", "1", "--no-deps", "--locked"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    ).stdout
    packages = json.loads(output)["packages"]
    known = {package["name"] for package in packages}
    for package in packages:
        name = package["name"]
        # What only tests use may point anywhere below the programs.
        used = {part["name"] for part in package["dependencies"] if part["kind"] != "dev"} & known
        problems = []
        if name in ON_TOP:
            problems += [f"nothing may use {part}" for part in used & ON_TOP]
        elif name not in MAY_USE:
            problems.append("no arrows are laid down for this crate; add them to tests/checks/layers.py")
        else:
            problems += [f"must not use {part}" for part in sorted(used - MAY_USE[name])]
        counts.record(f"arrows of {name}", problems)
    for crate in PURE:
        counts.record(f"purity of {crate}", impurities(crate))
    counts.record("HTTP is spoken in its rooms alone", words_of_http())
    counts.record("rooms of muster-server", rooms())
    counts.record("systems are named in the sensor's platform alone", words_of_systems())
    return counts


def impurities(crate: str) -> list[str]:
    problems = []
    for path in sorted((ROOT / "crates" / crate / "src").rglob("*.rs")):
        for number, line in enumerate(path.read_text().splitlines(), 1):
            code = line.split("//", 1)[0]
            if found := IMPURE.search(code):
                problems.append(f"{path.relative_to(ROOT)}:{number} names {found[0]}")
    return problems


def words_of_http() -> list[str]:
    """Rooms below the API have errors of their own (docs/adr/0012-errors-belong-to-rooms.md)."""
    problems = []
    source = ROOT / "crates" / "server" / "src"
    for path in sorted(source.rglob("*.rs")):
        place = path.relative_to(source).as_posix()
        for number, line in enumerate(path.read_text().splitlines(), 1):
            for found in OF_HTTP.finditer(line.split("//", 1)[0]):
                if not place.startswith(SPEAKS_HTTP[found[0]]):
                    problems.append(f"{path.relative_to(ROOT)}:{number} names {found[0]}: give the room an error of its own")
    return problems


def words_of_systems() -> list[str]:
    """docs/adr/0033-a-system-is-a-set-of-modules.md"""
    problems = []
    source = ROOT / "crates" / "sensor" / "src"
    for path in sorted(source.rglob("*.rs")):
        place = path.relative_to(source).with_suffix("").as_posix()
        # Tests run on the machine that builds.
        if place.endswith("tests"):
            continue
        code = re.split(r"\n#\[cfg\(test\)\]\n", path.read_text())[0]
        for number, line in enumerate(code.splitlines(), 1):
            line = line.split("//", 1)[0]
            if (found := OF_A_SYSTEM.search(line)) and place.split("/")[0] != PLATFORM:
                problems.append(f"{path.relative_to(ROOT)}:{number} names {found[0]}: give the platform a word for it")
            if re.search(r"\bunsafe\b", line) and not place.startswith(UNCHECKED):
                problems.append(f"{path.relative_to(ROOT)}:{number} is unsafe: give {UNCHECKED} a function for it")
    return problems


def rooms() -> list[str]:
    """A room is a module of the server with all that is below it; what only tests use may point anywhere."""
    arrows = arrows_of_rooms(ROOT / "crates" / "server" / "src")
    problems = [f"say in ROOMS of tests/checks/layers.py where the room {room} stands" for room in arrows if room not in ROOMS]
    for room, used in arrows.items():
        above = {other for other in used if room in ROOMS and other in ROOMS and ROOMS.index(other) > ROOMS.index(room)}
        for other in sorted(above):
            problems.append(f"{room} must not use {other}, which stands above it: {used[other]}")
    return problems


def arrows_of_rooms(source: Path) -> dict[str, dict[str, str]]:
    """By room, the rooms that it uses, each with a file that does so."""
    arrows: dict[str, dict[str, str]] = {path.stem: {} for path in source.iterdir() if path.stem != "lib"}
    for path in sorted(source.rglob("*.rs")):
        place = path.relative_to(source)
        room = place.parts[0].removesuffix(".rs")
        code = re.split(r"\n#\[cfg\(test\)\]\n", path.read_text())[0]
        for used in USES.finditer(re.sub(r"//[^\n]*", "", code)):
            for name in first_names(used[1] or used[2]):
                if room != name and name in arrows and room in arrows:
                    arrows[room].setdefault(name, place.as_posix())
    return arrows


def first_names(tree: str) -> list[str]:
    """The first names of what `use crate::` takes: `a` and `b` of `{a::{c, d}, b}`."""
    depth, names, name = 0, [], ""
    for char in tree.removeprefix("{").removesuffix("}") + ",":
        depth += (char == "{") - (char == "}")
        if char == "," and depth == 0:
            names.append(re.split(r"\W", name.strip())[0])
            name = ""
        else:
            name += char
    return names
