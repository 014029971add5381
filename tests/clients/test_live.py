"""Live Response through the published clients, unmodified, each in an environment of its own, against real sensors.

The checks are functions of the scripts in `live/`, which run inside of the client's environment; their numbers are those
of reference/live-response.md section 14.
"""

import json
import re
import struct
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from api import Api, call
from conftest import enrol
from live_scripts import CHECK_MAX_S, HERE, device, variables_of
from process import Server, python_of

CLIENTS = {"cbapi": "cbapi_v3", "cbsdk3": "sdk", "cbsdk6": "sdk"}
SCRIPTS = CLIENTS | {"cbapi-1.3.0": "cbapi_first"}
# Devices that take the client three pages.
MANY = 250
SECRET = "secret-of-webhooks"
# These need a server of their own.
APART = ("p15_", "p63_the_memory_of_a_machine", "p65_")

# Memory of a machine: address, bytes, and what each of them is.
MEMORY = ((0x1000, 0x9E000, 0x11), (0x100000, 0x300000, 0x22))
# What its kernel shows besides: some of it once more, and what is elsewhere.
SHOWN_BESIDE = ((0x200000, 0x1000, 0x33), (2**64 - 1, 0x2000, 0x44))
# Has a program see another /proc, where two files play the kernel's part: not every kernel shows its memory, and that of
# a real machine is large. It is in a mount namespace of its own.
WITH_MEMORY = """
set -e
mkdir "$1/proc"; mount --bind /proc "$1/proc"; mount -t tmpfs tmpfs /proc
ln -s "$1"/proc/* /proc/; ln -sfn "$1/kcore" "$1/iomem" /proc/
shift; exec "$@"
"""


def checks() -> list:
    names = {script: re.findall(r"^def (p\d\w*)\(", (HERE / f"{script}.py").read_text(), re.MULTILINE) for script in SCRIPTS.values()}
    names = {script: [name for name in found if not name.startswith(APART)] for script, found in names.items()}
    return [pytest.param(client, script, name, id=f"{client}-{name}") for client, script in SCRIPTS.items() for name in names[script]]


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


def run_check(client: str, script: str, name: str, variables: dict[str, str]) -> None:
    argv = [python_of(client), str(HERE / f"{script}.py"), name]
    done = subprocess.run(argv, env=variables, capture_output=True, text=True, timeout=CHECK_MAX_S, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(("client", "script", "name"), checks())
def test_live(live_variables, client, script, name):
    run_check(client, script, name, live_variables)


def test_p15_a_device_that_does_not_come_is_a_timeout_of_the_client_which_closes(folder):
    server = Server(folder / "impatient", "[limits]\nlive_check_in_s = 3\n")
    try:
        api = Api(server)
        sensor = enrol(server, api, "asleep")
        sensor.process.stop()
        number = str(device(api, sensor.sid))
        variables = variables_of(server, server.folder) | {"DEVICE": number, "OFFLINE": number}
        run_check("cbapi", "cbapi_v3", "p15_a_device_that_does_not_come_is_a_timeout_of_the_client_which_closes", variables)
    finally:
        server.stop()


def write_memory(folder: Path) -> None:
    """/proc/kcore, as elf(5) has it, and /proc/iomem."""
    shown = MEMORY + SHOWN_BESIDE
    place, head, content = 64 + 56 * len(shown), [struct.pack("<16sHHIQQQIHHHHHH", b"\x7fELF\x02\x01\x01", 4, 62, 1, 0, 64, 0, 0, 64, 56, len(shown), 0, 0, 0)], []
    for address, length, byte in shown:
        head.append(struct.pack("<IIQQQQQQ", 1, 4, place, 0xFFFF_8880_0000_0000 + address % 2**32, address, length, length, 0))
        content.append(bytes([byte]) * length)
        place += length
    (folder / "kcore").write_bytes(b"".join(head + content))
    (folder / "iomem").write_text("".join(f"{address:08x}-{address + length - 1:08x} : System RAM\n" for address, length, _ in MEMORY))


def test_p63_the_memory_of_a_machine_is_dumped_as_its_kernel_shows_it(lone_server):
    if subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode:
        pytest.skip("NOT CHECKED: this machine gives no mount namespaces")
    memory = lone_server.folder / "memory"
    memory.mkdir()
    write_memory(memory)
    api = Api(lone_server)
    sensor = enrol(lone_server, api, "with-memory", ("unshare", "-m", "sh", "-c", WITH_MEMORY, "sh", str(memory)))
    number = str(device(api, sensor.sid))
    variables = variables_of(lone_server, lone_server.folder) | {"DEVICE": number, "OFFLINE": number, "MEMORY": json.dumps(MEMORY)}
    run_check("cbapi", "cbapi_v3", "p63_the_memory_of_a_machine_is_dumped_as_its_kernel_shows_it", variables)


def test_p65_two_hundred_and_fifty_devices_are_listed_page_by_page(lone_server):
    """Sensors of webhooks: they enrol with their first event, and no process is needed for each."""
    api, oid = Api(lone_server), lone_server.oid
    iid = api("POST", f"installationkeys/{oid}", {"desc": "of many"})["iid"]

    def enrol_one(number: int) -> None:
        name = f"many-{number}"
        options = {"hostname": name, "identity": {"oid": oid, "installation_key": iid}, "platform": "json", "sensor_seed_key": name}
        record = {"sensor_type": "webhook", "webhook": {"secret": SECRET, "client_options": options}}
        api("POST", f"hive/cloud_sensor/{oid}/{name}/data", {"data": json.dumps(record), "usr_mtd": '{"enabled": true}'})
        posted = call("POST", f"{lone_server.url}/{oid}/{name}/{SECRET}", headers={"content-type": "application/json"}, body=b"{}")
        assert posted.status == 200, posted

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(enrol_one, range(MANY)))
    variables = variables_of(lone_server, lone_server.folder) | {"DEVICE": "1", "OFFLINE": "1", "MANY": str(MANY)}
    run_check("cbapi", "cbapi_v3", "p65_all_of_many_devices_are_listed", variables)


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
