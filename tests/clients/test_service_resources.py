"""Rules look into what services publish, `lcr://service/NAME/CONTENT`: checklist 21.1, items 18 and 19."""

import base64
import hashlib
import json
from pathlib import Path

import pytest

from api import Api
from listener import Answering, Listener
from process import Process, eventually, free_port, plain_environment, python_of
from test_service_framework import Service as Example
from test_service_server import SECRET, Muster

# A service of the official framework that publishes what a file holds, anew each time that it is asked to.
SOURCE = '''
import sys
from lcservice.service import Service
from lcservice.servers import ServeCherryPy


class Intel(Service):
    def onStartup(self):
        for name in ("one", "two"):
            self.publishResource(name, "lookup", open(sys.argv[1] + "/" + name, "rb").read())

    def onRequest(self, lc, oid, request):
        self.onStartup()
        return True


ServeCherryPy(Intel("intel", sys.argv[3]), interface="127.0.0.1", port=int(sys.argv[2]))
'''


class Intel:
    """The program, on a port that it keeps."""

    def __init__(self, folder: Path):
        self.folder, self.port = folder, free_port()
        folder.mkdir()
        (folder / "intel.py").write_text(SOURCE)
        self.url = f"http://127.0.0.1:{self.port}/"

    def start(self):
        argv = [python_of("service"), str(self.folder / "intel.py"), str(self.folder), str(self.port), SECRET]
        self.process = Process(argv, self.folder / "intel.log", plain_environment(self.folder / "home"))


class Rule:
    """A rule on changes of secrets whose name is in a lookup; it tags the record that it found."""

    def __init__(self, server, reference: str):
        self.server, self.api, self.reference = server, Api(server), reference

    def body(self, **more) -> dict:
        detect = {"target": "audit", "event": "user_action", "op": "lookup", "path": "entity/name", "resource": self.reference}
        found = {"action": "add hive tag", "hive name": "secret", "record name": "{{ .entity.name }}", "tag": "found"}
        return {"detect": detect, "respond": [found], **more}

    def set(self, **more):
        form = {"data": json.dumps(self.body(**more)), "usr_mtd": '{"enabled": true}'}
        return self.api.raw("POST", f"/v1/hive/dr-general/{self.server.oid}/looks/data", form)

    def touch(self, name: str):
        self.api("POST", f"hive/secret/{self.server.oid}/{name}/data", {"data": '{"secret": "x"}'})

    def finds(self, name: str) -> bool:
        return "found" in self.api("GET", f"hive/secret/{self.server.oid}/{name}/mtd")["usr_mtd"]["tags"]

    def errors(self, component: str) -> str:
        told = self.api("GET", f"errors/{self.server.oid}")["errors"]
        return next((one["error"] for one in told if one["component"] == component), "")


def registered(muster: Muster, name: str, url: str, secret: Path | None = None):
    key = ["--secret-file", str(secret)] if secret else ["--no-secret"]
    muster.ok("service", "register", name, "--url", url, "--allow-private", *key)
    eventually(f"{name} is well", lambda: muster.run("service", "health", name).returncode == 0)


def test_21_1_18_19_a_rule_looks_into_what_a_service_publishes_and_goes_on_without_it(lone_server, tmp_path):
    server, intel = lone_server, Intel(tmp_path / "intel")
    muster, rule = Muster(type("World", (), {"server": server}), tmp_path), Rule(server, "lcr://service/intel/one,two")
    secret = tmp_path / "secret"
    secret.write_text(SECRET)
    (intel.folder / "one").write_bytes(b"evil.com\nbad.net\n")
    (intel.folder / "two").write_bytes(b'{"scored.org": {"score": 9}}')
    # A rule with tests is refused while what it names is not there.
    event = {"etype": "user_action", "entity": {"name": "bad.net"}}
    tests = {"match": [[event]]}
    refused = rule.set(tests=tests)
    assert refused.status == 400 and b"is not available" in refused.body, refused.body
    intel.start()
    try:
        registered(muster, "intel", intel.url, secret)
        # It is asked before the rule is judged, for both at once; no subscription is needed.
        accepted = rule.set(tests=tests)
        assert accepted.status == 200, accepted.body
        for name in ("evil.com", "scored.org", "new.com"):
            rule.touch(name)
        eventually("both contents are looked into", lambda: rule.finds("evil.com") and rule.finds("scored.org"))
        assert not rule.finds("new.com")

        # Changed content is taken over.
        (intel.folder / "one").write_bytes(b"new.com\n")
        muster.ok("service", "subscribe", "intel")
        muster.ok("service", "request", "intel", "{}")
        muster.ok("service", "health", "intel")

        def found():
            rule.touch("new.com")
            return rule.finds("new.com")

        eventually("the new content is looked into", found)
    finally:
        intel.process.stop()

    # Without the service, and after a restart, the last content is in force; why it is not fresh is told.
    server.stop()
    server.start()
    rule.api = Api(server)
    rule.touch("new.com")
    eventually("the content outlives a restart", lambda: rule.finds("new.com"))
    eventually("it is told", lambda: "what it published last is in force" in rule.errors("service/intel"))
    muster.ok("service", "delete", "intel", "--yes")
    rule.touch("late.com")
    assert not rule.finds("late.com")


def test_21_1_19_the_example_of_the_rust_framework_publishes_a_lookup(world, tmp_path):
    domains, muster = tmp_path / "domains", Muster(world, tmp_path)
    domains.write_bytes(b"evil.com\nbad.net\n")
    publisher = Example(world, "lookup_publisher", tmp_path / "publisher", DOMAINS=str(domains))
    rule = Rule(world.server, "lcr://service/lookup-publisher/domains")
    try:
        registered(muster, "lookup-publisher", publisher.url)
        assert rule.set().status == 200
        rule.touch("bad.net")
        eventually("it is looked into", lambda: rule.finds("bad.net"))
        shown = world.api("GET", f"services/{world.server.oid}/lookup-publisher")["resources"]["domains"]
        assert shown == {"hash": hashlib.sha256(domains.read_bytes()).hexdigest(), "category": "lookup", "bytes": 17}
    finally:
        world.api("DELETE", f"hive/dr-general/{world.server.oid}/looks")
        muster.run("service", "delete", "lookup-publisher", "--yes")
        publisher.process.stop()


# More than is taken of one content.
LARGE = b"x" * ((4 << 20) + 1)
LOOKUP = b"evil.com\n"
DETECTION = b"event: user_action\nop: is\npath: entity/name\nvalue: VALUE\n"


class Publisher:
    """Publishes whatever a test puts into `contents`: category, content, and the digest that it tells."""

    def __init__(self):
        self.contents, self.asked = {}, []
        outer = self

        class Handler(Answering):
            def do_POST(self):
                event = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if event["etype"] == "health":
                    return self.answer({"version": 1, "mtd": {"callbacks": ["health", "get_resource"]}})
                outer.asked.append(event["data"])
                names, with_data = event["data"]["resource"], event["data"]["is_include_data"]
                # As the published framework: a name that it has not takes all others away, and asks for another try.
                if any(name not in outer.contents for name in ([names] if isinstance(names, str) else names)):
                    return self.answer({"exception": "TypeError"}, success=False, retry=True)
                one = lambda name: outer.told(name, with_data)
                self.answer(one(names) if isinstance(names, str) else {"resources": {name: one(name) for name in names}})

            def answer(self, data, **more):
                self.say(json.dumps({"success": True, "data": data, **more}).encode())

        self.server = Listener(Handler)

    def told(self, name: str, with_data: bool) -> dict:
        category, content, digest = self.contents[name]
        told = {"hash": digest or hashlib.sha256(content).hexdigest(), "res_cat": category}
        return told | ({"res_data": base64.b64encode(content).decode()} if with_data else {})


@pytest.fixture
def publisher(world, tmp_path):
    publisher, muster = Publisher(), Muster(world, tmp_path)
    registered(muster, "publisher", publisher.server.url)
    publisher.muster = muster
    yield publisher
    world.api("DELETE", f"hive/dr-general/{world.server.oid}/looks")
    muster.ok("service", "delete", "publisher", "--yes")
    publisher.server.shutdown()


REFUSED = {
    "large": (("lookup", LARGE, None), "4194304 are taken"), "forged": (("lookup", LOOKUP, "0" * 64), "other content"),
    "binary": (("lookup", b"\xff\xfe", None), "no text"), "broken": (("detect", b"a: [", None), "no YAML"),
    "unknown": (None, "TypeError"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_21_1_18_content_that_must_not_be_taken_is_refused_and_takes_no_other_with_it(world, publisher, name):
    content, reason = REFUSED[name]
    publisher.contents = {"good": ("lookup", LOOKUP, None)} | ({name: content} if content else {})
    rule = Rule(world.server, f"lcr://service/publisher/good,{name}")
    assert rule.set().status == 200, "a rule may come before what it names"
    rule.touch("evil.com")
    eventually("the good one is looked into", lambda: rule.finds("evil.com"))
    eventually("the other one is told", lambda: reason in rule.errors("service/publisher"))
    calls = [asked for asked in publisher.asked if name in asked["resource"]]
    assert len(calls) < 20, "the number of tries is bounded"
    shown = world.api("GET", f"services/{world.server.oid}/publisher")["resources"]
    assert set(shown) == {"good"}


def test_21_1_18_a_shared_detection_makes_a_rule_and_a_new_one_makes_it_anew(world, publisher):
    detection = lambda value: ("detect", DETECTION.replace(b"VALUE", value), None)
    publisher.contents = {"shared": detection(b"first.com")}
    rule = Rule(world.server, "")
    external = {"target": "audit", "op": "external", "resource": "lcr://service/publisher/shared"}
    rule.body = lambda **_: {"detect": external, "respond": Rule.body(rule)["respond"]}
    assert rule.set().status == 200
    rule.touch("first.com")
    eventually("the rule is made of it", lambda: rule.finds("first.com"))
    publisher.contents = {"shared": detection(b"second.com")}
    publisher.muster.ok("service", "health", "publisher")

    def found():
        rule.touch("second.com")
        return rule.finds("second.com")

    eventually("the rule is made anew", found)
