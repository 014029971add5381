"""Sensors → Live session: a machine is looked at, programs run there, files come and go, and all of it is recorded."""

import hashlib
import re
from pathlib import Path

from playwright.sync_api import expect

from console import downloaded, sensors_row, wait_for_sensor
from fleet import NamedSensor


def open_session(console, server, name):
    sensor = NamedSensor(server, name)
    wait_for_sensor(console, name, "online")
    sensors_row(console, name).click()
    console.page.get_by_role("link", name="Live session").click()
    expect(console.page.get_by_role("heading", name="Open a live session")).to_be_visible()
    return sensor


def begin(console):
    console.page.get_by_role("button", name="Open a session").click()
    expect(console.page.get_by_role("region", name="Live session").get_by_role("status").first).to_have_text("open")
    expect(screen(console)).to_contain_text("help lists what there is")


def screen(console):
    return console.page.locator(".xterm-rows")


def type_line(console, text):
    console.page.get_by_role("textbox", name=re.compile("Terminal of")).focus()
    console.page.keyboard.type(text)
    console.page.keyboard.press("Enter")


def test_programs_run_files_come_and_go_and_the_transcript_tells_it(signed_in, server, tmp_path):
    console, page = signed_in, signed_in.page
    open_session(console, server, "live-1")
    console.check("live-before")
    begin(console)
    type_line(console, "whoami")
    expect(screen(console)).to_contain_text("To run a program: run whoami")
    # What programs write is text: sequences that would act on a terminal are seen.
    type_line(console, r'run printf "all \033]0;title\007 well\033[2J\n"')
    expect(screen(console)).to_contain_text("all ␛]0;title␇ well␛[2J")
    type_line(console, 'run sh -c "exit 3"')
    expect(screen(console)).to_contain_text("exit code 3")
    (tmp_path / "kept.txt").write_text("kept here\n")
    type_line(console, f"cd {tmp_path}")
    # A line that is entered while another is carried out stays where it is typed.
    expect(screen(console)).to_contain_text("live-1:test_programs")
    type_line(console, "ls")
    expect(screen(console)).to_contain_text("kept.txt")
    assert downloaded(page, lambda: type_line(console, "get kept.txt")) == "kept here\n"
    expect(screen(console)).to_contain_text("10 B, downloaded")
    type_line(console, "cd nowhere")
    expect(screen(console)).to_contain_text(re.compile("cannot find|not found|no such", re.IGNORECASE))

    # The same machine beside it, as folders and files.
    files = page.get_by_role("region", name="Files")
    for step in ("/", *Path(tmp_path).parts[1:]):
        files.get_by_role("button", name=step if step == "/" else f"{step}/", exact=True).click()
    name = '<img src=x onerror="alert(1)">.txt'
    # A file that is on its way can be cancelled.
    page.route("**/sessions/*/files", lambda route: None)
    files.get_by_label("Send a file into this folder").set_input_files({"name": "late", "mimeType": "text/plain", "buffer": b"late"})
    files.get_by_role("button", name="Cancel").click()
    expect(page.get_by_text("The file was not sent: you cancelled it.")).to_be_visible()
    page.unroute("**/sessions/*/files")
    files.get_by_label("Send a file into this folder").set_input_files({"name": name, "mimeType": "text/plain", "buffer": b"sent"})
    expect(files.get_by_role("row").filter(has_text=name)).to_contain_text("4 B")
    expect(page.get_by_text(f"SHA-256 {hashlib.sha256(b'sent').hexdigest()}")).to_be_visible()
    assert (tmp_path / name).read_text() == "sent"
    assert downloaded(page, files.get_by_role("button", name="Download kept.txt").click) == "kept here\n"
    console.check("live")
    files.get_by_role("button", name="Delete kept.txt").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(files.get_by_role("row").filter(has_text="kept.txt")).to_have_count(0)
    assert not (tmp_path / "kept.txt").exists()
    assert page.locator("img").count() == 0

    page.get_by_role("region", name="Live session").get_by_role("link", name="Transcript").click()
    orders = page.get_by_role("region", name="Orders")
    expect(orders.get_by_role("row").filter(has_text="create process").first).to_contain_text("ana@example.org")
    expect(orders.get_by_role("row").filter(has_text="delete file").last).to_contain_text(f"{tmp_path}/kept.txt")
    expect(page.get_by_role("region", name="Files that were moved")).to_contain_text("from the machine")
    console.check("transcript")


def test_a_session_that_ends_while_one_types_loses_nothing_that_was_typed(signed_in, server):
    console, page = signed_in, signed_in.page
    open_session(console, server, "live-2")
    begin(console)
    page.get_by_role("textbox", name=re.compile("Terminal of")).focus()
    page.keyboard.type("run echo still")
    # Somebody else closes it.
    found = page.evaluate("""async () => {
      const session = await (await fetch("/console/api/session")).json()
      const path = `/appservices/v6/orgs/${session.organizations[0].oid}/liveresponse/sessions`
      const open = (await (await fetch(path)).json()).filter((one) => one.status === "ACTIVE" && one.hostname === "live-2")
      const answers = open.map((one) => fetch(`${path}/${one.id}`, { method: "DELETE", headers: { "x-muster-console": "1" } }))
      return (await Promise.all(answers)).map((answer) => answer.status)
    }""")
    assert found == [204]
    expect(page.get_by_text("The session is over")).to_be_visible()
    page.keyboard.type(" here")
    expect(screen(console)).to_contain_text("run echo still here")
    console.check("live-over")
    page.get_by_role("button", name="Open another session").click()
    expect(page.get_by_role("region", name="Live session").get_by_role("status").first).to_have_text("open")
    type_line(console, "")
    expect(screen(console).get_by_text(re.compile(r"^still here\s*$"))).to_be_visible()


def test_the_terminal_is_left_by_a_key(signed_in, server):
    console, page = signed_in, signed_in.page
    open_session(console, server, "live-3")
    begin(console)
    page.keyboard.press("F6")
    assert page.evaluate("document.activeElement.tagName") == "P"
    # A line that is longer than the screen is shown around the cursor.
    page.get_by_role("textbox", name=re.compile("Terminal of")).focus()
    page.keyboard.type("a" * 300 + "end")
    expect(screen(console)).to_contain_text("aend")
