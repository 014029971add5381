"""Live Response through the published clients, unmodified, each in an environment of its own, against real sensors.

The checks are functions of the scripts in `live/`, which run inside of the client's environment; their numbers are those
of reference/live-response.md section 14.
"""

import os
import re
import subprocess
import tempfile
from pathlib import Path

import pytest

from process import ROOT, plain_environment

HERE = Path(__file__).parent / "live"

# One check takes seconds; a client that waits for ever is a fault.
CHECK_MAX_S = 150

CLIENTS = {"cbapi": "cbapi_v3", "cbsdk3": "sdk", "cbsdk6": "sdk"}


def checks() -> list:
    names = {script: re.findall(r"^def (p\d\w*)\(", (HERE / f"{script}.py").read_text(), re.MULTILINE) for script in CLIENTS.values()}
    return [pytest.param(client, script, name, id=f"{client}-{name}") for client, script in CLIENTS.items() for name in names[script]]


@pytest.fixture(scope="session")
def live_variables(world):
    """What the scripts need: devices by their numbers, and keys of every type."""
    device = lambda sid: world.api("GET", f"live/{world.server.oid}/devices/{sid}")["device_id"]
    token = lambda permissions: world.api(
        "POST", f"orgs/{world.server.oid}/keys", {"key_name": permissions, "perms": permissions}
    )["api_key"] + "/1"
    folder = Path(tempfile.mkdtemp(prefix="live", dir=world.folder))
    names = ("CBLR_URL", "CBLR_TOKEN", "SSL_CERT_FILE", "LC_OID")
    return plain_environment(folder / "home") | {name: world.server.environment[name] for name in names} | {
        "DEVICE": str(device(world.first.sid)), "OFFLINE": str(device(world.asleep.sid)), "FOLDER": str(folder),
        "TOKEN_API": token("sensor.list"), "TOKEN_SIEM": token("audit.get"),
    }


@pytest.mark.parametrize(("client", "script", "name"), checks())
def test_live(live_variables, client, script, name):
    venv = Path(os.environ.get("MUSTER_TEST_CACHE", ROOT / ".cache")) / f"venv-{client}"
    if not (venv / "bin" / "python").is_file():
        raise FileNotFoundError(f"{venv} is missing: run ./test clients")
    argv = [str(venv / "bin" / "python"), str(HERE / f"{script}.py"), name]
    done = subprocess.run(argv, env=live_variables, capture_output=True, text=True, timeout=CHECK_MAX_S, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
