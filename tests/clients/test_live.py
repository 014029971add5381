"""Live Response through the published clients, unmodified, each in an environment of its own, against real sensors.

The checks are functions of the scripts in `live/`, which run inside of the client's environment; their numbers are those
of reference/live-response.md section 14.
"""

import json
import re
import subprocess
import tempfile
from pathlib import Path

import pytest

from api import Api
from conftest import enrol
from live_scripts import CHECK_MAX_S, HERE, device, python_of, variables_of

CLIENTS = {"cbapi": "cbapi_v3", "cbsdk3": "sdk", "cbsdk6": "sdk"}


def checks() -> list:
    names = {script: re.findall(r"^def (p\d\w*)\(", (HERE / f"{script}.py").read_text(), re.MULTILINE) for script in CLIENTS.values()}
    return [pytest.param(client, script, name, id=f"{client}-{name}") for client, script in CLIENTS.items() for name in names[script]]


@pytest.fixture(scope="session")
def live_variables(world):
    """What the scripts need: devices by their numbers, and keys of every type."""
    token = lambda permissions: world.api(
        "POST", f"orgs/{world.server.oid}/keys", {"key_name": permissions, "perms": permissions}
    )["api_key"] + "/1"
    folder = Path(tempfile.mkdtemp(prefix="live", dir=world.folder))
    return variables_of(world.server, folder) | {
        "DEVICE": str(device(world.api, world.first.sid)), "OFFLINE": str(device(world.api, world.asleep.sid)),
        "TOKEN_API": token("sensor.list"), "TOKEN_SIEM": token("audit.get"),
    }


@pytest.mark.parametrize(("client", "script", "name"), checks())
def test_live(live_variables, client, script, name):
    argv = [python_of(client), str(HERE / f"{script}.py"), name]
    done = subprocess.run(argv, env=live_variables, capture_output=True, text=True, timeout=CHECK_MAX_S, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("client", CLIENTS)
def test_p67_a_job_runs_on_ten_devices_some_of_which_are_asleep(lone_server, client):
    """The client's own scheduler; those that sleep do the job when they are back."""
    api = Api(lone_server)
    sensors = [enrol(lone_server, api, f"device-{number}") for number in range(10)]
    asleep = sensors[7:]
    for sensor in asleep:
        sensor.process.stop()
    devices = [device(api, sensor.sid) for sensor in sensors]
    environment = variables_of(lone_server, lone_server.folder) | {
        "DEVICE": str(devices[0]), "OFFLINE": str(devices[-1]), "DEVICES": json.dumps(devices), "AWAKE": "7",
    }
    argv = [python_of(client), str(HERE / f"{CLIENTS[client]}.py"), "jobs_on_many_devices"]
    with subprocess.Popen(argv, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as script:
        said = []
        for line in script.stdout:
            said.append(line)
            if "those that are awake are done" in line:
                for sensor in asleep:
                    sensor.start()
    assert script.returncode == 0, "".join(said)
