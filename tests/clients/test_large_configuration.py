"""The configuration of a large organization goes through both clients: pushed, pulled, and what was pulled pushed again.

`./test --long` does so with 15,000 rules, and with a lookup of as many entries as the clients get through: they read and write YAML in pure
Python, 3,000 entries a second. `muster sync` does so with a million and a half (`conformance/public`).
"""

import json
import os
import time

import pytest
import yaml

from client import Client

RULES, ENTRIES = (15_000, 250_000) if os.environ.get("MUSTER_FULL_SIZE") else (300, 5_000)
# Bytes in one rule of those that are in public use: a kilobyte and a half.
TEXT_BYTES = 1_400
# What one command may take at full size, nearly all of it in the client.
LONG_COMMAND_S = 1_800

PUSHED = {
    "5": (["sync", "push", "--config-file"], ["--hive-dr-general", "--hive-lookup"]),
    "4": (["configs", "push", "--use-infra-extension", "-c"], ["--hive-dr-general", "--hive-lookup"]),
}
PULLED = {"5": ["sync", "pull", "--config-file"], "4": ["configs", "fetch", "--use-infra-extension", "-c"]}


def document() -> dict:
    def rule(number: int) -> dict:
        detect = {"event": "NEW_PROCESS", "op": "ends with", "path": "event/FILE_PATH", "value": f"/{'x' * TEXT_BYTES}/{number}.sh"}
        data = {"detect": detect, "respond": [{"action": "report", "name": f"seen-{number}"}]}
        return {"data": data, "usr_mtd": {"enabled": True, "tags": ["large"]}}

    rules = {f"large {number:05}": rule(number) for number in range(RULES)}
    lookup = {"data": {"lookup_data": {f"host-{number}.example.com": {} for number in range(ENTRIES)}}, "usr_mtd": {"enabled": True}}
    return {"version": 3, "hives": {"dr-general": rules, "lookup": {"many": lookup}}}


@pytest.mark.parametrize("version", ["5", "4"])
def test_three_5_what_was_pulled_is_pushed_again(lone_server, tmp_path, version):
    client = Client(version, lone_server, tmp_path)

    def run(what: str, *argv: str) -> str:
        begun = time.monotonic()
        result = client.run(*argv, at_most=LONG_COMMAND_S)
        print(f"{version}: {what}: {time.monotonic() - begun:.1f} s; server at most {lone_server.peak_mib} MiB")
        assert result.code == 0, str(result)[:4_000]
        return result.stdout

    (push, sections), pull = PUSHED[version], PULLED[version]
    (tmp_path / "org.yaml").write_text(json.dumps(document()))
    run("push", *push, "org.yaml", *sections)
    run("pull", *pull, "pulled.yaml", *sections)
    said = run("push of what was pulled", *push, "pulled.yaml", "--force", *sections)
    changes = [line for line in map(str.strip, said.splitlines()) if line.startswith(("+ ", "- "))]
    assert not changes, changes[:10]
    text = (tmp_path / "pulled.yaml").read_text()
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    pulled = yaml.load(text, loader)["hives"]
    assert len(pulled["dr-general"]) == RULES and len(pulled["lookup"]["many"]["data"]["lookup_data"]) == ENTRIES
