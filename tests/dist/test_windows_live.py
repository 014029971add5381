"""Live Response on Windows through the published clients, unmodified: as tests/clients/test_live.py does on Linux."""

import re
import subprocess

import pytest

from live_scripts import CHECK_MAX_S, HERE, device, variables_of
from process import python_of

CHECKS = re.findall(r"^def (p\d\w*)\(", (HERE / "windows.py").read_text(), re.MULTILINE)


@pytest.fixture(scope="session")
def live_variables(world, wine, windows, folder):
    place = folder / "live"
    place.mkdir()
    number = str(device(world.api, windows.sid))
    return variables_of(world.server, place) | {"DEVICE": number, "OFFLINE": number, "WINDOWS_FOLDER": wine.path(place)}


# The shell comes with cbapi alone.
CASES = [(client, name) for name in CHECKS for client in ("cbapi", "cbsdk3", "cbsdk6") if client == "cbapi" or "p68_" not in name]


@pytest.mark.parametrize(("client", "name"), CASES)
def test_windows_live(live_variables, client, name):
    argv = [python_of(client), str(HERE / "windows.py"), name]
    done = subprocess.run(argv, env=live_variables, capture_output=True, text=True, timeout=CHECK_MAX_S, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
