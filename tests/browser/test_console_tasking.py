"""Automation → Reliable Tasking and Sensors: a command waits for a machine that is off, is taken back, and is explained."""

import csv
import io
import re
import subprocess
from datetime import datetime

from playwright.sync_api import expect

from console import downloaded, sensors_row, wait_for_sensor
from fleet import LonelySensor, NamedSensor
from process import eventually


def new_task(console, command, selector):
    console.open("/reliable-tasking")
    console.page.get_by_role("link", name="New task").click()
    # Not the filter of the list, whose name has the word, too, and which stands there until the page has come.
    console.page.get_by_label("Command", exact=True).fill(command)
    console.page.get_by_role("combobox", name="On which sensors").fill(selector)


def test_a_task_for_a_machine_that_is_off_runs_when_it_is_back_and_its_output_is_seen(signed_in, server):
    console, page = signed_in, signed_in.page
    console.open("/sensors")
    if not server.sensors:
        expect(page.get_by_text("No sensors yet.")).to_be_visible()
        console.check("sensors-empty")
        console.open("/reliable-tasking")
        expect(page.get_by_text("No tasks yet.")).to_be_visible()
        console.check("tasks-empty")
    sensor = NamedSensor(server, "web-1")
    wait_for_sensor(console, "web-1", "online")
    sensor.process.stop()
    # Without a reload: the list is live.
    expect(sensors_row(console, "web-1")).to_contain_text("offline")
    console.check("sensors")

    # From the machines to the command, as somebody would who never saw the console: those that are off, and no others.
    page.get_by_label("State").select_option("offline")
    page.get_by_role("combobox", name="Selector").fill('hostname == "web-1"')
    page.get_by_role("button", name="Apply").click()
    expect(page.get_by_text("all 1 that match")).to_be_visible()
    page.get_by_role("button", name="Run a command on them…").click()
    expect(page.get_by_role("combobox", name="On which sensors")).to_have_value(re.compile("^sid == "))
    expect(page.get_by_role("status").filter(has_text="of them online")).to_contain_text("1 sensor matches, 0 of them online.")
    page.get_by_label("Command", exact=True).fill('run --shell-command "echo all is well"')
    expect(page.locator("p.note")).to_contain_text("1 of them offline now: each runs it when it is back")
    console.check("task-new")
    page.get_by_role("button", name="Run it", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text('run --shell-command "echo all is well"')
    expect(page.get_by_role("button", name="queued 1")).to_be_visible()
    sensors_row(console, "web-1").click()
    expect(page.get_by_role("dialog")).to_contain_text("offline")
    console.check("task-explained")
    page.keyboard.press("Escape")

    sensor.start()
    expect(page.get_by_role("button", name="finished 1")).to_be_visible()
    console.check("task")
    sensors_row(console, "web-1").click()
    expect(page.get_by_role("dialog")).to_contain_text("all is well")
    expect(page.get_by_role("dialog")).to_contain_text("Exit code")
    console.check("task-output")
    # The address leads to the same view again.
    page.reload()
    expect(page.get_by_role("dialog")).to_contain_text("all is well")
    page.keyboard.press("Escape")

    rows = list(csv.DictReader(io.StringIO(downloaded(page, page.get_by_role("button", name="CSV").click))))
    assert [(row["hostname"], row["state"], row["code"]) for row in rows] == [("web-1", "finished", "0")]
    console.open("/reliable-tasking")
    expect(page.get_by_role("row").filter(has_text="all is well")).to_contain_text("1 of 1 finished")
    console.check("tasks")


def test_a_task_that_is_taken_back_never_runs_and_the_page_says_so_at_once(signed_in, server):
    console, page = signed_in, signed_in.page
    sensor = NamedSensor(server, "db-1")
    wait_for_sensor(console, "db-1", "online")
    sensor.process.stop()
    expect(sensors_row(console, "db-1")).to_contain_text("offline")
    new_task(console, "os_version", 'hostname == "db-1"')
    page.get_by_role("button", name="Run it", exact=True).click()
    expect(page.get_by_role("button", name="queued 1")).to_be_visible()
    # The overview names the machine, and what it will run.
    console.open()
    owed = page.get_by_role("region", name="Offline, and owed something").get_by_role("row").filter(has_text="db-1")
    expect(owed).to_contain_text("os_version")
    console.check("overview")
    page.get_by_role("region", name="Tasks that wait").get_by_role("link", name="os_version").click()

    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_text("· paused")).to_be_visible()
    page.get_by_role("button", name="Resume").click()
    expect(page.get_by_text("· paused")).not_to_be_visible()
    page.get_by_role("button", name="Untask…").click()
    expect(page.get_by_role("dialog")).to_contain_text("Will not be sent any more, and never runs: 1 sensor.")
    console.check("task-untask")
    page.get_by_role("dialog").get_by_role("button", name="Untask").click()
    expect(page.get_by_role("button", name="removed 1")).to_be_visible()
    sensor.start()
    wait_for_sensor(console, "db-1", "online")
    page.go_back()
    expect(page.get_by_role("button", name="removed 1")).to_be_visible()
    assert page.get_by_role("button", name=re.compile("finished")).count() == 0


def test_a_task_that_runs_is_stopped_where_it_runs_if_one_asks_for_that(signed_in, server):
    console, page = signed_in, signed_in.page
    NamedSensor(server, "busy-1")
    wait_for_sensor(console, "busy-1", "online")
    new_task(console, 'run --shell-command "sleep 300"', 'hostname == "busy-1"')
    page.get_by_role("button", name="Run it", exact=True).click()
    expect(page.get_by_role("button", name="started 1")).to_be_visible()
    page.get_by_role("button", name="Untask…").click()
    expect(page.get_by_role("dialog")).to_contain_text("Past recall, since they have it already and may still run it: 1 sensor.")
    page.get_by_label("Stop it there, too").check()
    console.check("task-stop")
    page.get_by_role("dialog").get_by_role("button", name="Untask").click()
    expect(page.get_by_text("1 sensor will be told to stop it.")).to_be_visible()
    expect(page.get_by_role("button", name="cancelled 1")).to_be_visible()


def test_a_selector_with_a_mistake_is_marked_at_its_column(signed_in):
    console, page = signed_in, signed_in.page
    with console.watch.expecting(re.compile("400")):
        new_task(console, "os_version", "plat = linux")
        expect(page.get_by_role("alert")).to_be_visible()
    place = page.locator("pre.where").inner_text().split("\n")
    assert place[0] == "plat = linux"
    assert place[1].index("^") == 5
    expect(page.get_by_role("button", name="Run it", exact=True)).to_be_disabled()
    console.check("selector-mistake")
    # What is not finished is a mistake, too, until it is.
    with console.watch.expecting(re.compile("400"), at_least=0):
        page.get_by_role("combobox", name="On which sensors").fill("plat == li")
        page.get_by_role("option", name="linux", exact=True).click()
        expect(page.get_by_role("combobox", name="On which sensors")).to_have_value("plat == linux")
        expect(page.get_by_role("alert")).not_to_be_visible()


def test_a_selector_is_kept_by_a_name_and_columns_are_chosen(signed_in, server):
    console, page = signed_in, signed_in.page
    NamedSensor(server, "kept-1")
    wait_for_sensor(console, "kept-1", "online")
    # It is judged while it is written: what is wrong stands at its column, what is right has its count.
    with console.watch.expecting(re.compile("400")):
        page.get_by_role("combobox", name="Selector").fill('hostname = "kept-1"')
        expect(page.get_by_role("alert")).to_be_visible()
    assert page.locator("pre.where").inner_text().split("\n")[1].index("^") == 9
    expect(page.get_by_text("How it is written")).to_be_visible()
    page.get_by_role("combobox", name="Selector").fill('hostname == "kept-1"')
    expect(page.get_by_text("1 sensor matches; Enter shows them")).to_be_visible()
    page.get_by_role("combobox", name="Selector").press("Enter")
    page.get_by_role("button", name="Save the selector").click()
    page.get_by_label("Call it").fill("mine")
    console.check("selector-save")
    page.get_by_role("dialog").get_by_role("button", name="Save").click()
    page.get_by_role("button", name="Columns…").click()
    page.get_by_label("Version").check()
    page.get_by_label("Tags", exact=True).uncheck()
    console.check("columns")
    page.get_by_role("button", name="Done").click()
    # Both are there again elsewhere; the columns stand in the address, too.
    assert "Version" in page.url
    console.open("/sensors")
    expect(page.get_by_role("columnheader", name="Version")).to_be_visible()
    expect(page.get_by_role("columnheader", name="Tags")).to_have_count(0)
    page.get_by_label("Saved selectors").select_option("mine")
    expect(page.get_by_role("grid", name="Sensors")).to_have_attribute("aria-rowcount", "2")
    console.open("/reliable-tasking/new")
    page.get_by_label("Saved selectors").select_option("mine")
    expect(page.get_by_role("combobox", name="On which sensors")).to_have_value('hostname == "kept-1"')
    # A command that was begun goes along to the list of sensors and back.
    page.get_by_label("Command", exact=True).fill("os_version")
    page.locator("form").get_by_role("link", name="Sensors").click()
    page.get_by_role("button", name="Run a command on them…").click()
    expect(page.get_by_label("Command", exact=True)).to_have_value("os_version")
    expect(page.get_by_role("combobox", name="On which sensors")).to_have_value('hostname == "kept-1"')
    console.open("/sensors?selector=hostname+%3D%3D+%22kept-1%22")
    page.get_by_role("button", name="Forget the saved selector mine").click()
    expect(page.get_by_label("Saved selectors")).to_have_count(0)
    page.get_by_role("button", name="Columns…").click()
    page.get_by_label("Version").uncheck()
    page.get_by_label("Tags", exact=True).check()


def test_a_command_with_a_mistake_is_told_before_it_is_sent_and_one_that_is_known_is_explained(signed_in):
    console, page = signed_in, signed_in.page
    with console.watch.expecting(re.compile("400")):
        new_task(console, "os_versoin", "")
        expect(page.get_by_role("alert")).to_contain_text("os_version")
        expect(page.get_by_role("button", name="Run it", exact=True)).to_be_disabled()
        # A line of a shell is a program of the machine.
        page.get_by_label("Command", exact=True).fill("uname -a")
        page.get_by_role("button", name="Write it as a program of the machine").click()
        expect(page.get_by_label("Command", exact=True)).to_have_value('run --shell-command "uname -a"')
    page.get_by_label("Command", exact=True).fill("os_kill_process --pid 4")
    expect(page.get_by_text(re.compile("Sensors of .*linux.* have it"))).to_be_visible()
    expect(page.get_by_role("alert")).to_have_count(0)
    page.get_by_text("How the command is written").click()
    expect(page.get_by_text("usage: os_kill_process")).to_be_visible()
    console.check("task-command")


def test_a_sensor_is_isolated_and_rejoins_as_it_reports_itself(signed_in, server):
    console, page = signed_in, signed_in.page
    LonelySensor(server, "lonely-1")
    wait_for_sensor(console, "lonely-1", "online")
    sensors_row(console, "lonely-1").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("lonely-1")
    isolation = page.get_by_text("Network isolation: wanted")
    expect(isolation).to_contain_text("wanted off, reported off")
    page.get_by_role("button", name="Isolate…").click()
    console.check("isolate")
    page.get_by_label("Type lonely-1 to go on").fill("another")
    page.get_by_role("dialog").get_by_role("button", name="Isolate").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    page.get_by_label("Type lonely-1 to go on").fill("lonely-1")
    page.get_by_role("dialog").get_by_role("button", name="Isolate").click()
    expect(isolation).to_contain_text("wanted on, reported on")
    console.check("sensor-isolated")
    page.get_by_role("button", name="Rejoin").click()
    expect(isolation).to_contain_text("wanted off, reported off")


def test_everything_that_matches_is_isolated_and_rejoins(signed_in, server):
    console, page = signed_in, signed_in.page
    for name in ("bulk-1", "bulk-2"):
        LonelySensor(server, name)
        wait_for_sensor(console, name, "online")
    console.open("/sensors?selector=hostname+matches+%22%5Ebulk-%22")
    expect(page.get_by_text("all 2 that match")).to_be_visible()
    page.get_by_role("button", name="Isolate…").click()
    expect(page.get_by_role("dialog")).to_contain_text("Isolate: 2 sensors")
    console.check("bulk")
    page.get_by_label("Type 2 to go on").fill("3")
    page.get_by_role("dialog").get_by_role("button", name="Isolate").click()
    page.get_by_label("Type 2 to go on").fill("2")
    page.get_by_role("dialog").get_by_role("button", name="Isolate").click()
    expect(page.get_by_text("Isolate: 2 sensors.")).to_be_visible()
    for name in ("bulk-1", "bulk-2"):
        expect(sensors_row(console, name)).to_contain_text("isolated")
    sensors_row(console, "bulk-2").click()
    expect(page.get_by_text("Network isolation: wanted")).to_contain_text("wanted on, reported on")
    page.go_back()
    page.get_by_role("button", name="Rejoin…").click()
    page.get_by_label("Type 2 to go on").fill("2")
    page.get_by_role("dialog").get_by_role("button", name="Rejoin").click()
    for name in ("bulk-1", "bulk-2"):
        expect(sensors_row(console, name)).not_to_contain_text("isolated")
    page.get_by_label("Tag", exact=True).fill("both")
    page.get_by_role("button", name="Add tag…").click()
    page.get_by_label("Type 2 to go on").fill("2")
    page.get_by_role("dialog").get_by_role("button", name="Tag both").click()
    for name in ("bulk-1", "bulk-2"):
        expect(sensors_row(console, name)).to_contain_text("both")


def test_a_task_for_other_hours_waits_for_them_and_says_so(signed_in, server):
    console, page = signed_in, signed_in.page
    NamedSensor(server, "night-1")
    wait_for_sensor(console, "night-1", "online")
    new_task(console, "os_version", 'hostname == "night-1"')
    hour = datetime.now().hour
    page.get_by_text("Only at some hours").click()
    page.get_by_label("From", exact=True).fill(f"{(hour + 12) % 24:02}:00")
    page.get_by_label("to", exact=True).fill(f"{(hour + 13) % 24:02}:00")
    expect(page.locator("p.note")).to_contain_text(f"between {(hour + 12) % 24:02}:00 and {(hour + 13) % 24:02}:00 of its local time")
    console.check("task-hours")
    page.get_by_role("button", name="Run it", exact=True).click()
    expect(page.get_by_role("button", name="not now 1")).to_be_visible()
    # The sensor's own page has it, too.
    wait_for_sensor(console, "night-1", "online")
    sensors_row(console, "night-1").click()
    page.get_by_role("link", name="Tasks", exact=True).click()
    expect(page.get_by_role("region", name="Tasks of the sensor").get_by_role("row").filter(has_text="os_version")).to_contain_text("not now")
    console.check("sensor-tasks")


def test_files_that_came_from_a_sensor_stand_on_its_page(signed_in, server, tmp_path):
    console, page = signed_in, signed_in.page
    NamedSensor(server, "file-1")
    wait_for_sensor(console, "file-1", "online")
    (tmp_path / "evidence.txt").write_text("found here")
    new_task(console, f"artifact_get {tmp_path}/evidence.txt", 'hostname == "file-1"')
    page.get_by_role("button", name="Run it", exact=True).click()
    expect(page.get_by_role("button", name="finished 1")).to_be_visible()
    wait_for_sensor(console, "file-1", "online")
    sensors_row(console, "file-1").click()
    page.get_by_role("link", name="Files", exact=True).click()
    row = page.get_by_role("row").filter(has_text="evidence.txt")
    expect(row).to_contain_text("10 B")
    console.check("sensor-files")
    assert downloaded(page, row.get_by_role("button", name="Save").click) == "found here"


def test_a_sensor_shows_its_tags_what_it_is_owed_and_its_events_as_they_come(signed_in, server):
    console, page = signed_in, signed_in.page
    sensor = NamedSensor(server, "log-1")
    wait_for_sensor(console, "log-1", "online")
    sensors_row(console, "log-1").click()
    page.get_by_label("New tag").fill("east wing")
    page.get_by_role("button", name="Add", exact=True).click()
    expect(page.get_by_title("east wing")).to_be_visible()
    expect(page.get_by_text("Nothing waits for it.")).to_be_visible()
    console.check("sensor")
    page.get_by_role("link", name="Timeline").click()
    events = page.get_by_role("region", name="Events")
    page.get_by_label("Kind of event").select_option("CONNECTED")
    expect(events).to_contain_text("CONNECTED")
    page.get_by_role("button", name="Pause").click()
    sensor.process.stop()
    sensor.start()
    # What comes meanwhile waits, is counted, and is shown afterwards.
    expect(page.get_by_role("button", name=re.compile(r"Resume \([1-9]\d* new\)"))).to_be_visible()
    console.check("sensor-timeline")
    before = events.get_by_text("CONNECTED").count()
    page.get_by_role("button", name=re.compile("Resume")).click()
    expect(events.get_by_text("CONNECTED")).not_to_have_count(before)
    page.get_by_role("link", name="Overview").last.click()
    page.get_by_role("button", name="Remove the tag east wing").click()
    expect(page.get_by_title("east wing")).not_to_be_visible()


def test_processes_stand_below_their_parents_and_one_is_killed(signed_in, server):
    console, page = signed_in, signed_in.page
    NamedSensor(server, "tree-1")
    wait_for_sensor(console, "tree-1", "online")
    sensors_row(console, "tree-1").click()
    child = subprocess.Popen(["sh", "-c", "sleep 300; : muster-tree-parent"])
    try:
        page.get_by_role("link", name="Processes").click()
        page.get_by_label("Only processes with this text").fill("sleep 300")
        parent = page.get_by_role("treeitem", expanded=True).filter(has_text="muster-tree-parent")
        below = page.get_by_role("treeitem").filter(has_text=re.compile(r"^\W*sleep 300 \d"))

        def is_there():
            if not below.count():
                page.get_by_role("button", name="Look again").click()
            return parent.count() and below.count()

        eventually("the processes are told", is_there)
        assert int(below.get_attribute("aria-level")) == int(parent.get_attribute("aria-level")) + 1
        console.check("processes")
        parent.get_by_role("button", name="Close").click()
        expect(below).to_have_count(0)
        # It is the only process that is ended: one that this test began.
        parent = page.get_by_role("treeitem", expanded=False).filter(has_text="muster-tree-parent")
        parent.get_by_role("button", name=f"Kill process {child.pid}").click()
        expect(page.get_by_role("dialog")).to_contain_text("muster-tree-parent")
        console.check("process-kill")
        page.get_by_role("dialog").get_by_role("button", name="Kill").click()
        eventually("the process has ended", lambda: child.poll() is not None)
    finally:
        child.kill()
        child.wait()
