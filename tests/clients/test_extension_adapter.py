"""An extension of the official framework (`lcextension` 1.1.10) feeds its events back by its adapter: checklist 19.1.19."""

import json
from pathlib import Path

from process import Process, eventually, free_port, plain_environment, python_of
from test_extension_server import SECRET
from test_service_server import Muster

# Its helpers make the adapter, post to it and take it away, each when it is asked to.
SOURCE = '''
import sys
from wsgiref.simple_server import make_server
from lcextension import *

MAPPING = {"event_type_path": "kind", "investigation_id_path": "case"}


class Feed(Extension):
    def init(self):
        self.requestSchema.Actions = {name: RequestSchema(ShortDescription=name) for name in ("make", "feed", "take")}
        self.configSchema = SchemaObject(Fields={}, Requirements=[])
        self.requestHandlers = {"make": self.make, "feed": self.feed, "take": self.take}
        self.eventHandlers = {}

    def validateConfig(self, sdk, conf):
        pass

    def handleError(self, oid, error):
        pass

    def make(self, sdk, data, conf, state):
        self.create_extension_adapter(sdk, MAPPING)
        return Response()

    def feed(self, sdk, data, conf, state):
        self.send_to_webhook_adapter(sdk, {"kind": "FED", "case": "case/1 \\u00e9", "level": 7})
        return Response()

    def take(self, sdk, data, conf, state):
        self.delete_extension_adapter(sdk)
        return Response()


make_server("127.0.0.1", int(sys.argv[1]), Feed("ext-feed", sys.argv[2]).getApp()).serve_forever()
'''

PERMISSIONS = ["org.get", "ikey.list", "ikey.set", "ikey.del", "cloudsensor.get", "cloudsensor.set", "cloudsensor.del"]


def start(world, folder: Path) -> tuple[Process, str]:
    """The program, with the API of the server where the vendor's would be."""
    folder.mkdir()
    source, port = folder / "feed.py", free_port()
    source.write_text(SOURCE)
    names = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")
    environment = plain_environment(folder / "home") | {name: world.server.environment[name] for name in names}
    proxy = world.server.environment["MUSTER_COMPAT_PROXY"]
    environment |= {"https_proxy": proxy, "HTTPS_PROXY": proxy, "NO_PROXY": "127.0.0.1,localhost"}
    argv = [python_of("extension"), str(source), str(port), SECRET]
    return Process(argv, folder / "feed.log", environment), f"http://127.0.0.1:{port}/"


def test_19_1_19_the_adapter_of_an_extension_is_made_fed_and_taken_away_by_its_own_helpers(world, tmp_path):
    api, oid, muster = world.api, world.server.oid, Muster(world, tmp_path)
    process, url = start(world, tmp_path / "feed")
    secret = tmp_path / "secret"
    secret.write_text(SECRET)
    register = ["extension", "register", "ext-feed", "--url", url, "--allow-private", "--secret-file", str(secret)]
    detect = {"event": "FED", "op": "is", "path": "event/level", "value": 7}
    rule = {"detect": detect, "respond": [{"action": "report", "name": "fed-back"}]}
    try:
        muster.ok(*register, *(part for name in PERMISSIONS for part in ("--permission", name)))
        eventually("it is well", lambda: muster.run("extension", "schema", "ext-feed").returncode == 0)
        muster.ok("extension", "subscribe", "ext-feed")
        api("POST", f"hive/dr-general/{oid}/fed/data", {"data": json.dumps(rule), "usr_mtd": '{"enabled": true}'})
        ask = lambda action: muster.ok("extension", "request", "ext-feed", action, "{}")
        # What is not there is no error to its helper, which reads RECORD_NOT_FOUND.
        ask("take")
        ask("make")
        record = api("GET", f"hive/cloud_sensor/{oid}/ext-feed/data")
        assert record["usr_mtd"]["tags"] == ["lc:system", "ext:ext-feed"], record
        before = api.sids()
        ask("feed")
        ask("feed")
        sids = api.sids() - before
        assert len(sids) == 1, sids
        sid = sids.pop()
        events = api("GET", f"insight/{oid}/{sid}?start=1&end=9999999999")["events"]
        routings = [event["routing"] for event in events if event["routing"]["event_type"] == "FED"]
        assert [routing["investigation_id"] for routing in routings] == ["case/1 é"] * 2, events
        assert routings[0]["hostname"] == "ext-feed" and "ext:ext-feed" in routings[0]["tags"], routings

        def detected():
            told = api("GET", f"insight/{oid}/detections?start=1&end=9999999999&cat=fed-back")
            return len(api.unpacked(told["detects"])) == 2

        eventually("a rule saw both", detected)
        ask("take")
        keys = api("GET", f"installationkeys/{oid}")[oid].values()
        assert not [key for key in keys if "ext-feed" in key["desc"]], keys
        refused = muster.run("extension", "request", "ext-feed", "feed", "{}")
        assert refused.returncode != 0 and "401" in refused.stdout + refused.stderr, refused
        api("DELETE", sid)
    finally:
        api.raw("DELETE", f"/v1/hive/dr-general/{oid}/fed")
        muster.run("extension", "delete", "ext-feed", "--yes")
        process.stop()
