"""Rules ask a service of the official framework for something, many at once: checklist 21.1."""

import json
import urllib.parse

from api import call
from process import eventually
from test_service_server import SECRET, Muster, Service

# As many as the framework has threads, and some.
AT_ONCE = 60


def test_21_1_22_26_27_rules_ask_a_service_and_many_requests_at_once_are_all_done(world, tmp_path):
    api, oid = world.api, world.server.oid
    recorder, muster, secret = Service(tmp_path / "recorder"), Muster(world, tmp_path), tmp_path / "secret"
    secret.write_text(SECRET)
    try:
        muster.ok("service", "register", "recorder", "--url", recorder.url, "--allow-private", "--secret-file", str(secret))
        eventually("the service is well", lambda: muster.run("service", "health", "recorder").returncode == 0)
        muster.ok("service", "subscribe", "recorder")

        # 21.1.22: values are looked up, rendered, or taken as they stand; and based on a report, in the detection.
        ask = {"action": "service request", "name": "recorder"}
        of_event = {"do": "echo", "as": "it stands", "looked": "<<entity/name>>", "rendered": "{{ .etype }}!", "n": [1, True]}
        of_report = {"do": "echo", "looked": "<<cat>>", "rendered": "{{ .detect.entity.name }}"}
        respond = [
            {**ask, "request": of_event}, {"action": "report", "name": "asks-of-report"},
            {**ask, "request": of_report, "based on report": True},
        ]
        detect = {"target": "audit", "event": "user_action", "op": "is", "path": "entity/name", "value": "asked"}
        rule = {"data": json.dumps({"detect": detect, "respond": respond}), "usr_mtd": '{"enabled": true}'}
        api("POST", f"hive/dr-general/{oid}/asks/data", rule)
        api("POST", f"hive/secret/{oid}/asked/data", {"data": '{"secret": "x"}'})
        eventually("both requests came", lambda: len(recorder.got("request")) == 2)
        got = {got["data"]["looked"]: got["data"] for got in recorder.got("request")}
        assert got["asked"] == {**of_event, "looked": "asked", "rendered": "user_action!"}, got
        assert got["asks-of-report"] == {**of_report, "looked": "asks-of-report", "rendered": "asked"}, got
        api("DELETE", f"hive/dr-general/{oid}/asks")

        # 21.1.26
        request = {"request_data": json.dumps({"do": "echo"}), "is_async": "true"}
        mids = {api("POST", f"service/{oid}/recorder", request)["mid"] for _ in range(AT_ONCE)}
        eventually("all are done", lambda: mids <= {got["mid"] for got in recorder.got("request")})
        eventually("nothing waits", lambda: json.loads(muster.ok("service", "deliveries", "recorder", "--json"))["deliveries"] == [])

        # 21.1.23: any letter case says whether the caller waits.
        for word in ("True", "TRUE", "true"):
            path = f"service/{oid}/recorder?{urllib.parse.urlencode(request | {'is_async': word})}"
            assert set(api("POST", path)) == {"mid"}, word
        # 21.1.27: published clients ask who they are in two places.
        for place in ("/who", "/v1/who"):
            answer = call("GET", world.server.url + place, headers={"Authorization": f"bearer {api.token}"})
            assert answer.status == 200 and answer.json["orgs"] == [oid] and "org.get" in answer.json["perms"], place
    finally:
        muster.run("service", "delete", "recorder", "--yes")
        recorder.process.stop()
