"""Acts on endpoints from the operator's command line: shown, asked about, and waited for."""

import re
import subprocess

from api import Api
from client import Client
from conftest import enrol
from process import plain_environment, program


def muster(world, *argv):
    """Runs a command of the operator's program with nobody at a terminal."""
    environment = plain_environment(world.folder / "operator") | world.server.environment
    return subprocess.run(
        [program("muster"), *argv], env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
        timeout=90, check=False,
    )


def wanted(world, sid, field):
    return world.api("GET", sid)["info"][field]


def test_one_6_acts_show_whom_they_reach_and_ask(world):
    for act, field in (("isolate", "should_isolate"), ("seal", "should_seal")):
        asked = muster(world, "sensor", act, world.asleep.sid)
        assert asked.returncode == 4, asked
        assert world.asleep.sid in asked.stderr, "it says whom it would reach"
        assert re.search("1 sensor( off the network)?, 0 of them online now; add --yes", asked.stderr)
        assert wanted(world, world.asleep.sid, field) is False, "nothing was done"
    asked = muster(world, "sensor", "delete", world.first.sid, world.asleep.sid)
    assert asked.returncode == 4 and "2 sensors, with all that is still owed to them, 1 of them online now" in asked.stderr, asked
    many = muster(world, "tag", "add", "asked", "--selector", "*")
    assert many.returncode == 4 and "3 sensors" in many.stderr, many
    assert "asked" not in world.api("GET", f"tags/{world.server.oid}")["tags"]
    nobody = muster(world, "sensor", "isolate", "--selector", "plat == windows", "--yes")
    assert nobody.returncode == 4 and "no sensor matches" in nobody.stderr, nobody
    everybody = muster(world, "reliable-task", "create", "os_version")
    assert everybody.returncode == 4 and "all 3 sensors" in everybody.stderr, everybody


def test_one_6_acts_can_be_waited_for(world):
    # A sensor that is in the network reports so: no machine loses its network to a test.
    done = muster(world, "sensor", "rejoin", world.first.sid, world.second.sid, "--yes", "--wait")
    assert done.returncode == 0, done
    assert "2 of 2 have reported it" in done.stderr and "as they report" in done.stdout
    # One that is asleep cannot, and this is no success.
    late = muster(world, "sensor", "isolate", world.asleep.sid, "--yes", "--wait=1s")
    try:
        assert late.returncode == 1, late
        assert "0 of 1 have reported it" in late.stderr and f"{world.asleep.sid} (offline)" in late.stderr
        assert wanted(world, world.asleep.sid, "should_isolate") is True, "it stays wanted"
    finally:
        assert muster(world, "sensor", "rejoin", world.asleep.sid, "--yes").returncode == 0
    assert wanted(world, world.asleep.sid, "should_isolate") is False


def test_a_sensor_is_deleted_by_the_official_client(lone_server, tmp_path):
    api, client = Api(lone_server), Client("5", lone_server, tmp_path)
    sid = enrol(lone_server, api, "first").sid
    assert client.run("sensor", "delete", "--sid", sid, "--confirm").code == 0
    assert sid not in api.sids()
