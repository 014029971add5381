"""What an organization is subscribed to, and how its extensions are set up, is part of its configuration: both clients pull it, and push it."""

import json
from types import SimpleNamespace

import pytest

from client import Client
from listener import Answering, Listener
from process import eventually
from test_service_server import Muster

SECTIONS = ["--extensions", "--resources", "--hive-extension-config"]
PUSH = {"5": ["sync", "push", "--config-file"], "4": ["configs", "push", "--use-infra-extension", "-c"]}
PULL = {"5": ["sync", "pull", "--config-file"], "4": ["configs", "fetch", "--use-infra-extension", "-c"]}

OF_SERVICE = {"success": True, "data": {"version": 1, "mtd": {"callbacks": ["health"], "detect_subscriptions": [], "request_params": {}}}}
LEVEL = {"data_type": "integer", "label": "l", "description": "d"}
OF_EXTENSION = {"version": 20221218, "data": {"config_schema": {"fields": {"level": LEVEL}}, "request_schema": {}, "required_events": []}}


class Well(Answering):
    """A service and an extension in one, which are content with everything."""

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        is_service = "lc-svc-sig" in self.headers
        self.say(json.dumps(OF_SERVICE if is_service else OF_EXTENSION).encode())


@pytest.mark.parametrize("version", ["5", "4"])
def test_nine_1_registered_programs_are_pulled_pushed_and_pushed_again(lone_server, tmp_path, version):
    programs, client = Listener(Well), Client(version, lone_server, tmp_path / "client")
    muster = Muster(SimpleNamespace(server=lone_server), tmp_path)
    for noun, name, well in (("service", "noter", "health"), ("extension", "ext-noter", "schema")):
        muster.ok(noun, "register", name, "--url", programs.url, "--allow-private", "--no-secret")
        eventually(f"the {noun} is well", lambda: muster.run(noun, well, name).returncode == 0)
        muster.ok(noun, "subscribe", name)

    def set_level(level: int):
        config = tmp_path / "config.json"
        config.write_text(json.dumps({"level": level}))
        muster.ok("extension", "config", "set", "ext-noter", str(config))

    set_level(2)

    def run(*argv: str) -> list[str]:
        result = client.run(*argv)
        assert result.code == 0, str(result)
        return [line for line in map(str.strip, result.stdout.splitlines()) if line.startswith(("+ ", "- "))]

    run(*PULL[version], "pulled.yaml", *SECTIONS)
    pulled = (client.home / "pulled.yaml").read_text()
    assert "ext-noter" in pulled and "noter" in pulled and "level: 2" in pulled, pulled

    is_subscribed = lambda noun, name: json.loads(muster.ok(noun, "get", name, "--json"))["is_subscribed"]
    set_level(3)
    for noun, name in (("service", "noter"), ("extension", "ext-noter")):
        muster.ok(noun, "unsubscribe", name)
        eventually("its end is told", lambda: not is_subscribed(noun, name))
    push = [*PUSH[version], "pulled.yaml", *SECTIONS]
    assert len(run(*push)) == 3, "two subscriptions and a configuration"
    assert is_subscribed("service", "noter") and is_subscribed("extension", "ext-noter")
    assert json.loads(muster.ok("extension", "config", "get", "ext-noter")) == {"level": 2}
    assert run(*push) == [], "what is there is not changed"
