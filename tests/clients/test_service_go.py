"""A service that answers byte for byte as the Go framework does: checklist 21.1, the items on its dialect."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from process import eventually
from test_service_server import Muster

# As that framework writes them: compact, `null` where there is nothing, `retry` only when it is true.
HEALTH = (
    b'{"success":true,"data":{"version":1,"start_time":1700000000,"calls_in_progress":1,"mtd":{"detect_subscriptions":null,'
    b'"callbacks":["health","org_install","request"],"request_params":{"what":{"type":"uuid","desc":"what","is_required":false,'
    b'"index":1}},"commands":{"hello":{"name":"hello","desc":"says hello","args":{}}}}}}'
)
NOT_IMPLEMENTED = b'{"success":false,"error":"not implemented","data":null}'
ANSWERS = {
    "done": b'{"success":true,"data":{"n":1}}',
    "nothing": b'{"success":true,"data":null}',
    "failed": b'{"success":false,"error":"invalid format: no what","data":null}',
    "half": b'{"success":true,"error":"half of it","data":null}',
    "job": b'{"success":true,"data":null,"jobs":[{"id":"go-1","start":1700000000000,"cause":"asked","sid":[],"hist":['
    b'{"ts":1700000000001,"msg":"looked","attachments":[{"att_type":"hex_dump","caption":"bytes","data":"AAEC"},'
    b'{"att_type":"table","caption":"t","headers":["a"],"rows":[["1"]]},'
    b'{"att_type":"yaml","caption":"labelled by mistake","data":"{\\n  \\"a\\": 1\\n}"},'
    b'{"att_type":"picture","caption":"unknown","data":"..."}],"is_important":false}]}]}',
    "end": b'{"success":true,"data":null,"jobs":[{"id":"go-1","hist":[],"end":1700000000009}]}',
}


@pytest.fixture
def service():
    got = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            event = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            got.append(event)
            if event["etype"] == "request" and event["data"]["do"] == "panic":
                self.close_connection = True
                return
            body = {"health": HEALTH, "org_install": b'{"success":true,"data":null}'}.get(event["etype"], NOT_IMPLEMENTED)
            if event["etype"] == "request":
                body = ANSWERS[event["data"]["do"]]
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.got = got
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()


def test_21_1_5_12_15_16_17_the_go_dialect_is_understood(world, client5, service, tmp_path):
    muster, oid = Muster(world, tmp_path), world.server.oid
    url = f"http://127.0.0.1:{service.server_port}/"
    muster.ok("service", "register", "go", "--url", url, "--allow-private", "--no-secret")
    # 21.1.5
    said = json.loads(muster.ok("service", "health", "go"))
    assert said["detect_subscriptions"] == [] and said["commands"]["hello"]["desc"] == "says hello", said
    assert said["request_params"]["what"]["type"] == "uuid", said
    muster.ok("service", "subscribe", "go")
    eventually("it is told", lambda: [event for event in service.got if event["etype"] == "org_install"])
    # 21.1.6: it has no callback for the end, so nothing is sent.
    ask = lambda do: muster.run("service", "request", "go", json.dumps({"do": do}))
    # 21.1.12, 21.1.15
    assert json.loads(ask("done").stdout) == {"n": 1} and json.loads(ask("nothing").stdout) == {}
    for do, reason in [("failed", "invalid format: no what"), ("panic", "")]:
        refused = ask(do)
        assert refused.returncode != 0 and reason in refused.stderr, (do, refused.stderr)
    # 21.1.16
    assert json.loads(ask("half").stdout) == {}
    errors = world.api("GET", f"errors/{oid}")["errors"]
    assert [error["error"] for error in errors if error["component"] == "service/go"] == ["half of it"], errors
    # 21.1.17
    assert ask("job").returncode == 0 and ask("end").returncode == 0
    job = world.api("GET", f"job/{oid}/go-1")["job"]
    attachments = job["record"]["hist"][0]["attachments"]
    assert [attachment["att_type"] for attachment in attachments] == ["hex_dump", "table", "yaml", "picture"], attachments
    assert attachments[0]["data"] == "AAEC" and job["stopped"] == 1_700_000_000_009, job
    # The official client sees, and takes away, the same.
    shown = client5.run("--output", "json", "job", "get", "--id", "go-1")
    assert str(job["stopped"]) in shown.stdout, shown
    assert client5.run("job", "wait", "--id", "go-1", "--timeout", "20").code == 0
    assert client5.run("job", "delete", "--id", "go-1", "--confirm").code == 0
    assert client5.run("job", "get", "--id", "go-1").code == 3
    assert client5.run("org", "dismiss-error", "--component", "service/go").code == 0
    assert "service/go" not in {error["component"] for error in world.api("GET", f"errors/{oid}")["errors"]}
    muster.ok("service", "unsubscribe", "go")
    shown = lambda: json.loads(muster.ok("service", "get", "go", "--json"))
    eventually("its end is over", lambda: "service/go" not in json.dumps(world.api("GET", f"orgs/{oid}/keys")))
    assert not shown()["is_subscribed"] and "org_uninstall" not in {event["etype"] for event in service.got}
    muster.ok("service", "delete", "go", "--yes")
