"""The table of docs/compatibility.md and the commands that are run agree: what it says works is run, and no command is in no row.

A row names commands of the official clients as `noun` or `noun verb`; those of 4.11.3 stand behind `4:`. The longest name that fits counts.
"""

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from process import CACHE, ROOT

HERE = Path(__file__).parent

# What every command of 5.10.1 is called; the tree tells itself.
TREE_5 = """
import click
from limacharlie.cli import cli
context = click.Context(cli)
for noun in cli.list_commands(context):
    command = cli.get_command(context, noun)
    verbs = command.list_commands(context) if isinstance(command, click.Group) else [""]
    print(*(f"{noun} {verb}".strip() for verb in verbs), sep="\\n")
"""


def rows() -> list[tuple[str, set[str], str]]:
    """Area, commands and state of each row of the table."""
    section = (ROOT / "docs" / "compatibility.md").read_text().split("## REST API", 1)[1].split("\n## ", 1)[0]
    lines = [line for line in section.splitlines() if line.startswith("| ")][1:]
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
    return [(area, set(re.findall(r"`([^`]+)`", commands)), state) for area, commands, state in cells]


def row_of(command: str) -> tuple[str, str] | None:
    """Area and state of the row that has the longest name that fits."""
    found = [(len(name), area, state) for area, names, state in rows() for name in names if f"{command} ".startswith(f"{name} ")]
    return max(found)[1:] if found else None


def tree_5() -> list[str]:
    python = CACHE / "venv-5" / "bin" / "python"
    return subprocess.run([python, "-c", TREE_5], capture_output=True, text=True, check=True).stdout.split("\n")[:-1]


def tree_4() -> list[str]:
    """4.11.3 compares its first word with these."""
    source = next((CACHE / "venv-4").glob("lib/python*/site-packages/limacharlie/__main__.py")).read_text()
    compared = re.findall(r"args\.action\.lower\(\) (?:==|in) (.+?):\n", source)
    return [f"4: {word}" for text in compared for word in re.findall(r"'([\w-]+)'", text)]


def run_commands(version: str) -> set[str]:
    """First words of every command that a test runs and that succeeds."""
    prefix = "4: " if version == "4" else ""
    steps = [step for scenario in yaml.safe_load((HERE / f"commands_{version}.yaml").read_text()) for step in scenario["steps"]]
    tables = {" ".join(step["argv"][:2]) for step in steps if step.get("exit", 0) == 0}
    source = "".join(path.read_text() for path in sorted(HERE.glob("test_*.py")) if path != Path(__file__))
    in_a_program = re.compile(r'(?:run|start)\((?:"--output", "json", )?"([\w-]+)", "([\w-]+)"')
    programs = {f"{noun} {verb}" for noun, verb in in_a_program.findall(source)}
    programs |= {f"stream {verb}" for verb in re.findall(r'(?:streaming\(client5, |argv = \()"(\w+)"', source)}
    return {prefix + command for command in tables | programs}


COMMANDS = [("5", command) for command in tree_5()] + [("4", command) for command in tree_4()]


@pytest.mark.parametrize("version, command", COMMANDS)
def test_a_command_that_works_is_run_and_the_others_are_in_a_row_that_says_so(version, command):
    row = row_of(command)
    assert row, f"no row of docs/compatibility.md names {command}"
    area, state = row
    if state.startswith("works"):
        ran = run_commands(version)
        assert any(f"{one} ".startswith(f"{command} ") for one in ran), f"{area} works, and no test runs {command}"


def test_every_name_in_the_table_is_a_command():
    known = [command for _, command in COMMANDS]
    unknown = {name for _, names, _ in rows() for name in names if not any(f"{one} ".startswith(f"{name} ") for one in known)}
    assert not unknown, unknown
