"""Every request line of the published documentation, by a real curl through a real shell."""

import json
import subprocess
from pathlib import Path

import pytest
import yaml

import table
from process import eventually, plain_environment

PUBLISHED = "https://api.limacharlie.io"
LINES = yaml.safe_load((Path(__file__).parent / "curls.yaml").read_text())
KEYS = {"id", "page", "command", "replace", "before", "tag", "status", "json", "after", "answer"}


def shell(world, command: str, environment: dict[str, str]):
    """Runs a line in a shell whose curl also reports the status, by its own configuration file."""
    home = world.folder / "curl"
    variables = plain_environment(home) | environment
    (home / ".curlrc").write_text('silent\nshow-error\nwrite-out = "\\n%{http_code}"\n')
    done = subprocess.run(
        ["bash", "-c", command], env=variables, cwd=home, capture_output=True, text=True, timeout=60, check=True
    )
    body, _, status = done.stdout.rpartition("\n")
    return int(status), json.loads(body)


@pytest.fixture
def quiet_queue(world):
    """A queue without the tasks of other tests, before and after."""
    world.api.extension("untask", selector="*")
    yield
    world.api.extension("untask", selector="*")


@pytest.mark.parametrize("host", ["own-host", "published-host"])
@pytest.mark.parametrize("line", LINES, ids=[line["id"] for line in LINES])
def test_line(world, quiet_queue, line, host):
    assert set(line) <= KEYS
    known = world.variables()
    for sid, tag in table.substitute(line.get("tag", {}), known).items():
        world.api("POST", f"{sid}/tags", {"tags": tag})
    if "before" in line:
        known["TASK"] = world.api.extension("task", **line["before"])["task_id"]
        await_answers(world, known["TASK"])

    command = line["command"].replace("$JWT", world.api.token).replace("$YOUR_OID", world.server.oid)
    for word, replacement in table.substitute(line.get("replace", {}), known).items():
        assert word in command
        command = command.replace(word, replacement)
    if host == "own-host":
        command, environment = command.replace(PUBLISHED, world.server.url), {}
    else:
        # The host as printed, found behind the CONNECT listener.
        environment = {
            "HTTPS_PROXY": world.server.environment["MUSTER_COMPAT_PROXY"],
            "CURL_CA_BUNDLE": world.server.environment["SSL_CERT_FILE"],
        }
    status, answer = shell(world, command, environment)

    assert status == line["status"], answer
    table.check(answer, table.substitute(line["json"], known))
    known["NEW"] = answer.get("data", {}).get("task_id", "")
    if "after" in line:
        await_answers(world, known["NEW"])
        table.check(world.api.extension("list"), table.substitute(line["after"], known))
    if "answer" in line:
        await_event(world, **line["answer"])


def await_answers(world, task_id: str) -> None:
    """Waits until the two sensors that are online have confirmed a task."""
    def confirmed() -> bool:
        tasks = world.api.extension("list")["tasks"]
        return not any(task_id in tasks.get(sid, {}) for sid in (world.first.sid, world.second.sid))

    eventually(f"{task_id} is confirmed", confirmed)


def await_event(world, context: str, event: str) -> None:
    """Waits until history has an answer of a sensor that carries the context."""
    known = world.variables()
    window = f"start={known['HOUR_AGO']}&end={known['SOON']}"
    path = f"insight/{world.server.oid}/{world.first.sid}?{window}&event_type={event}"

    def found() -> bool:
        records = world.api.unpacked(world.api("GET", path)["events"])
        return any(record["routing"].get("investigation_id") == context for record in records)

    eventually(f"{event} of {context}", found)

