"""A service that answers byte for byte as the Go framework does: checklist 21.1, the items on its dialect."""

import json

import pytest

from api import call
from listener import Answering, Listener
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

    class Handler(Answering):
        def do_POST(self):
            event = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            got.append(event)
            if event["etype"] == "request" and event["data"]["do"] == "panic":
                self.close_connection = True
                return
            body = {"health": HEALTH, "org_install": b'{"success":true,"data":null}'}.get(event["etype"], NOT_IMPLEMENTED)
            if event["etype"] == "request":
                body = ANSWERS[event["data"]["do"]]
            self.say(body, ("Content-Type", "text/plain; charset=utf-8"))

    server = Listener(Handler)
    server.got = got
    yield server
    server.shutdown()


def test_21_1_5_12_15_16_17_the_go_dialect_is_understood(world, client5, service, tmp_path):
    muster, oid = Muster(world, tmp_path), world.server.oid
    muster.ok("service", "register", "go", "--url", service.url, "--allow-private", "--no-secret")
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


# What that framework finds its callback by: compact JSON behind the root id.
INVESTIGATION = 'svc-asks-ex/{"cb":"12ab34cd","j":"go-2","c":{"what":"a/b c ☃","n":[1,null]}}'
ASKS = (
    b'{"success":true,"data":{"version":1,"start_time":1700000000,"calls_in_progress":1,"mtd":{"detect_subscriptions":'
    b'["__svc-asks-ex"],"callbacks":["detection","health","org_install","request"],"request_params":{}}}}'
)
RULE = {
    "detection": json.dumps({"op": "and", "rules": [
        {"op": "starts with", "path": "routing/investigation_id", "value": "svc-asks-ex"},
        {"op": "is", "not": True, "path": "routing/event_type", "value": "CLOUD_NOTIFICATION"},
    ]}),
    "response": json.dumps([{"action": "report", "name": "__svc-asks-ex"}]),
}


def test_21_1_10_an_investigation_id_of_json_comes_back_byte_for_byte(world, tmp_path):
    muster, oid, detections = Muster(world, tmp_path), world.server.oid, []

    class Handler(Answering):
        def do_POST(self):
            event = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            as_service = lambda path, form: call(
                "POST", f"{world.server.url}/v1/{path}", form, {"Authorization": f"bearer {event['jwt']}"}
            ).status
            body = b'{"success":true,"data":null}'
            match event["etype"]:
                case "health":
                    body = ASKS
                case "org_install":
                    rule = {"name": "svc-asks-ex", "is_replace": "true", "is_enabled": "true", "namespace": "managed", **RULE}
                    assert as_service(f"rules/{oid}", rule) == 200
                case "request":
                    task = {"tasks": ["os_version"], "investigation_id": INVESTIGATION}
                    assert as_service(event["data"]["sid"], task) == 200
                    body = b'{"success":true,"data":null,"jobs":[{"id":"go-2","start":1700000000000,"cause":"asked","hist":[]}]}'
                case "detection":
                    detections.append(event["data"])
                    body = b'{"success":true,"data":null,"jobs":[{"id":"go-2","hist":[],"end":1700000000009}]}'
            self.say(body)

    service = Listener(Handler)
    permissions = [part for name in ("dr.list.managed", "dr.set.managed", "sensor.get", "sensor.task") for part in ("--permission", name)]
    muster.ok("service", "register", "asks", "--url", service.url, "--allow-private", "--no-secret", *permissions)
    try:
        muster.ok("service", "health", "asks")
        muster.ok("service", "subscribe", "asks")
        eventually("its rule is there", lambda: "svc-asks-ex" in world.api("GET", f"rules/{oid}?namespace=managed"))
        muster.ok("service", "request", "asks", json.dumps({"sid": world.first.sid}))
        answer = eventually("the answer is there", lambda: [
            one for one in detections if one["routing"]["event_type"] == "OS_VERSION_REP"
        ])[0]
        assert answer["routing"]["investigation_id"] == INVESTIGATION, answer["routing"]
        assert answer["detect"]["routing"]["investigation_id"] == INVESTIGATION
        eventually("the job is closed", lambda: world.api("GET", f"job/{oid}/go-2")["job"].get("stopped"))
    finally:
        muster.run("job", "delete", "go-2", "--yes")
        muster.run("service", "delete", "asks", "--yes")
        world.api.raw("DELETE", f"/v1/rules/{oid}", {"name": "svc-asks-ex", "namespace": "managed"})
        service.shutdown()
