"""The server drives a service of the official framework (`lcservice` 1.8.6, by both transports, and 1.8.0): checklist 21.1."""

import json
import subprocess
from pathlib import Path

import pytest

from process import Process, eventually, free_port, plain_environment, program, python_of

SECRET = "shared-secret-123"

# A service in our own words: it keeps what it gets, a line of JSON each, and does what requests ask for.
SOURCE = '''
import json, sys
from lcservice.service import Service


class Recorder(Service):
    def onStartup(self):
        self.subscribeToDetect("seen")
        self.setRequestParameters({"do": {"type": "str", "desc": "what to do", "is_required": True}})

    def keep(self, request, **more):
        line = {"etype": request.eventType, "mid": request.messageId, "data": request.data, **more}
        with open(sys.argv[1], "a") as kept:
            kept.write(json.dumps(line) + "\\n")

    def onOrgInstalled(self, lc, oid, request):
        self.keep(request, oid=str(oid), has_token=lc is not None)
        return True

    def onOrgUninstalled(self, lc, oid, request):
        self.keep(request, oid=str(oid), has_token=lc is not None)
        return True

    def onRequest(self, lc, oid, request):
        self.keep(request)
        what = request.data["do"]
        if what == "raise":
            raise ValueError("out of paper")
        answers = {"true": True, "false": False, "none": None, "text": "text", "own": {"success": True, "data": {"own": 1}}}
        if what in answers:
            return answers[what]
        return self.response(isSuccess=True, data={"echo": request.data})


recorder, port = Recorder("recorder", sys.argv[3]), int(sys.argv[2])
if sys.argv[4] == "container":
    from lcservice.servers import ServeCherryPy
    ServeCherryPy(recorder, interface="127.0.0.1", port=port)
else:
    import flask
    from wsgiref.simple_server import make_server
    from lcservice.servers import ServeCloudFunction
    app = flask.Flask("recorder")
    app.post("/")(lambda: ServeCloudFunction(recorder, flask.request))
    make_server("127.0.0.1", port, app).serve_forever()
'''


class Service:
    """The program, on a free port."""

    def __init__(self, folder: Path, framework: str = "service", transport: str = "container"):
        folder.mkdir()
        self.kept, source, port = folder / "kept", folder / "recorder.py", free_port()
        source.write_text(SOURCE)
        argv = [python_of(framework), str(source), str(self.kept), str(port), SECRET, transport]
        self.process = Process(argv, folder / "service.log", plain_environment(folder / "home"))
        self.url = f"http://127.0.0.1:{port}/"

    def got(self, etype: str) -> list[dict]:
        lines = self.kept.read_text().splitlines() if self.kept.exists() else []
        return [got for got in map(json.loads, lines) if got["etype"] == etype]


def start_beside_vendor(world, folder: Path, name: str, source: str) -> tuple[Process, Path, str]:
    """A program that finds the server behind the vendor's host names, as it knows no others: its process, what it keeps, its address."""
    kept, path, port = folder / "kept", folder / f"{name}.py", free_port()
    path.write_text(source)
    names = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")
    environment = plain_environment(folder / "home") | {name: world.server.environment[name] for name in names}
    environment |= {"https_proxy": world.server.environment["MUSTER_COMPAT_PROXY"]}
    process = Process([python_of("service"), str(path), str(kept), str(port), SECRET], folder / f"{name}.log", environment)
    return process, kept, f"http://127.0.0.1:{port}/"


class Muster:
    """`muster` with the credentials of one server."""

    def __init__(self, world, folder: Path):
        self.environment = plain_environment(folder / "home") | world.server.environment

    def run(self, *argv: str) -> subprocess.CompletedProcess:
        return subprocess.run([program("muster"), *argv], capture_output=True, text=True, timeout=90, env=self.environment)

    def ok(self, *argv: str) -> str:
        result = self.run(*argv)
        assert result.returncode == 0, f"{argv}: {result.stdout}\n{result.stderr}"
        return result.stdout


# Framework and transport. 21.1.2: the oldest one checks a spelling of its own; 21.1.3: cloud functions look at the type of the body.
DIALECTS = [("service", "container"), ("service", "cloud function"), ("service-1.8.0", "container")]


@pytest.fixture(params=DIALECTS, ids=" ".join)
def recorder(request, tmp_path):
    service = Service(tmp_path / "recorder", *request.param)
    yield service
    service.process.stop()


@pytest.fixture
def muster(world, tmp_path):
    return Muster(world, tmp_path)


def test_21_1_a_service_of_the_official_framework_from_registration_to_its_end(world, recorder, muster, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text(SECRET + "\n")
    register = ["service", "register", "recorder", "--url", recorder.url, "--allow-private", "--permission", "org.get"]
    assert muster.run(*register).returncode == 4, "with a secret, or expressly without one"
    muster.ok(*register, "--secret-file", str(secret))

    # 21.1.5: what it says of itself is understood. It may still be starting.
    def health():
        result = muster.run("service", "health", "recorder")
        return result.returncode == 0 and json.loads(result.stdout)

    said = eventually("the service is well", health)
    assert said["detect_subscriptions"] == ["seen"] and "request" in said["callbacks"], said
    assert said["request_params"]["do"]["is_required"] is True

    # 21.1.7: both ends of a subscription, with an organization and a token.
    muster.ok("service", "subscribe", "recorder")
    told = eventually("it is told of the subscription", lambda: recorder.got("org_install"))
    assert told[0]["oid"] == world.server.oid and told[0]["has_token"], told
    assert json.loads(muster.ok("service", "list", "--json"))["recorder"]["is_subscribed"]

    # 21.1.2, 21.1.12, 21.1.23, 21.1.24: what it answers is classified, and data comes through as it is.
    answer = json.loads(muster.ok("service", "request", "recorder", '{"do": "echo", "text": "h\\u00e9llo ☃ \U0001f600", "n": 1}'))
    assert answer == {"echo": {"do": "echo", "text": "héllo ☃ \U0001f600", "n": 1}}
    assert json.loads(muster.ok("service", "request", "recorder", '{"do": "true"}')) == {}
    assert json.loads(muster.ok("service", "request", "recorder", '{"do": "text"}')) == {}
    assert json.loads(muster.ok("service", "request", "recorder", '{"do": "own"}')) == {"own": 1}
    for data, reason in [
        ('{"do": "false"}', "no reason"), ('{"do": "none"}', "no reason"), ('{"do": "raise"}', "out of paper"),
        ("{}", "missing parameter do"), ('{"do": 1}', "invalid parameter do: wrong data type"),
    ]:
        refused = muster.run("service", "request", "recorder", data)
        assert refused.returncode != 0 and reason in refused.stderr, (data, refused.stderr)
    mid = json.loads(muster.ok("service", "request", "recorder", '{"do": "true"}', "--async"))["mid"]
    eventually("it is asked later", lambda: [got for got in recorder.got("request") if got["mid"] == mid])

    # 21.1.12: what failed for good is kept, and can be delivered again under the same id.
    mid = json.loads(muster.ok("service", "request", "recorder", '{"do": "false"}', "--async"))["mid"]

    def failed():
        kept = json.loads(muster.ok("service", "deliveries", "recorder", "--failed", "--json"))["deliveries"]
        return [one for one in kept if one["mid"] == mid]

    eventually("it is given up", failed)
    muster.ok("service", "redeliver", mid)
    eventually("it comes again", lambda: len([got for got in recorder.got("request") if got["mid"] == mid]) == 2)

    muster.ok("service", "unsubscribe", "recorder")
    told = eventually("it is told of the end", lambda: recorder.got("org_uninstall"))
    assert told[0]["has_token"], told
    muster.ok("service", "delete", "recorder", "--yes")
    assert json.loads(muster.ok("service", "list", "--json")) == {}


def test_21_1_14_another_secret_is_told_and_nothing_is_sent(recorder, muster, tmp_path):
    wrong = tmp_path / "wrong"
    wrong.write_text("another")
    muster.ok("service", "register", "wrong", "--url", recorder.url, "--allow-private", "--secret-file", str(wrong))

    def refused():
        result = muster.run("service", "health", "wrong")
        return "refuses the signature" in result.stderr

    eventually("the signature is refused", refused)
    muster.ok("service", "delete", "wrong", "--yes")
