"""What could harm: hostile text, a server that goes away, somebody who may not."""

import json
import os
import re
import shlex
import signal
import subprocess
from pathlib import Path

from playwright.sync_api import expect

from console import sensors_row, wait_for_sensor
from fleet import NamedSensor
from process import program

HOST = "<img src=x onerror=alert(1)>"
TAG = '"><script>alert(2)</script>'
RULE = "'><svg onload=alert(3)>"
COMMAND = r"""run --shell-command "printf '\033]8;;http://evil.example/\007click\033]8;;\007<script>alert(4)</script>\033[2J'" """.strip()


def test_hostile_text_is_text_wherever_it_is_shown(signed_in, server):
    console, page = signed_in, signed_in.page
    page.on("dialog", lambda dialog: console.watch.complaints.append(f"a script ran: {dialog.message}"))
    NamedSensor(server, HOST)
    wait_for_sensor(console, HOST, "online")
    console.check("hostile-sensors")
    sensors_row(console, HOST).click()
    page.get_by_label("New tag").fill(TAG)
    page.get_by_role("button", name="Add", exact=True).click()
    expect(page.get_by_title(TAG)).to_be_visible()
    console.check("hostile-sensor")
    page.get_by_role("link", name="Run a command…").click()
    page.get_by_label("Command", exact=True).fill(COMMAND)
    page.get_by_role("button", name="Run it", exact=True).click()
    expect(page.get_by_role("button", name="finished 1")).to_be_visible()
    sensors_row(console, HOST).click()
    expect(page.get_by_role("dialog")).to_contain_text("<script>alert(4)</script>")
    expect(page.get_by_role("dialog")).to_contain_text("␛]8;;http://evil.example/␇click")
    console.check("hostile-output")
    page.keyboard.press("Escape")
    console.open("/rules/edit")
    page.get_by_label("Name").fill(RULE)
    expect(page.get_by_text("The server takes it")).to_be_visible()
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("link", name=RULE)).to_be_visible()
    console.check("hostile-rule")
    page.get_by_role("link", name=RULE).click()
    page.get_by_role("button", name="Delete…").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.get_by_role("link", name=RULE)).to_have_count(0)
    assert page.locator("main img, main svg, main script").count() == 0


def test_a_page_outlives_its_server_and_says_since_when_it_is_stale(signed_in, server):
    console, page = signed_in, signed_in.page
    sensor = NamedSensor(server, "patient-1")
    wait_for_sensor(console, "patient-1", "online")
    with console.watch.expecting(re.compile("ERR_|WebSocket|the server cannot be reached")):
        server.process.stop(signal.SIGKILL)
        expect(page.get_by_text(re.compile("stale since"))).to_be_visible()
        # What was there stays.
        expect(sensors_row(console, "patient-1")).to_be_visible()
        console.check("stale")
        sensor.process.stop()
        server.start()
        expect(page.get_by_text("live", exact=True)).to_be_visible()
    # What happened meanwhile is asked for, without a reload.
    expect(sensors_row(console, "patient-1")).to_contain_text("offline")


def test_who_may_not_is_told_which_permission_is_missing(signed_in):
    console, page = signed_in, signed_in.page
    console.sign_in_as("eve@example.org", "Viewer")
    pages = page.get_by_role("navigation", name="Pages")
    expect(pages.get_by_role("link", name="Sensors")).to_be_visible()
    assert pages.get_by_role("link", name="API keys and users").count() == 0
    console.open("/users")
    expect(page.get_by_text("This needs the permission user.ctrl.")).to_be_visible()
    console.check("forbidden")
    console.open("/outputs")
    expect(page.get_by_text("This needs the permission output.list.")).to_be_visible()
    console.remove("eve@example.org")


def test_eight_tabs_are_live_at_once(signed_in, chromium):
    tabs = [chromium.new_page() for _ in range(7)]
    signed_in.open()
    try:
        for tab in tabs:
            tab.goto(f"{signed_in.root}/{signed_in.org}/sensors")
        for tab in [signed_in.page, *tabs]:
            expect(tab.get_by_text("live", exact=True)).to_be_visible()
    finally:
        for tab in tabs:
            tab.close()


def test_the_palette_goes_to_a_machine_by_its_name_and_a_list_is_used_by_keys(signed_in, server):
    console, page = signed_in, signed_in.page
    NamedSensor(server, "palette-1")
    wait_for_sensor(console, "palette-1", "online")
    page.keyboard.press("Control+k")
    expect(page.get_by_role("combobox", name="Page, host name or task id")).to_be_focused()
    page.keyboard.type("palette-")
    expect(page.get_by_role("option", name="palette-1")).to_be_visible()
    console.check("palette-sensor")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("palette-1")
    page.keyboard.press("g")
    page.keyboard.press("s")
    expect(page.get_by_role("heading", level=1)).to_have_text("Sensors")
    page.keyboard.press("/")
    page.keyboard.type('hostname == "palette-1"')
    page.keyboard.press("Enter")
    grid = page.get_by_role("grid", name="Sensors")
    expect(grid).to_have_attribute("aria-rowcount", "2")
    grid.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("x")
    expect(page.get_by_text("1 selected")).to_be_visible()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("palette-1")
    # Back leads to the same filter, which is also a line to type: it gives the same sensor.
    page.go_back()
    expect(page.get_by_role("combobox", name="Selector")).to_have_value('hostname == "palette-1"')
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy as CLI").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    argv = shlex.split(page.evaluate("navigator.clipboard.readText()"))
    assert argv[0] == "muster"
    ran = subprocess.run([program("muster"), *argv[1:]], env=server.environment, capture_output=True, text=True, timeout=60, check=True)
    assert "palette-1" in ran.stdout
    expect(page.get_by_role("button", name="Copied")).to_have_count(0)
    page.get_by_role("button", name="Copy as curl").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    line = page.evaluate("navigator.clipboard.readText()")
    environment = server.environment | {"PATH": f"{Path(program('muster')).parent}:{os.environ['PATH']}"}
    ran = subprocess.run(["bash", "-c", line], env=environment, capture_output=True, text=True, timeout=60, check=True)
    assert [one["hostname"] for one in json.loads(ran.stdout)["sensors"]] == ["palette-1"]
