"""The server drives an extension of the official framework (`lcextension` 1.1.10), and people use it by the official client: checklist 19.1."""

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from process import Process, eventually, free_port, plain_environment, python_of
from test_service_server import Muster

SECRET = "extension-secret-0123456789abcdef"

# An extension in our own words: it keeps what it gets, a line of JSON each, and does what requests ask for.
SOURCE = '''
import json, sys
from wsgiref.simple_server import make_server
from lcextension import *


class Recorder(Extension):
    def init(self):
        text = lambda kind, **more: SchemaElement(DataType=kind, Label="l", Description="d", **more)
        fields = {"do": text("string"), "count": text("integer", DefaultValue=3), "key": text("secret")}
        parameters = SchemaObject(Fields=fields, Requirements=[["do"]])
        self.requestSchema.Actions = {
            "act": RequestSchema(ShortDescription="acts", ParameterDefinitions=parameters),
            "as-me": RequestSchema(ShortDescription="acts as the caller", IsImpersonated=True),
        }
        self.configSchema = SchemaObject(Fields={"level": text("integer")}, Requirements=[])
        self.requestHandlers = {"act": self.act, "as-me": self.as_me}
        self.eventHandlers = {name: self.event(name) for name in ("subscribe", "unsubscribe", "update")}
        self.requiredEvents = ["subscribe", "unsubscribe"] if sys.argv[4] == "events" else []

    def keep(self, what, **more):
        with open(sys.argv[1], "a") as kept:
            kept.write(json.dumps({"what": what, **more}) + "\\n")

    def event(self, name):
        def handle(sdk, data, conf):
            self.keep(name, oid=sdk._oid, conf=conf)
            return Response()
        return handle

    def validateConfig(self, sdk, conf):
        self.keep("validate", conf=conf)
        if conf.get("level") == 9:
            raise ValueError("level 9 is too much")

    def handleError(self, oid, error):
        self.keep("error", oid=oid, error=error)

    def act(self, sdk, data, conf, state):
        self.keep("act", data=data, conf=conf)
        if data["do"] == "raise":
            raise ValueError("out of paper")
        if data["do"] == "never":
            return Response(error="never", is_retriable=False)
        if data["do"] == "more":
            return Response(continuations=[ContinuationRequest(in_delay_sec=0, action="act", state={"do": "later"})])
        return Response(data={"echo": data})

    def as_me(self, sdk, data, conf, state):
        self.keep("as-me", parts=sdk._jwt.count(".") + 1)
        return Response(data={})


extension = Recorder("ext-recorder", sys.argv[3])
make_server("127.0.0.1", int(sys.argv[2]), extension.getApp()).serve_forever()
'''


class Extension:
    """The program, on a free port."""

    def __init__(self, folder: Path, kind: str = "events"):
        folder.mkdir()
        self.kept, source, port = folder / "kept", folder / "recorder.py", free_port()
        source.write_text(SOURCE)
        argv = [python_of("extension"), str(source), str(self.kept), str(port), SECRET, kind]
        self.process = Process(argv, folder / "extension.log", plain_environment(folder / "home"))
        self.url = f"http://127.0.0.1:{port}/"

    def got(self, what: str) -> list[dict]:
        lines = self.kept.read_text().splitlines() if self.kept.exists() else []
        return [got for got in map(json.loads, lines) if got["what"] == what]


@pytest.fixture
def muster(world, tmp_path):
    return Muster(world, tmp_path)


@pytest.fixture
def recorder(tmp_path):
    extension = Extension(tmp_path / "recorder")
    yield extension
    extension.process.stop()


def register(muster, extension, tmp_path) -> None:
    secret = tmp_path / "secret"
    secret.write_text(SECRET + "\n")
    muster.ok("extension", "register", "ext-recorder", "--url", extension.url, "--allow-private", "--permission", "org.get",
              "--secret-file", str(secret))

    def is_well():
        result = muster.run("extension", "schema", "ext-recorder")
        return result.returncode == 0 and json.loads(result.stdout)

    schema = eventually("the extension is well", is_well)
    # 19.1.2: nulls everywhere are understood.
    assert set(schema["request_schema"]) == {"act", "as-me"} and schema["request_schema"]["as-me"]["is_impersonated"], schema


def test_19_1_an_extension_of_the_official_framework_from_registration_to_its_end(world, recorder, muster, client5, tmp_path):
    register(muster, recorder, tmp_path)

    def client(*argv):
        result = client5.run(*argv)
        assert result.code == 0, result
        return result

    # 19.1.4: the official client subscribes, and the extension hears of both ends.
    client("extension", "subscribe", "--name", "ext-recorder")
    told = eventually("it is told of the subscription", lambda: recorder.got("subscribe"))
    assert told[0]["oid"] == world.server.oid and told[0]["conf"] == {}, told
    assert "ext-recorder" in client("extension", "list").stdout

    # 19.1.1, 19.1.21: the official client packs what it sends, and the extension got it packed and signed.
    answer = client("extension", "request", "--name", "ext-recorder", "--action", "act", "--data", '{"do": "héllo ☃"}').json
    assert answer["data"] == {"echo": {"do": "héllo ☃", "count": 3}}, answer
    answer = json.loads(muster.ok("extension", "request", "ext-recorder", "act", '{"do": "it", "count": 1}'))
    assert answer == {"echo": {"do": "it", "count": 1}}

    # 19.1.7: what the schema refuses does not reach it.
    before = len(recorder.got("act"))
    for action, data, reason in [
        ("undo", "{}", "unknown request action: undo"), ("act", "{}", "missing one of do"),
        ("act", '{"do": 1}', "invalid value for do"), ("act", '{"do": "a", "why": 1}', "unknown parameter name: why"),
    ]:
        refused = muster.run("extension", "request", "ext-recorder", action, data)
        assert refused.returncode != 0 and reason in refused.stderr, (data, refused.stderr)
    assert len(recorder.got("act")) == before

    # 19.1.11: the framework answers 503 to what it calls final, and to what it does not.
    refused = muster.run("extension", "request", "ext-recorder", "act", '{"do": "never"}')
    assert refused.returncode != 0 and "never" in refused.stderr
    assert len(recorder.got("act")) == before + 1, "what is final is not tried again"
    refused = muster.run("extension", "request", "ext-recorder", "act", '{"do": "raise"}')
    assert refused.returncode != 0 and "out of paper" in refused.stderr
    assert len(recorder.got("act")) == before + 4, "19.1.12: three attempts"
    eventually("the extension is told of errors", lambda: [got for got in recorder.got("error") if got["error"] == "out of paper"])

    # 19.1.5, 19.1.6: configuration.
    config = tmp_path / "config.json"
    config.write_text('{"level": 9}')
    refused = muster.run("extension", "config", "set", "ext-recorder", str(config))
    assert refused.returncode != 0 and "level 9 is too much" in refused.stderr, refused.stderr
    config.write_text('{"level": 2}')
    muster.ok("extension", "config", "set", "ext-recorder", str(config))
    assert json.loads(muster.ok("extension", "config", "get", "ext-recorder")) == {"level": 2}

    # 19.1.9: a secret arrives as its value.
    muster_secret = tmp_path / "record.json"
    muster_secret.write_text('{"secret": "s3same"}')
    client("hive", "set", "--hive-name", "secret", "--key", "door", "--input-file", str(muster_secret))
    muster.ok("extension", "request", "ext-recorder", "act", '{"do": "open", "key": "hive://secret/door"}')
    opened = [got for got in recorder.got("act") if got["data"]["do"] == "open"]
    assert opened[0]["data"]["key"] == "s3same" and opened[0]["conf"] == {"level": 2}, opened

    # 19.1.10: an impersonated action gets a token.
    muster.ok("extension", "request", "ext-recorder", "as-me")
    assert recorder.got("as-me") == [{"what": "as-me", "parts": 3}]

    # 19.1.17: what is to be called later is called later.
    muster.ok("extension", "request", "ext-recorder", "act", '{"do": "more"}')
    eventually("the continuation is called", lambda: [got for got in recorder.got("act") if got["data"] == {"do": "later"}])

    client("extension", "rekey", "--name", "ext-recorder")
    client("extension", "unsubscribe", "--name", "ext-recorder")
    eventually("it is told of the end", lambda: recorder.got("unsubscribe"))
    muster.ok("extension", "delete", "ext-recorder", "--yes")
    assert json.loads(muster.ok("extension", "list", "--json")) == {}


def test_19_1_3_an_extension_that_lists_no_events_gets_none(muster, tmp_path):
    silent = Extension(tmp_path / "silent", "none")
    try:
        register(muster, silent, tmp_path)
        muster.ok("extension", "subscribe", "ext-recorder")
        muster.ok("extension", "request", "ext-recorder", "act", '{"do": "it"}')
        muster.ok("extension", "unsubscribe", "ext-recorder")
        muster.ok("extension", "delete", "ext-recorder", "--yes")
        assert silent.got("subscribe") == [] and silent.got("unsubscribe") == []
    finally:
        silent.process.stop()


class GoDialect(BaseHTTPRequestHandler):
    """Answers a heartbeat byte for byte as the Go framework does, or with the status that the path says."""

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        status = int(self.path.strip("/") or 200)
        self.send_response(status)
        self.send_header("content-type", "text/plain; charset=utf-8")
        self.send_header("content-length", "3")
        self.end_headers()
        self.wfile.write(b"{}\n")

    def log_message(self, *_):
        pass


def test_19_1_22_a_heartbeat_is_taken_from_both_frameworks_by_its_status_alone(muster, recorder, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text(SECRET)
    go = HTTPServer(("127.0.0.1", 0), GoDialect)
    threading.Thread(target=go.serve_forever, daemon=True).start()

    def told(url: str, kind: str) -> tuple[int, dict]:
        result = muster.run("extension", "simulate", url, kind, "--secret-file", str(secret), "--json")
        # Nothing is written as long as nobody listens there.
        return result.returncode, json.loads(result.stdout or "null")

    try:
        eventually("the official framework is well", lambda: told(recorder.url, "heartbeat")[0] == 0)
        url = f"http://127.0.0.1:{go.server_port}"
        assert told(url, "heartbeat")[0] == 0
        assert told(url, "schema")[0] == 1, "what any other message would be told by this is not known"
        code, answer = told(f"{url}/500", "heartbeat")
        assert (code, answer["status"]) == (1, 500), answer
    finally:
        go.shutdown()
