"""Length and names of source files, and the numbers of decisions."""

import subprocess

from steps import ROOT, Counts

LINES_MAX = 600
FORBIDDEN = {"utils", "util", "common", "helpers", "helper", "misc", "mod"}


def decisions() -> list[str]:
    """Each decision has a number of its own, the same in its name and its heading, and none is left out."""
    problems = []
    for number, path in enumerate(sorted((ROOT / "docs" / "adr").glob("*.md")), start=1):
        if not path.name.startswith(f"{number:04}-"):
            problems.append(f"{path.name} should have the number {number:04}")
        if not path.read_text().startswith(f"# {number}. "):
            problems.append(f"{path.name} should begin with '# {number}. '")
    return problems


def check() -> Counts:
    counts = Counts()
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode == 0:
        paths = [ROOT / line for line in listed.stdout.splitlines()]
    else:  # An archive without its history.
        paths = [path for path in ROOT.rglob("*") if not {"target", ".cache"} & set(path.relative_to(ROOT).parts)]
    sources = [path for path in paths if path.suffix in (".rs", ".py", ".ts", ".tsx", ".js") and path.is_file()]
    too_long, misnamed, unfinished = [], [], []
    for path in sources:
        shown = path.relative_to(ROOT)
        text = path.read_text()
        length = text.count("\n")
        if length > LINES_MAX:
            too_long.append(f"{shown} has {length} lines; {LINES_MAX} is the most")
        if path.stem in FORBIDDEN or FORBIDDEN & set(shown.parts[:-1]):
            misnamed.append(f"{shown} does not say what it holds")
        if path.suffix == ".rs" and "#[ignore" in text:
            unfinished.append(f"{shown} ignores a test")
    counts.record("file length", too_long)
    counts.record("file names", misnamed)
    counts.record("ignored tests", unfinished)
    counts.record("numbers of decisions", decisions())
    return counts
