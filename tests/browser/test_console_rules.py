"""Automation → D&R rules and False positives, Findings → Detections."""

import json
import re
import subprocess

from playwright.sync_api import expect

from console import sensors_row, wait_for_sensor
from fleet import NamedSensor

MARK = "muster-console-mark"
RULE = f"""detect:
  event: NEW_PROCESS
  op: and
  rules:
    - op: sounds like
      path: event/COMMAND_LINE
      value: {MARK}
    - op: is
      path: routing/hostname
      value: rule-1
respond:
  - action: report
    name: marked
"""


def write(page, text):
    """Replaces what the editor holds, by its own keys and as if pasted."""
    page.locator(".cm-content").click()
    page.keyboard.press("Control+a")
    page.keyboard.press("Delete")
    page.keyboard.insert_text(text)


def make_process():
    """A process that a sensor sees, on the machine that all sensors here share, and its parent."""
    subprocess.run(["sh", "-c", f"sleep 1; sh -c 'sleep 1; : {MARK}'; : parent"], check=True, timeout=30)


def test_a_rule_with_a_mistake_is_marked_mended_stored_and_detects(signed_in, server):
    console, page = signed_in, signed_in.page
    NamedSensor(server, "rule-1")
    wait_for_sensor(console, "rule-1", "online")
    console.open("/rules")
    expect(page.get_by_text("No rules yet.")).to_be_visible()
    console.check("rules-empty")
    page.get_by_role("link", name="New rule").first.click()
    page.get_by_label("Name").fill("console mark")
    with console.watch.expecting(re.compile("400")):
        write(page, RULE)
        problem = page.get_by_text(re.compile("^Line 5, column 11: "))
        expect(problem).to_contain_text("sounds like")
    expect(page.locator(".cm-lintRange-error")).to_have_text("sounds like")
    expect(page.get_by_role("button", name="Save")).to_be_disabled()
    console.check("rule-mistake")
    write(page, RULE.replace("sounds like", "contains"))
    expect(page.get_by_text("The server takes it")).to_be_visible()
    # It is tried before it is stored: on an event of one's own, and on what was kept.
    page.get_by_text("Try it", exact=True).click()
    event = {"routing": {"event_type": "NEW_PROCESS", "hostname": "rule-1"}, "event": {"COMMAND_LINE": f"sh {MARK}"}}
    page.get_by_label("Or on an event of your own, as JSON").fill(json.dumps(event))
    page.get_by_role("button", name="Try on this event").click()
    expect(page.get_by_text("It matches")).to_be_visible()
    page.get_by_text("What it would do").click()
    expect(page.get_by_role("region", name="What it would do")).to_contain_text("report")
    page.get_by_role("button", name="Try on kept events").click()
    expect(page.get_by_text("It does not match")).to_be_visible()
    console.check("rule-new")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("checkbox", name="console mark is in force")).to_be_checked()
    console.check("rules")

    console.open("/detections")
    expect(page.get_by_text("No detections in this time.")).to_be_visible()
    console.check("detections-empty")
    make_process()
    # Without a reload: detections are live.
    row = sensors_row(console, "marked").first
    expect(row).to_contain_text("rule-1")
    console.check("detections")
    # The chart is a filter by time, by the mouse and by key, and it stands in the address; groups lead to their own.
    over = page.locator(".chart .u-over").bounding_box()
    page.mouse.move(over["x"] + over["width"] / 2, over["y"] + 50)
    page.mouse.down()
    page.mouse.move(over["x"] + over["width"] - 1, over["y"] + 60, steps=3)
    page.mouse.up()
    whole = page.get_by_role("button", name=re.compile("^Only .* to "))
    expect(whole).to_be_visible()
    assert "from=" in page.url and "until=" in page.url
    expect(row).to_contain_text("rule-1")
    whole.click()
    page.get_by_text("As a table, to choose from").press("Enter")
    page.get_by_role("region", name="as a table").get_by_role("button").last.press("Enter")
    expect(whole).to_be_visible()
    expect(row).to_contain_text("rule-1")
    page.get_by_label("Grouped").select_option("by rule")
    console.check("detections-grouped")
    page.get_by_role("region", name="Detections by rule").get_by_role("button", name="console mark").click()
    expect(row).to_contain_text("rule-1")
    assert "rule=console" in page.url
    page.reload()
    expect(row).to_contain_text("rule-1")
    row.get_by_role("button").click()
    expect(page.get_by_role("dialog")).to_contain_text(MARK)
    expect(page.get_by_role("dialog").get_by_role("link", name="console mark")).to_be_visible()
    expect(page.get_by_role("region", name="Where it came from")).to_contain_text(": parent")
    console.check("detection")

    # From the detection to what silences it.
    page.get_by_role("link", name="False positive…").click()
    page.get_by_label("Name").fill("not on rule-1")
    expect(page.locator(".cm-content")).to_contain_text("value: rule-1")
    expect(page.get_by_text("The server takes it")).to_be_visible()
    console.check("false-positive-new")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("link", name="not on rule-1")).to_be_visible()
    console.check("false-positives")
    page.get_by_role("link", name="not on rule-1").click()
    page.get_by_role("button", name="Delete…").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.get_by_text("No false-positive rules yet.")).to_be_visible()


def test_saving_shows_the_difference_and_a_change_by_somebody_else_is_not_overwritten(signed_in, server):
    console, page = signed_in, signed_in.page
    console.open("/rules/edit")
    page.get_by_label("Name").fill("shared")
    expect(page.get_by_text("The server takes it")).to_be_visible()
    page.get_by_role("button", name="Save").click()
    page.get_by_role("link", name="shared").click()
    editor = page.locator(".cm-content")
    expect(editor).to_contain_text("/whoami")
    # Somebody else stores it meanwhile, from another place.
    page.evaluate(
        """([oid]) => fetch(`/v1/hive/dr-general/${oid}/shared/data`, {method: "POST", headers: {"x-muster-console": "1"},
             body: new URLSearchParams({data: JSON.stringify({detect: {event: "NEW_PROCESS", op: "exists", path: "event/THEIRS"},
             respond: [{action: "report", name: "theirs"}]})})})""",
        [server.oid],
    )
    write(page, editor.inner_text().replace("/whoami", "/id"))
    expect(page.get_by_text("The server takes it")).to_be_visible()
    page.get_by_role("button", name="Save…").click()
    expect(page.get_by_role("dialog")).to_contain_text("+   value: /id")
    console.check("rule-difference")
    with console.watch.expecting(re.compile("40[09]")):
        page.get_by_role("dialog").get_by_role("button", name="Save").click()
        expect(page.get_by_role("alert")).to_contain_text("event/THEIRS")
    expect(editor).to_contain_text("/id")
    console.check("rule-overtaken")
    page.get_by_role("button", name="Go on with mine in place of theirs").click()
    # Who changed it stands beside it, as its own tests do.
    page.get_by_role("link", name="History").click()
    expect(page.get_by_role("region", name="History").get_by_role("row").filter(has_text="ana@example.org")).to_have_count(2)
    console.check("rule-history")
    page.get_by_role("link", name="Unit tests").click()
    expect(page.get_by_text("The rule has none.")).to_be_visible()
    event = "[[{event: {FILE_PATH: /bin/id}, routing: {event_type: NEW_PROCESS}}]]"
    write(page, f"{editor.inner_text().rstrip()}\ntests:\n  match: {event}\n")
    page.get_by_text("match 1 passes").click()
    expect(page.get_by_role("region", name="match 1, step by step")).not_to_be_empty()
    console.check("rule-tests")
    expect(page.get_by_text("The server takes it")).to_be_visible()
    page.get_by_role("button", name="Save…").click()
    expect(page.get_by_role("dialog")).to_contain_text("event/THEIRS")
    page.get_by_role("dialog").get_by_role("button", name="Save").click()
    expect(page.get_by_role("link", name="shared")).to_be_visible()


def test_what_was_written_and_not_saved_is_there_again_until_it_is_given_up(signed_in):
    console, page = signed_in, signed_in.page
    console.open("/rules/edit")
    write(page, RULE.replace("sounds like", "contains"))
    expect(page.get_by_text("The server takes it")).to_be_visible()
    console.open("/rules")
    page.get_by_role("link", name="New rule").first.click()
    expect(page.get_by_text("This is what you wrote and did not save")).to_be_visible()
    expect(page.locator(".cm-content")).to_contain_text(MARK)
    console.check("rule-draft")
    page.get_by_role("button", name="Give it up").click()
    expect(page.locator(".cm-content")).to_contain_text("/whoami")
    page.reload()
    expect(page.locator(".cm-content")).to_contain_text("/whoami")


def test_a_rule_begins_with_an_event_of_the_timeline(signed_in, server):
    console, page = signed_in, signed_in.page
    NamedSensor(server, "begin-1")
    wait_for_sensor(console, "begin-1", "online")
    sensors_row(console, "begin-1").click()
    page.get_by_role("link", name="Timeline").click()
    page.get_by_label("Kind of event").select_option("CONNECTED")
    events = page.get_by_role("region", name="Events")
    page.get_by_label("Only events with this text").fill("begin-1")
    events.locator("summary").first.click()
    # An event is unfolded where one looks, and the filter stands in the address.
    expect(events.get_by_text("hostname:").first).to_be_visible()
    assert "find=begin-1" in page.url and "kind=CONNECTED" in page.url
    console.check("event")
    events.get_by_role("link", name="Rule from this…").first.click()
    expect(page.locator(".cm-content")).to_contain_text("event: CONNECTED")
    expect(page.get_by_text("The server takes it")).to_be_visible()
