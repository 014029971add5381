"""The server is killed while a thousand detections go to a service that fails one call in three."""

import hashlib
import hmac
import json
import threading
import time
import zlib
from collections import defaultdict

from api import Api
from listener import Answering, Listener
from process import eventually
from test_service_server import Muster

SECRET = "shared-secret-123"
# What one change causes: a rule reports so many detections of it.
NAMES = [f"killed-{number}" for number in range(5)]
DETECTIONS = 1_000
KILLS = 3


class Receiver:
    """A service that fails the first call of every second message, so one call in three, in turn by each way there is to fail."""

    def __init__(self):
        self.tries, self.done, self.problems = defaultdict(list), {}, []
        lock, outer = threading.Lock(), self

        class Handler(Answering):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                event = json.loads(body)
                if event["etype"] == "health":
                    metadata = {"callbacks": ["health", "detection"], "detect_subscriptions": NAMES, "request_params": {}}
                    return self.answer({"success": True, "data": {"version": 1, "mtd": metadata}})
                expected = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
                if self.headers["lc-svc-sig"] != expected:
                    outer.problems.append("a signature is wrong")
                mid, detect_id = event["mid"], event["data"]["detect_id"]
                with lock:
                    if mid not in outer.tries[detect_id]:
                        outer.tries[detect_id].append(mid)
                        is_failing = zlib.crc32(mid.encode()) % 2 == 0
                    else:
                        is_failing = False
                if is_failing and zlib.crc32(mid.encode()) % 4 == 0:
                    return self.answer({"success": False, "retry": True, "data": {}})
                if is_failing:
                    return self.send_error(500)
                with lock:
                    outer.done.setdefault(detect_id, 0)
                    outer.done[detect_id] += 1
                self.answer({"success": True, "data": {}})

            def answer(self, said):
                self.say(json.dumps(said).encode())

        self.server = Listener(Handler)
        self.url = self.server.url


def stored(server, api) -> set[str]:
    """Ids of the detections that the server has stored."""
    found, cursor = set(), "-"
    while cursor:
        path = f"insight/{server.oid}/detections?start=1&end={int(time.time()) + 60}&is_compressed=true&limit=1000&cursor={cursor}"
        page = api("GET", path)
        found |= {one["detect_id"] for one in api.unpacked(page["detects"])}
        cursor = page.get("next_cursor")
    return found


def test_detections_outlive_three_kills_each_delivered_at_least_once_under_one_id(lone_server, tmp_path):
    server, receiver = lone_server, Receiver()
    api, muster = Api(server), Muster(type("World", (), {"server": server}), tmp_path)
    secret = tmp_path / "secret"
    secret.write_text(SECRET)
    muster.ok("service", "register", "receiver", "--url", receiver.url, "--allow-private", "--secret-file", str(secret))
    muster.ok("service", "health", "receiver")
    muster.ok("service", "subscribe", "receiver")
    detect = {"target": "audit", "event": "user_action", "op": "is", "path": "mtd/action", "value": "set_hive_record"}
    rule = {"detect": detect, "respond": [{"action": "report", "name": name} for name in NAMES]}
    api("POST", f"hive/dr-general/{server.oid}/killed/data", {"data": json.dumps(rule), "usr_mtd": '{"enabled": true}'})

    number, kills = 0, 0
    while kills < KILLS or len(stored(server, api)) < DETECTIONS:
        # In the midst of changes, and while some of what was told is to be tried again.
        for number in range(number, number + DETECTIONS // len(NAMES) // KILLS + 1):
            api("POST", f"hive/secret/{server.oid}/s{number}/data", {"data": '{"secret": "x"}'})
        number += 1
        if kills < KILLS:
            server.process.child.kill()
            server.process.child.wait()
            server.start()
            api, kills = Api(server), kills + 1
    detections = stored(server, api)
    eventually("each is delivered", lambda: detections <= receiver.done.keys(), 120)
    detections = stored(server, api)
    doubled = {detect_id: mids for detect_id, mids in receiver.tries.items() if len(mids) != 1}
    assert not doubled, "a detection comes under one id, however often it is tried"
    assert not receiver.problems, receiver.problems
    unknown = receiver.tries.keys() - detections
    assert not unknown, "nothing is told that is not stored"
    deliveries = lambda: json.loads(muster.ok("service", "deliveries", "receiver", "--json"))
    eventually("nothing waits", lambda: deliveries()["deliveries"] == [], 60)
    assert deliveries()["dropped"] == 0
