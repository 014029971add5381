"""A service of the official framework (`lcservice` 1.8.6) that does what the vendor's examples do beside what other tests show.

It keeps rules of its own in step, hears of two detections and of new sensors, asks sensors that are online, follows what it asked by investigation ids
of its own and in jobs, and takes its rules away in parallel: checklist 21.1, item 28.
"""

import json

from conftest import enrol
from process import eventually
from test_service_server import SECRET, Muster, start_beside_vendor

PERMISSIONS = ["dr.list", "dr.list.managed", "dr.set.managed", "dr.del.managed", "sensor.get", "sensor.task", "org.get"]

SOURCE = '''
import json, sys
from lcservice.jobs import Job, YamlData
from lcservice.servers import ServeCherryPy
from lcservice.service import Service


def rule(event, name):
    asked = {"op": "starts with", "path": "routing/investigation_id", "value": "keeper/"}
    return {"op": "and", "event": event, "rules": [asked]}, [{"action": "report", "name": name}]


RULES = {"keeper-version": rule("OS_VERSION_REP", "version-is"), "keeper-receipt": rule("RECEIPT", "was-received")}


class Keeper(Service):
    def onStartup(self):
        self.subscribeToDetect("version-is")
        self.subscribeToDetect("was-received")
        self.hasFailed = False

    def keep(self, what, **more):
        with open(sys.argv[1], "a") as kept:
            kept.write(json.dumps({"what": what, **more}) + "\\n")

    def onOrgInstalled(self, lc, oid, request):
        have = lc.rules(namespace="managed")
        for name, (detect, respond) in RULES.items():
            known = have.get(name)
            if known is None or (known["detect"], known["respond"]) != (detect, respond):
                lc.add_rule(name, detect, respond, isReplace=True, namespace="managed")
                self.keep("wrote", name=name)
        self.keep("installed")
        return True

    def every1HourPerOrg(self, lc, oid, request):
        return self.onOrgInstalled(lc, oid, request)

    def onOrgUninstalled(self, lc, oid, request):
        gone = self.parallelExec(lambda name: lc.del_rule(name, namespace="managed"), list(RULES), timeout=30)
        self.keep("uninstalled", failed=[str(one) for one in gone if isinstance(one, Exception)])
        return True

    def onNewSensor(self, lc, oid, request):
        self.keep("new", sid=request.data["sid"], hostname=request.data["hostname"])
        return True

    def onRequest(self, lc, oid, request):
        sensor = lc.sensor(request.data["sid"])
        if not sensor.isOnline():
            return self.response(isSuccess=False, error="it is asleep")
        job = Job()
        job.setCause("asked for the version of a system")
        job.addSensor(request.data["sid"])
        sensor.task("os_version", inv_id="keeper/" + job.getId())
        return self.response(data={"job": job.getId()}, jobs=[job])

    def onDetection(self, lc, oid, request):
        self.keep(request.data["cat"], mid=request.messageId)
        if request.data["cat"] != "version-is":
            return True
        if not self.hasFailed:
            self.hasFailed = True
            return None
        job = Job(request.data["detect"]["routing"]["investigation_id"].split("/")[1])
        job.narrate("the version is here", attachments=[YamlData("event", request.data["detect"]["event"])], isImportant=True)
        job.close()
        return self.response(jobs=[job])


ServeCherryPy(Keeper("keeper", sys.argv[3]), interface="127.0.0.1", port=int(sys.argv[2]))
'''


def test_21_1_28_a_service_keeps_its_rules_hears_of_sensors_and_follows_what_it_asked(world, tmp_path):
    process, kept, url = start_beside_vendor(world, tmp_path, "keeper", SOURCE)
    muster, api, secret = Muster(world, tmp_path), world.api, tmp_path / "secret"
    secret.write_text(SECRET)
    got = lambda what: [one for one in map(json.loads, kept.read_text().splitlines() if kept.exists() else []) if one["what"] == what]
    permissions = [part for name in PERMISSIONS for part in ("--permission", name)]
    try:
        muster.ok("service", "register", "keeper", "--url", url, "--allow-private", "--secret-file", str(secret), *permissions)
        eventually("the service is well", lambda: muster.run("service", "health", "keeper").returncode == 0)
        muster.ok("service", "subscribe", "keeper")
        eventually("its rules are there", lambda: got("installed"))
        rules = lambda: [name for name in api("GET", f"rules/{world.server.oid}?namespace=managed") if name.startswith("keeper-")]
        assert sorted(rules()) == ["keeper-receipt", "keeper-version"] and len(got("wrote")) == 2, process.text()

        # Of a sensor that is asleep it asks nothing; what it asks of another comes back by rules of its own, and closes its job.
        refused = muster.run("service", "request", "keeper", json.dumps({"sid": world.asleep.sid}))
        assert refused.returncode != 0 and "it is asleep" in refused.stderr, refused
        job = json.loads(muster.ok("service", "request", "keeper", json.dumps({"sid": world.first.sid})))["job"]
        eventually("the job is closed", lambda: json.loads(muster.ok("job", "get", job, "--json")).get("stopped"))
        shown = muster.ok("job", "get", job, "--json")
        assert '"yaml"' in shown and json.loads(shown)["last_narration"] == "the version is here", shown
        told = got("version-is")
        assert len(told) == 2 and told[0]["mid"] == told[1]["mid"], "it was told again, under the same id"

        sensor = enrol(world.server, api, "fourth")
        new = eventually("it hears of a new sensor", lambda: got("new"))
        assert [one["sid"] for one in new] == [sensor.sid] and new[0]["hostname"], new
        sensor.process.stop()
        api("DELETE", sensor.sid)

        muster.ok("service", "unsubscribe", "keeper")
        assert eventually("it is told of the end", lambda: got("uninstalled"))[0]["failed"] == [], process.text()
        assert rules() == []
    finally:
        muster.run("service", "delete", "keeper", "--yes")
        process.stop()
