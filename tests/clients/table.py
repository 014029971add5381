"""Tables of commands: what to run and what must come back, as data.

A table is a list of scenarios; a scenario has a `name`, optional `files` to
write first, and `steps` that run in order. A step has

    id      name within the scenario
    argv    the words of the command; $NAME is replaced by a known or saved value
    exit    expected exit code, default 0
    set     environment variables that differ for this step; null takes one away
    json    checks on standard output read as JSON; adds `--output json` in front for 5.x
    stdout, stderr  text, or list of texts, that must appear
    save    NAME: pointer into the JSON, for later steps
    within  seconds to repeat the step until its checks hold, for what takes effect a moment later

A check is a mapping of `at` (JSON pointer; default the whole) and of
`is`, `has` (member of a list, key of an object, or part of a text), `lacks`,
`exists`, `length`, `least`, `matches` (regular expression).
"""

import re
import time
from dataclasses import dataclass, field
from pathlib import Path
from string import Template

import yaml

# A repeated step costs the start of an interpreter; more often would only load the machine.
REPEAT_S = 0.5

STEP_KEYS = {"id", "argv", "exit", "set", "json", "stdout", "stderr", "save", "within", "why"}
CHECKS = {
    "is": lambda value, want: value == want,
    "has": lambda value, want: want in value,
    "lacks": lambda value, want: want not in value,
    "length": lambda value, want: len(value) == want,
    "least": lambda value, want: value >= want,
    "matches": lambda value, want: re.search(want, value) is not None,
}


class Missing(AssertionError):
    """A pointer leads nowhere."""


def resolve(value, pointer: str):
    """What a JSON pointer (RFC 6901) points at; `-` is the last member of a list."""
    for part in pointer.split("/")[1:]:
        part = part.replace("~1", "/").replace("~0", "~")
        try:
            value = value[-1 if part == "-" else int(part)] if isinstance(value, list) else value[part]
        except (KeyError, IndexError, TypeError, ValueError):
            raise Missing(f"{pointer} is missing at {part!r}") from None
    return value


def substitute(thing, variables: dict[str, str]):
    """Replaces $NAME in every text of a value."""
    if isinstance(thing, str):
        return Template(thing).safe_substitute(variables)
    if isinstance(thing, list):
        return [substitute(part, variables) for part in thing]
    if isinstance(thing, dict):
        return {substitute(key, variables): substitute(part, variables) for key, part in thing.items()}
    return thing


def check(value, checks: list[dict]) -> None:
    """Fails, saying which check did not hold and what was there."""
    for rule in checks:
        rule = dict(rule)
        pointer = rule.pop("at", "")
        exists = rule.pop("exists", True)
        try:
            found = resolve(value, pointer)
        except Missing as missing:
            assert exists is False, f"{missing}; in {value!r}"
            continue
        assert exists is not False, f"{pointer} should not be there: {found!r}"
        for name, want in rule.items():
            try:
                holds = CHECKS[name](found, want)
            except TypeError:
                holds = False
            assert holds, f"{pointer or 'the answer'} is {found!r}; expected {name} {want!r}"


def texts(thing) -> list[str]:
    return [thing] if isinstance(thing, str) else list(thing or [])


@dataclass
class Scenario:
    """Steps that share what they save."""

    name: str
    steps: list[dict]
    files: dict[str, str] = field(default_factory=dict)
    saved: dict[str, str] = field(default_factory=dict)
    done: int = 0

    def run_to(self, number: int, client, known: dict[str, str], prefix: list[str]) -> None:
        """Runs up to one step; steps that ran already, well or not, are not repeated."""
        for name, text in self.files.items():
            Path(client.home / name).write_text(substitute(text, known))
        while self.done <= number:
            step = self.steps[self.done]
            self.done += 1
            self._run(step, client, known, prefix)

    def _run(self, step: dict, client, known: dict[str, str], prefix: list[str]) -> None:
        variables = known | self.saved
        argv = substitute(step["argv"], variables)
        unknown = [word for word in argv if re.search(r"\$[A-Z]", word)]
        assert not unknown, f"nothing is known for {unknown}"
        wants_json = "json" in step or "save" in step
        argv = (prefix if wants_json else []) + argv
        deadline = time.monotonic() + step.get("within", 0)
        while True:
            result = client.run(*argv, environment=substitute(step.get("set", {}), variables))
            try:
                self._judge(step, result, variables)
                return
            except AssertionError as error:
                if time.monotonic() >= deadline:
                    raise AssertionError(f"{error}\n{result}") from None
            time.sleep(REPEAT_S)

    def _judge(self, step: dict, result, variables: dict[str, str]) -> None:
        expected = step.get("exit", 0)
        assert result.code == expected, f"exit {result.code}, expected {expected}"
        for stream in ("stdout", "stderr"):
            for text in texts(substitute(step.get(stream), variables)):
                assert text in getattr(result, stream), f"{stream} lacks {text!r}"
        if "json" in step or "save" in step:
            try:
                value = result.json
            except ValueError:
                raise AssertionError("standard output is not JSON") from None
            check(value, substitute(step.get("json", []), variables))
            for name, pointer in step.get("save", {}).items():
                self.saved[name] = str(resolve(value, substitute(pointer, variables)))


def load(path: Path) -> list[Scenario]:
    """Reads a table; a key that means nothing is an error."""
    scenarios = [Scenario(**entry) for entry in yaml.safe_load(path.read_text())]
    for scenario in scenarios:
        names = [step["id"] for step in scenario.steps]
        assert len(set(names)) == len(names), f"{path.name}: {scenario.name} names a step twice"
        for step in scenario.steps:
            assert set(step) <= STEP_KEYS, f"{path.name}: {step['id']} has unknown {set(step) - STEP_KEYS}"
    assert len({scenario.name for scenario in scenarios}) == len(scenarios), f"{path.name} names a scenario twice"
    return scenarios
