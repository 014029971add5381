"""What holds a secret does not print it: no type with such a field derives Debug."""

import re
from pathlib import Path

from steps import ROOT, Counts

# Names of fields that hold a secret.
SECRET = re.compile(r"(?:\w+_)?(?:secret|password|token|jwt|(?:api|private|json|installation|digest|lasting|sealing)_key)")
# Where the next page of a list begins.
NO_SECRETS = {"continuation_token"}
TEXT = re.compile(r"\bstr\b|\bString\b|\bu8\b")

DERIVED = re.compile(r"derive\(([^)]*)\)")
TYPE = re.compile(r"(\s*)(?:pub(?:\([^)]*\))? )?(?:struct|enum) (\w+)[^;(]*\{\s*$")
FIELD = re.compile(r"\s*(?:pub(?:\([^)]*\))? )?(\w+): (.*)")


def prints(attributes: str) -> bool:
    """Whether a type with these attributes has a `Debug` that shows every field; that of a message is derived with it."""
    derived = {name.strip() for names in DERIVED.findall(attributes) for name in names.split(",")}
    is_message = bool(derived & {"Message", "Oneof"}) and "skip_debug" not in attributes
    return "Debug" in derived or is_message


def printed(path: Path) -> list[str]:
    """Fields of a source file that hold a secret, of types that print them."""
    found, attributes, name, end = [], "", None, ""
    for line in path.read_text().splitlines():
        bare = line.strip()
        if name is not None:
            field = FIELD.match(line)
            if line == end:
                name = None
            elif field and SECRET.fullmatch(field[1]) and field[1] not in NO_SECRETS and TEXT.search(field[2]):
                found.append(f"{path.relative_to(ROOT)}: {name}.{field[1]} is printed: write Debug by hand, without it")
        elif bare.startswith("#["):
            attributes += bare
        elif start := TYPE.match(line):
            name = start[2] if prints(attributes) else None
            attributes, end = "", start[1] + "}"
        elif not bare.startswith(("//", ")]")):
            attributes = ""
    return found


def check() -> Counts:
    counts = Counts()
    paths = sorted((ROOT / "crates").glob("*/src/**/*.rs"))
    counts.record("secrets are not printed", [field for path in paths for field in printed(path)])
    return counts
