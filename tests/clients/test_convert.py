"""Older service rules on the server: what the published converter makes of them, and what ours makes."""

import json
import os
import pty
import subprocess
import time

import pytest

from process import eventually, plain_environment, program

EXTENSION = "ext-reliable-tasking"
NOTHING_LEFT = f"no {EXTENSION} rules require updating"


def legacy(event: str, request: dict) -> dict:
    item = {"action": "service request", "name": "reliable-tasking", "request": request}
    return {
        "detect": {"event": event, "op": "exists", "path": "event"},
        "respond": [{"action": "report", "name": f"on {event}"}, item | {"suppression": {"max_count": 1, "period": "1h"}}],
        "tests": {"match": [[{"event": {"A": 1}, "routing": {"event_type": event}}]]},
    }


def task(**more) -> dict:
    return {"action": "task", "task": "os_version", "sid": "<<routing/sid>>", "ttl": 3600} | more


class Hive:
    """The rules of one server."""

    def __init__(self, server, api):
        self.api, self.oid = api, server.oid
        self.kept: list[tuple[str, str]] = []

    def set(self, hive: str, name: str, rule: dict) -> None:
        usr_mtd = {"enabled": True, "tags": ["old"], "comment": "kept", "expiry": 0}
        form = {"data": json.dumps(rule), "usr_mtd": json.dumps(usr_mtd)}
        self.api("POST", f"hive/{hive}/{self.oid}/{name}/data", form)
        self.kept.append((hive, name))

    def get(self, hive: str, name: str) -> dict:
        return self.api("GET", f"hive/{hive}/{self.oid}/{name}/data")

    def forget(self) -> None:
        for hive, name in self.kept:
            self.api.raw("DELETE", f"/v1/hive/{hive}/{self.oid}/{name}")


@pytest.fixture
def hive(world):
    made = Hive(world.server, world.api)
    world.api("POST", f"orgs/{world.server.oid}/subscription/extension/{EXTENSION}")
    yield made
    made.forget()


def converter(client4, *more: str):
    return client4.run("extension", "convert_rules", "--name", EXTENSION, *more)


def errors(world) -> dict[str, str]:
    """Errors of the organization, by component."""
    listed = world.api("GET", f"errors/{world.server.oid}")["errors"]
    return {error["component"]: error["error"] for error in listed}


def fire(world, command: str) -> None:
    world.api("POST", world.first.sid, {"tasks": command})


def test_the_published_converter_runs_until_nothing_is_left(world, client4, hive):
    rules = {("dr-general", "conv-a"): task(), ("dr-managed", "conv-b"): {"action": "untask", "sid": "<<routing/sid>>"}}
    for (where, name), request in rules.items():
        hive.set(where, name, legacy("OS_DRIVERS_REP", request))
    before = {key: hive.get(*key) for key in rules}

    dry = converter(client4)
    assert dry.code == 0 and "Dry run of change on rule 'conv-" in dry.stdout and "--no-dry-run" in dry.stdout, str(dry)
    assert {key: hive.get(*key) for key in rules} == before, "a dry run changes nothing"

    said = []
    for _ in range(len(rules) + 1):
        result = converter(client4, "--no-dry-run")
        assert result.code == 0, str(result)
        said.append(result.stdout.strip().splitlines()[-1])
    assert sorted(said[:-1]) == ["rule conv-a converted", "rule conv-b converted"] and said[-1] == NOTHING_LEFT
    assert converter(client4).stdout.strip() == NOTHING_LEFT

    for key in rules:
        after = hive.get(*key)
        assert after["usr_mtd"] == before[key]["usr_mtd"], "a write of data alone keeps the metadata"
        assert after["sys_mtd"]["etag"] != before[key]["sys_mtd"]["etag"]
        assert set(after["data"]) == {"detect", "respond"}, "it loses the tests, as published"
    # Source: reference/rest-api.md section 11.3.
    assert hive.get("dr-general", "conv-a")["data"]["respond"][1] == {
        "action": "extension request", "extension action": "task", "extension name": EXTENSION,
        "extension request": {
            "sid": "{{routing.sid}}", "tag": '{{ "tag" }}', "selector": '{{ "selector" }}',
            "context": '{{ "context" }}', "task_id": '{{ "task_id" }}', "ttl": 3600,
        },
    }


def test_what_the_published_converter_makes_fails_clearly_and_harms_nobody(world, client4, hive):
    hive.set("dr-general", "conv-task", legacy("OS_SERVICES_REP", task()))
    hive.set("dr-general", "conv-untask", legacy("OS_SERVICES_REP", {"action": "untask", "sid": "<<routing/sid>>"}))
    while NOTHING_LEFT not in (result := converter(client4, "--no-dry-run")).stdout:
        assert result.code == 0 and "converted" in result.stdout, str(result)
    waiting = world.api.extension("task", task="os_version", sid=world.asleep.sid, ttl=600)["task_id"]
    try:
        fire(world, "os_services")
        lost = eventually("the rule's failure is told", lambda: errors(world).get("dr-general/conv-task"))
        # Its only target was the sensor of the event, so the templates without a dot were understood.
        assert "missing task" in lost, lost
        time.sleep(0.5)
        assert "dr-general/conv-untask" not in errors(world)
        tasks = world.api.extension("list")["tasks"]
        assert waiting in tasks[world.asleep.sid], "no other sensor's tasks are removed"
    finally:
        world.api.extension("untask", task_id=waiting)


def ours(world, *arguments: str) -> subprocess.CompletedProcess:
    environment = plain_environment(world.folder / "muster") | world.server.environment
    return subprocess.run(
        [program("muster"), "rule", *arguments], env=environment, capture_output=True, text=True, timeout=60, check=False,
    )


def test_our_converter_does_all_rules_in_one_run_and_they_work(world, client4, hive):
    hive.set("dr-general", "conv-one", legacy("OS_PACKAGES_REP", task(inv_id="conv-hunt")))
    hive.set("dr-managed", "conv-two", legacy("OS_PACKAGES_REP", {"action": "list", "sid": "*"}))
    before = hive.get("dr-general", "conv-one")
    dry = ours(world, "convert", "--name", EXTENSION)
    assert dry.returncode == 0 and "2 rules would change" in dry.stdout, dry
    assert "--- dr-general/conv-one" in dry.stdout and "+- action: extension request" in dry.stdout, dry
    assert hive.get("dr-general", "conv-one") == before
    done = ours(world, "convert", "--name", EXTENSION, "--no-dry-run", "--yes")
    assert done.returncode == 0 and "2 of 2 rules converted" in done.stdout, done

    after = hive.get("dr-general", "conv-one")
    assert after["usr_mtd"] == before["usr_mtd"]
    for part in ("detect", "tests"):
        assert after["data"][part] == before["data"][part]
    assert after["data"]["respond"][1] == {
        "action": "extension request", "extension name": EXTENSION, "extension action": "task",
        "extension request": {
            "task": '{{ "os_version" }}', "sid": "{{ .routing.sid }}", "ttl": 3600, "context": '{{ "conv-hunt" }}',
        },
        "suppression": {"max_count": 1, "period": "1h"},
    }
    assert converter(client4).stdout.strip() == NOTHING_LEFT, "the published converter has nothing left to do"

    fire(world, "os_packages")

    def answered():
        query = f"start={int(time.time()) - 600}&end={int(time.time()) + 60}&event_type=OS_VERSION_REP"
        events = world.api("GET", f"insight/{world.server.oid}/{world.first.sid}?{query}")["events"]
        return [event for event in events if event["routing"].get("investigation_id", "").startswith("conv-hunt")]

    eventually("the sensor did what the rule asked", answered)
    assert not {"dr-general/conv-one", "dr-managed/conv-two"} & set(errors(world))


def test_a_change_meanwhile_is_not_overwritten(world, hive):
    for name in ("conv-race", "conv-still"):
        hive.set("dr-general", name, legacy("OS_AUTORUNS_REP", task()))
    person, terminal = pty.openpty()
    environment = plain_environment(world.folder / "muster") | world.server.environment
    command = [program("muster"), "rule", "convert", "--no-dry-run"]
    with subprocess.Popen(command, env=environment, stdin=terminal, stderr=terminal, stdout=subprocess.PIPE, text=True) as child:
        asked = b""
        while b"[y/N]" not in asked:
            asked += os.read(person, 4096)
        hive.set("dr-general", "conv-race", changed := legacy("OS_AUTORUNS_REP", task(ttl=7)))
        os.write(person, b"y\n")
        said = child.stdout.read()
    told = ""
    while "were not converted" not in told:
        told += os.read(person, 65536).decode()
    os.close(terminal)
    os.close(person)
    assert child.returncode == 1 and "1 of 2 rules converted" in said, said
    assert "conv-race: it was changed meanwhile" in told, told
    assert hive.get("dr-general", "conv-race")["data"] == changed
    assert hive.get("dr-general", "conv-still")["data"]["respond"][1]["action"] == "extension request"


def test_stored_rules_of_the_command_line(world, hive, tmp_path):
    rule, broken = tmp_path / "rule.yaml", tmp_path / "broken.yaml"
    rule.write_text("detect: {event: OS_USERS_REP, op: exists, path: event}\nrespond: [{action: report, name: cli}]\n")
    broken.write_text("detect:\n  op: nothing\n")
    hive.kept.append(("dr-general", "cli-rule"))
    stored = ours(world, "set", "cli-rule", str(rule), "--tag", "t1")
    assert stored.returncode == 0 and "not in force" in stored.stdout, stored
    assert ours(world, "enable", "cli-rule").returncode == 0
    kept = hive.get("dr-general", "cli-rule")
    assert (kept["usr_mtd"]["enabled"], kept["usr_mtd"]["tags"]) == (True, ["t1"])
    assert ours(world, "set", "cli-rule", str(rule)).returncode == 0
    assert hive.get("dr-general", "cli-rule")["usr_mtd"] == kept["usr_mtd"], "metadata that is not named stays"
    wrong = ours(world, "set", "cli-rule", str(broken))
    assert wrong.returncode == 4 and f"{broken}:2:7: error[rule/unknown-op]" in wrong.stderr, wrong
    listed = ours(world, "list")
    assert "cli-rule" in listed.stdout and "OS_USERS_REP" in listed.stdout, listed
    assert "op: exists" in ours(world, "get", "cli-rule").stdout

    fire(world, "os_users")
    arguments = ("replay", str(rule), "--sid", world.first.sid, "--since", "1h")
    shown = eventually("the event is kept", lambda: "would report: \"cli\"" in (done := ours(world, *arguments)).stdout and done)
    assert "matches rule: " in shown.stdout and "yes detect (exists)" in shown.stdout, shown
    counted = ours(world, "replay", "--stored", "cli-rule", "--since", "1h", "--dry-run", "--json")
    assert json.loads(counted.stdout)[0]["stats"]["n_scan"] > 0, counted

    assert ours(world, "disable", "cli-rule").returncode == 0
    assert ours(world, "delete", "cli-rule", "--yes").returncode == 0
    assert ours(world, "get", "cli-rule").returncode == 4
