"""The sensor on Windows, with the calls of Windows, on Wine: what it does there, and that it stays the same sensor."""

import contextlib
import hashlib
import json
import re
import signal
from pathlib import Path

import pytest

from conftest import BUILT
from process import eventually
from wine import Wine

PROGRAM = BUILT / "muster-sensor-x86_64-windows.exe"
SERVICE = "muster-sensor"


def command_lines_with(text: str) -> list[str]:
    """Processes of Wine are processes of this machine, too."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            line = file.read_bytes().replace(b"\0", b" ").decode(errors="replace")
            # The server and the operator's program carry the order in their lines, too.
            if text in line and "ping" in line.lower() and "muster" not in line:
                found.append(line)
    return found


def test_ten_4_windows_enrols_and_says_what_it_is(windows):
    info = windows.info()
    assert (info["plat"], info["arch"]) == (0x10000000, 2), info
    version = windows.answer("os_version")
    assert version["OS_ID"] == "windows" and version["BUILD_NUMBER"] > 0, version


def test_ten_4_windows_runs_command_lines(windows, folder):
    answer = windows.answer("run --shell-command 'echo out& echo err>&2& exit 3'")
    assert (answer["STDOUT"], answer["STDERR"].strip(), answer["ERROR"]) == ("out\r\n", "err", 3), answer
    quoted = windows.answer("""run --shell-command 'if "a b"=="a b" echo same'""")
    assert quoted["STDOUT"] == "same\r\n", quoted
    late = windows.answer("run --shell-command 'ping -n 60 127.0.0.1' --timeout 1")
    assert late["ERROR"] == 1460, late


def test_ten_4_windows_tells_of_files(windows, wine, folder):
    place = folder / "files"
    place.mkdir()
    (place / "One.TXT").write_bytes(b"12345")
    (place / "two.log").write_bytes(b"")
    path = wine.path(place)
    listed = windows.answer(f"dir_list '{path}' '*.txt'")["DIRECTORY_LIST"]
    assert [(one["FILE_NAME"], one["FILE_SIZE"]) for one in listed] == [("One.TXT", 5)], "names are told in any case"
    digest = windows.answer(f"file_hash '{path}\\one.txt'")["HASH"]
    assert digest == hashlib.sha256(b"12345").hexdigest()
    assert windows.answer(f"file_info '{path}'")["ATTRIBUTES"] & 0x10
    windows.answer(f"file_mov '{path}\\two.log' '{path}\\three.log'")
    assert not (place / "two.log").exists() and (place / "three.log").exists()
    assert windows.answer(f"file_del '{path}\\three.log'")["ERROR"] == 0
    missing = windows.answer(f"file_get '{path}\\none'")
    assert missing["ERROR"] == 2, missing


def test_ten_4_windows_tells_of_its_registry_programs_and_services(windows, wine):
    wine.run("reg", "add", r"HKLM\Software\muster-test", "/v", "number", "/t", "REG_DWORD", "/d", "7", "/f")
    listed = windows.answer(r"reg_list 'hklm\software\muster-test'")
    assert listed["REGISTRY_VALUE"] == [{"NAME": "number", "TYPE": 4, "VALUE": 7}], listed
    assert windows.answer(r"reg_get 'hklm\software\muster-test' number")["VALUE"] == 7
    assert "muster-test" in windows.answer(r"reg_list 'hklm\software'")["REGISTRY_KEY"]
    services = windows.answer("os_services")["SVCS"]
    assert any(one["SVC_NAME"].lower() == "eventlog" for one in services), services
    assert "PACKAGES" in windows.answer("os_packages")


def test_ten_4_windows_tells_of_processes_and_ends_them(windows, wine):
    programs = {one["FILE_PATH"].lower() for one in windows.answer("os_processes --is-no-modules")["PROCESSES"] if "FILE_PATH" in one}
    assert any(path.endswith("muster-sensor-x86_64-windows.exe") for path in programs), programs
    own = next(
        one for one in windows.answer("os_processes --is-no-modules")["PROCESSES"]
        if one.get("FILE_PATH", "").lower().endswith("windows.exe")
    )
    assert "--state-dir" in own["COMMAND_LINE"] and own["USER_NAME"] and own["THREADS"] > 0, own
    port = int(windows.world.server.listen.rsplit(":", 1)[1])
    sockets = windows.answer("netstat")["NETWORK_ACTIVITY"]
    assert any(one["DESTINATION"]["PORT"] == port and one["STATE"] == 5 for one in sockets), sockets
    refused = windows.world.muster("task", windows.sid, f"os_kill_process --pid {own['PROCESS_ID']}", "--wait", "30s")
    windows.process.check_alive()
    assert refused


def test_ten_4_what_a_killed_sensor_ran_ends_with_it_and_no_effect_comes_twice(windows, wine, folder):
    marker = folder / "ran"
    line = f"echo ran>>{wine.path(marker)}& ping -n 3017 127.0.0.1"
    windows.world.api("POST", windows.sid, {"tasks": f"run --shell-command '{line}' --timeout 600"})
    eventually("the command runs", lambda: marker.is_file() and marker.read_text().strip())
    eventually("it goes on", lambda: command_lines_with("3017"))
    sid, before = windows.sid, windows.world.api.sids()
    windows.process.stop(signal.SIGKILL)
    eventually("it ends with the sensor", lambda: not command_lines_with("3017"))
    windows.start()
    windows.world.is_online(sid)
    assert windows.answer("os_version")["OS_ID"] == "windows"
    assert windows.world.api.sids() == before, "it is the same sensor"
    assert marker.read_text().split() == ["ran"], "it ran once, and not again after the restart"


def test_ten_6_what_is_left_for_windows_is_one_task_with_files_both_ways(windows, wine, folder):
    tool, back, other = folder / "tool.cmd", folder / "back.txt", folder / "other.txt"
    tool.write_bytes(b"@echo made> %1\r\n@type %1\r\n")
    # A word with a blank reaches programs of Windows as one.
    there, made = wine.path(folder / "tool there.cmd"), wine.path(folder / "what it made.txt")
    muster = windows.world.muster
    commands = ["put", str(tool), there, "&&", "exec", there, made, "&&", "get", made, "&&", "get", there]
    task = muster("live", windows.sid, "--when-online", "--", *commands)["task_id"]
    eventually("the batch has ended", lambda: windows.world.api.extension("get", task_id=task)["targets"][0]["state"] == "finished")
    events = lambda: muster("events", "--sid", windows.sid, "--since", "1h", "--investigation-id", task)
    told = eventually("how each command ended is known", lambda: "BATCH_REP" in json.dumps(events()) and events())
    steps = next(one["event"]["STEPS"] for one in told if one["routing"]["event_type"] == "BATCH_REP")
    assert [one["ERROR"] in (0, 200) for one in steps] == [True] * 4, steps
    for artifact, to, content in ((task, back, b"made\r\n"), (f"{task}-2", other, tool.read_bytes())):
        windows.world.run("artifact", "download", artifact, "--to", str(to))
        assert to.read_bytes() == content


@pytest.fixture
def fresh_wine(wine, folder):
    """A Windows on which nothing runs yet, where there is one at all."""
    made = Wine(folder / "fresh-wine")
    # What its installation started would say elsewhere what it reports.
    made.stop()
    yield made
    made.stop()


def test_ten_4_the_sensor_is_a_service_of_windows_with_an_event_log_of_its_own(world, fresh_wine, folder):
    told = folder / "event-log"
    with fresh_wine.awake(told):
        serve(world, fresh_wine, folder)
    # What the log is given: its source, kinds (4 is information), and texts.
    reported = told.read_text(errors="replace")
    assert f'RegisterEventSourceW ((null),L"{SERVICE}")' in reported, reported
    assert re.search(r"ReportEventW \(\w+,0x0004,0x0000,0x00000001,0+,0x0001,", reported), reported
    assert reported.count('ReportEventW L"the sensor is up"') == 2, "it was started twice"
    assert re.search(r'ReportEventW L"\S+ +INFO muster_sensor::sensor: the link is up"', reported), reported


def serve(world, wine, folder):
    """From the installation of the service to its end."""
    state = wine.path(folder / "service-state")
    before = world.api.sids()
    key = world.server.environment["MUSTER_INSTALL_KEY"]
    sensor = lambda *arguments: wine.run(str(PROGRAM), *arguments, "--state-dir", state, MUSTER_TEST_NAMESPACE="1")
    installed = sensor("--install", key)
    assert installed.returncode == 0, installed.stdout + installed.stderr
    try:
        fresh = eventually("the service enrols", lambda: world.api.sids() - before, 60).pop()
        assert "RUNNING" in wine.run("sc", "query", SERVICE).stdout
        world.is_online(fresh)
        assert world.answer(fresh, "os_version")["OS_ID"] == "windows"
        again = sensor("--install", key)
        assert again.returncode == 1 and "there is an installed sensor" in again.stderr, again
        log = wine.run("reg", "query", rf"HKLM\System\CurrentControlSet\Services\EventLog\muster\{SERVICE}").stdout
        assert "EventMessageFile" in log, log
        upgraded = sensor("--upgrade")
        assert upgraded.returncode == 0, upgraded.stdout + upgraded.stderr
        world.is_online(fresh)
        assert world.answer(fresh, "os_version")["OS_ID"] == "windows"
    finally:
        removed = sensor("--uninstall-clean")
    assert removed.returncode == 0, removed.stdout + removed.stderr
    assert "RUNNING" not in wine.run("sc", "query", SERVICE).stdout
    assert not (wine.drive / "Program Files" / "muster" / "muster-sensor.exe").exists()
    assert not (folder / "service-state" / "identity.json").exists()
    assert sensor("--uninstall").returncode == 1
