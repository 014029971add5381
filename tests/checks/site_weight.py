"""What a browser loads of the built console: its weight, and that it names no other host."""

import re

from steps import ROOT, Counts

SITE = ROOT / "console" / "dist" / "site"

# Most bytes after Brotli. Source: reference/console.md section 15; the first page is what one waits for.
FIRST_MAX = 110_000
SITE_MAX = 700_000
PAGE_MAX = 25_000
# What holds a library of its own, by the name of the chunk.
CHUNK_MAX = {"Editor": 130_000, "Terminal": 80_000, "Chart": 25_000, "RuleEditor": 32_000}

# Addresses that are names and not asked for: of XML namespaces, and in messages of React and of the router.
NAMES = {"www.w3.org", "react.dev", "tanstack.com", "localhost", "radix-ui.com", "github.com", "bit.ly"}


def check() -> Counts:
    counts = Counts()
    if not SITE.is_dir():
        counts.record("console is built", ["console/dist/site is not there"])
        return counts
    sizes = {path.name.removesuffix(".br"): path.stat().st_size for path in SITE.rglob("*.br")}
    page = (SITE / "index.html").read_text()
    first = sum(sizes[name] for name in {"index.html", *re.findall(r"assets/([\w.-]+)", page)})
    problems = [f"{first} bytes; {FIRST_MAX} is the most"] if first > FIRST_MAX else []
    counts.record("first page", problems)
    whole = sum(sizes.values())
    counts.record("whole site", [f"{whole} bytes; {SITE_MAX} is the most"] if whole > SITE_MAX else [])
    for name, size in sorted(sizes.items()):
        if name == "index.html" or name in page or name.endswith(".md"):
            continue
        most = CHUNK_MAX.get(name.split("-")[0], PAGE_MAX)
        counts.record(f"weight of {name}", [f"{size} bytes; {most} is the most"] if size > most else [])
    for path in sorted(SITE.rglob("*.js")):
        hosts = set(re.findall(r"https?://([\w.-]+)", path.read_text())) - NAMES
        counts.record(f"hosts in {path.name}", [f"names {host}" for host in sorted(hosts)])
    print(f"  first page {first} bytes, whole site {whole} bytes (Brotli)", flush=True)
    return counts
