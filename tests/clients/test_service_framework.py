"""The Rust framework, driven by the simulator of the official framework: checklist 21.2 of the service protocol.

The simulator fetches a token from the server and sends it along, so interactive services can keep their rule there.
"""

import json
import os
import subprocess
from pathlib import Path

import pytest

from process import ROOT, Process, eventually, plain_environment, program, python_of

SECRET = "shared-secret-123"
SIMULATION_MAX_S = 90


class Simulator:
    """`python -m lcservice.simulator`, as published, with credentials of one server."""

    def __init__(self, world, folder: Path):
        self.python = python_of("service")
        names = ("LC_OID", "LC_API_KEY", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")
        self.environment = plain_environment(folder) | {name: world.server.environment[name] for name in names}
        # Its line of the SDK knows no other host than the vendor's; the proxy of the server stands in for those.
        proxy = world.server.environment["MUSTER_COMPAT_PROXY"]
        self.environment |= {"https_proxy": proxy, "HTTPS_PROXY": proxy, "NO_PROXY": "127.0.0.1,localhost"}

    def run(self, url: str, action: str, secret: str | None = SECRET, data: dict | None = None):
        argv = [self.python, "-m", "lcservice.simulator", url, action]
        argv += [] if secret is None else ["-s", secret]
        argv += [] if data is None else ["-d", repr(data)]
        return subprocess.run(argv, capture_output=True, text=True, timeout=SIMULATION_MAX_S, env=self.environment)

    def answer(self, url: str, action: str, **more) -> dict:
        result = self.run(url, action, **more)
        assert result.returncode == 0, f"{action}: {result.stdout}\n{result.stderr}"
        return json.loads(result.stdout[result.stdout.index("{"):])


class Service:
    """An example of the framework, on a free port."""

    def __init__(self, world, name: str, folder: Path, **variables: str):
        example = Path(os.environ.get("MUSTER_BIN_DIR", ROOT / "target" / "debug")) / "examples" / name
        folder.mkdir()
        environment = plain_environment(folder / "home") | variables | {
            "LISTEN": "127.0.0.1:0", "LC_API_URL": world.server.environment["LC_API_URL"],
        }
        self.process = Process([str(example)], folder / "service.log", environment)

        def url():
            self.process.check_alive()
            lines = [line for line in self.process.text().splitlines() if line.startswith("listening on ")]
            return lines and lines[0].removeprefix("listening on ")

        self.url = eventually(f"{name} listens", url)


@pytest.fixture(scope="module")
def simulator(world, folder):
    return Simulator(world, folder / "simulator")


@pytest.fixture
def packages(world, tmp_path):
    service = Service(world, "packages", tmp_path / "packages", LC_SHARED_SECRET=SECRET, LC_TRACE="1")
    yield service
    service.process.stop()


def test_21_2_1_health_tells_what_the_service_wants(simulator, packages):
    data = simulator.answer(packages.url, "health")["data"]
    assert data["version"] == 1 and data["calls_in_progress"] >= 1
    callbacks = {"health", "get_resource", "deployment_event", "detection", "org_install", "org_uninstall", "org_per_1h"}
    assert set(data["mtd"]["callbacks"]) == callbacks
    assert data["mtd"]["detect_subscriptions"] == ["__svc-packages-ex"]


def test_21_2_3_another_secret_is_refused(simulator, packages):
    for secret in ("another", None):
        result = simulator.run(packages.url, "health", secret=secret)
        assert result.returncode == 1 and "401" in result.stderr, result.stderr


def test_21_2_4_a_service_without_a_secret_accepts_everything(world, simulator, tmp_path):
    domains = tmp_path / "domains"
    domains.write_bytes(b"evil.com\nbad.net\n")
    service = Service(world, "lookup_publisher", tmp_path / "publisher", DOMAINS=str(domains))
    try:
        wanted = {"resource": "domains", "is_include_data": True}
        data = simulator.answer(service.url, "get_resource", secret=None, data=wanted)["data"]
        assert data == {
            "hash": "75899c04621f1f9dd2afd2d77a6c57500fb99f1082bb17d165fe861876b11f0c", "res_cat": "lookup",
            "res_data": "ZXZpbC5jb20KYmFkLm5ldAo=",
        }
        domains.write_bytes(b"data1")
        assert simulator.answer(service.url, "once_per_1h", secret=None)["success"]
        again = simulator.answer(service.url, "get_resource", secret=None, data=wanted)["data"]
        assert again["hash"] == "5b41362bc82b7f3d56edc5a306db22105707d01ff4819e26faef9724a2d406c9"
        assert service.process.text().count("there is no secret") == 1
    finally:
        service.process.stop()


def test_21_2_8_unknown_events_are_not_implemented(simulator, packages):
    for action in ("request", "sensor_per_1h", "no_such_event"):
        answer = simulator.answer(packages.url, action)
        assert answer == {"success": False, "data": {"error": "not implemented"}, "retry": False}


def test_21_2_14_an_interactive_service_keeps_one_rule_and_takes_it_away(world, simulator, packages):
    def rules():
        return world.api("GET", f"rules/{world.server.oid}?namespace=managed")

    assert simulator.answer(packages.url, "org_install")["success"]
    rule = rules()["svc-packages-ex"]
    assert rule["respond"] == [{"action": "report", "name": "__svc-packages-ex"}]
    assert rule["detect"]["rules"][0]["value"] == "svc-packages-ex"
    # What is there already is not written again.
    assert simulator.answer(packages.url, "org_per_1h")["success"]
    assert rules()["svc-packages-ex"] == rule
    assert simulator.answer(packages.url, "org_uninstall")["success"]
    assert "svc-packages-ex" not in rules()
    assert "eyJ" not in packages.process.text(), "no token in the log, tracing included"


def simulate(folder: Path, *argv: str):
    """`muster … simulate` without credentials, as JSON."""
    return subprocess.run(
        [program("muster"), *argv, "--json"], capture_output=True, text=True, timeout=SIMULATION_MAX_S,
        env=plain_environment(folder / "home"), cwd=folder,
    )


def test_muster_service_simulate_tells_what_the_server_would_do(packages, tmp_path):
    right, wrong = tmp_path / "right", tmp_path / "wrong"
    right.write_text(SECRET + "\n")
    wrong.write_text("another\n")

    def sent(etype: str, *more: str):
        result = simulate(tmp_path, "service", "simulate", packages.url, etype, *more)
        return result.returncode, json.loads(result.stdout)

    code, told = sent("health", "--secret-file", str(right))
    assert (code, told["status"], told["is_done"]) == (0, 200, True)
    assert told["answer"]["data"]["mtd"]["detect_subscriptions"] == ["__svc-packages-ex"]
    code, told = sent("request", "--secret-file", str(right))
    assert code == 1 and "no such events" in told["server"], told
    # Without a token the rule cannot be kept: the service asks for another delivery.
    code, told = sent("org_install", "--secret-file", str(right))
    assert code == 1 and "deliver the event again" in told["server"] and told["reason"], told
    for refused in (["--secret-file", str(wrong)], []):
        code, told = sent("health", *refused)
        assert (code, told["status"]) == (1, 401) and "secrets differ" in told["server"], told
    nobody = simulate(tmp_path, "service", "simulate", "http://127.0.0.1:9", "health")
    assert nobody.returncode != 0 and "nothing answers" in nobody.stderr
    assert simulate(tmp_path, "service", "simulate", packages.url, "health", "--data", "[]").returncode == 4


def test_muster_extension_simulate_sends_every_kind_of_message(world, tmp_path):
    service = Service(world, "greeter_extension", tmp_path / "greeter", LC_SHARED_SECRET=SECRET)
    secret = tmp_path / "secret"
    secret.write_text(SECRET)

    def sent(*argv: str):
        argv = ("extension", "simulate", service.url, *argv, "--secret-file", str(secret))
        result = simulate(tmp_path, *argv)
        return result.returncode, json.loads(result.stdout)["answer"]

    try:
        assert sent("heartbeat")[0] == 0
        code, answer = sent("schema")
        assert code == 0 and answer["data"]["required_events"] == ["update"]
        code, answer = sent("request", "greet", "--data", '{"name": "Ada"}', "--config", '{"greeting": "Hi"}')
        assert code == 0 and answer["data"]["text"] == "Hi, Ada!"
        assert sent("request", "greet", "--data", '{"name": "Ada"}', "--plain")[1]["data"]["text"] == "Hello, Ada!"
        assert sent("event", "update")[0] == 0
        assert sent("error", "lost")[0] == 0
        code, answer = sent("validate", "--config", '{"greeting": ""}')
        assert code == 1 and answer["error"] == "a greeting is not empty"
        code, answer = sent("request", "dance")
        assert code == 1 and answer["error"] == "unknown request action: dance"
    finally:
        service.process.stop()
