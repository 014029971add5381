#!/usr/bin/env python3
"""Before and after: muster-bench all >before.jsonl; …; crates/bench/compare.py before.jsonl after.jsonl

Each file holds the lines of one or several runs. A row is the median of what has the same name and parameters; a value that
is more than 1.05 of before (of rates: less than 1/1.05) is marked, and then the exit code is 1. Yardsticks of the same run
are compared, too: where they moved alike, it was the machine.
"""

import json
import sys
from statistics import median

WORSE = 1.05
# What says which measurement it is; everything else on a line is a result, or belongs to one.
PARAMETERS = ("sensors", "others", "links", "requests", "kind", "rules", "records", "waiting", "page")


def measurements(path: str) -> dict[tuple, list[dict]]:
    found: dict[tuple, list[dict]] = {}
    with open(path) as lines:
        for line in filter(str.strip, lines):
            line = json.loads(line)
            key = (line["name"], line["unit"], *((name, line[name]) for name in PARAMETERS if name in line))
            found.setdefault(key, []).append(line)
    return found


def middle(lines: list[dict], field: str) -> float | None:
    values = [line[field] for line in lines if isinstance(line.get(field), (int, float))]
    return median(values) if values else None


def ratio(before: float | None, after: float | None) -> float | None:
    return after / before if before and after is not None else None


def main() -> int:
    before, after = (measurements(path) for path in sys.argv[1:3])
    print(f"{'measurement':<58}{'before':>12}{'after':>12}{'ratio':>8}{'yardstick':>11}")
    worse = 0
    for key, lines in after.items():
        name, unit, *parameters = key
        label = f"{name} [{unit}] {' '.join(f'{name}={value}' for name, value in parameters)}"
        old = before.get(key, [])
        was, now = middle(old, "value"), middle(lines, "value")
        change, yardstick = ratio(was, now), ratio(middle(old, "limit"), middle(lines, "limit"))
        is_worse = change is not None and (1 / change if unit == "per second" else change) > WORSE
        worse += is_worse
        cells = ["-" if value is None else f"{value:.4g}" for value in (was, now, change, yardstick)]
        print(f"{label:<58}{cells[0]:>12}{cells[1]:>12}{cells[2]:>8}{cells[3]:>11}{'  worse' if is_worse else ''}")
    return 1 if worse else 0


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    sys.exit(main())
