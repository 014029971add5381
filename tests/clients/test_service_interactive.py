"""An interactive service of the official framework (`lcservice` 1.8.6): it asks a sensor, and the answer comes back to a callback of its own."""

import json

import pytest

from process import eventually
from test_service_server import SECRET, Muster, start_beside_vendor

# What an answer is known by: it comes back as it was given.
CONTEXT = "a/b c/é☃"
# Without these it can neither lead answers back nor ask.
PERMISSIONS = ["dr.list", "dr.list.managed", "dr.set.managed", "dr.del.managed", "sensor.get", "sensor.task"]

SOURCE = '''
import json, sys
from lcservice.jobs import Job, YamlData
from lcservice.servers import ServeCherryPy
from lcservice.service import InteractiveService


class Asker(InteractiveService):
    def onRequest(self, lc, oid, request):
        job = Job()
        job.setCause("asked for the version of a system")
        job.addSensor(request.data["sid"])
        lc.sensor(request.data["sid"]).task("os_version", callback=self.versionIs, job=job, ctx=request.data["context"])
        return self.response(isSuccess=True, data={"job": job.getId()}, jobs=[job])

    def versionIs(self, lc, oid, event, job, ctx):
        if event["routing"]["event_type"] != "OS_VERSION_REP":
            return True
        with open(sys.argv[1], "a") as kept:
            kept.write(json.dumps({"sid": event["routing"]["sid"], "context": ctx, "job": job.getId()}) + "\\n")
        job.narrate("the version is here", attachments=[YamlData("event", event["event"])], isImportant=True)
        job.close()
        return self.response(isSuccess=True, jobs=[job])


ServeCherryPy(Asker("asker", sys.argv[3]), interface="127.0.0.1", port=int(sys.argv[2]))
'''


@pytest.fixture
def asker(world, tmp_path):
    """The program, at work."""
    process, kept, url = start_beside_vendor(world, tmp_path, "asker", SOURCE)
    yield kept, url, process
    process.stop()


def test_21_1_8_and_9_a_sensor_is_asked_and_its_answer_finds_its_callback_and_job(world, asker, tmp_path):
    kept, url, process = asker
    muster, api = Muster(world, tmp_path), world.api
    secret = tmp_path / "secret"
    secret.write_text(SECRET)
    permissions = [part for name in PERMISSIONS for part in ("--permission", name)]
    muster.ok("service", "register", "asker", "--url", url, "--allow-private", "--secret-file", str(secret), *permissions)
    eventually("the service is well", lambda: muster.run("service", "health", "asker").returncode == 0)

    # 21.1.8: installed, it has set the one rule that leads answers back.
    muster.ok("service", "subscribe", "asker")
    rules = lambda: api("GET", f"rules/{world.server.oid}?namespace=managed")
    rule = eventually("the rule is there", lambda: rules().get("svc-asker-ex"))
    etag = lambda: api("GET", f"hive/dr-managed/{world.server.oid}/svc-asker-ex/mtd")["sys_mtd"]["etag"]
    before = etag()
    assert [action["name"] for action in rule["respond"]] == ["__svc-asker-ex"], rule

    # 21.1.9: the answer comes to the callback that was named, with its context byte for byte, and closes the job.
    request = json.dumps({"sid": world.first.sid, "context": CONTEXT})
    job = json.loads(muster.ok("service", "request", "asker", request))["job"]
    answers = lambda: [json.loads(line) for line in kept.read_text().splitlines()] if kept.exists() else []
    eventually("the answer is there", answers)
    assert answers() == [{"sid": world.first.sid, "context": CONTEXT, "job": job}], process.text()
    shown = json.loads(muster.ok("job", "get", job, "--json"))
    assert eventually("the job is closed", lambda: json.loads(muster.ok("job", "get", job, "--json")).get("stopped")), shown
    shown = json.loads(muster.ok("job", "get", job, "--json"))
    assert shown["cause"] == "asked for the version of a system" and shown["last_narration"] == "the version is here", shown

    # 21.1.8: this framework leaves its rule behind; installed again, it finds it and writes nothing.
    unsubscribed = lambda: "service/asker" not in json.dumps(api("GET", f"orgs/{world.server.oid}/keys"))
    muster.ok("service", "unsubscribe", "asker")
    eventually("it is told of the end", unsubscribed)
    muster.ok("service", "subscribe", "asker")
    waiting = lambda: json.loads(muster.ok("service", "deliveries", "asker", "--json"))["deliveries"]
    eventually("it is installed again", lambda: waiting() == [])
    assert [name for name in rules() if name.startswith("svc-asker")] == ["svc-asker-ex"] and etag() == before
    muster.ok("service", "unsubscribe", "asker")
    eventually("it is told of the end", unsubscribed)
    muster.ok("service", "delete", "asker", "--yes")
