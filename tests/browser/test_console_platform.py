"""Platform: keys, users, outputs, files, audit and health."""

import re

from playwright.sync_api import expect

from console import one_time_link
from process import free_port


def test_an_installation_key_is_made_copied_as_a_line_and_deleted(signed_in):
    console, page = signed_in, signed_in.page
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    console.open("/installation-keys")
    page.get_by_label("For", exact=True).fill("laptops")
    page.get_by_label("Tags of the sensors that enrol with it").fill("east, laptop")
    page.get_by_role("button", name="Make it").click()
    row = page.get_by_role("row").filter(has_text="laptops")
    expect(row).to_contain_text("east,laptop")
    row.get_by_role("button", name="Copy for Linux").click()
    expect(row.get_by_role("button", name="Copied")).to_be_visible()
    line = page.evaluate("navigator.clipboard.readText()")
    assert re.fullmatch(r"sudo muster-sensor --install \S{40,}", line), line
    console.check("installation-keys")
    page.get_by_role("button", name="Delete laptops").click()
    console.check("installation-key-delete")
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(row).to_have_count(0)


def test_users_are_added_given_roles_and_let_in_and_keys_are_shown_once(signed_in, server):
    console, page = signed_in, signed_in.page
    console.open("/users")
    # What a role may is read before it is given.
    page.get_by_text("What each role may").click()
    expect(page.get_by_text("all of Viewer, and")).to_contain_text("sensor.task")
    page.get_by_label("Add", exact=True).fill("bo@example.org")
    page.get_by_role("button", name="Add user").click()
    row = page.get_by_role("row").filter(has_text="bo@example.org")
    before = row.get_by_text("permissions").inner_text()
    page.get_by_label("Role of bo@example.org").select_option("Operator")
    expect(row.get_by_text("permissions")).not_to_have_text(before)
    row.get_by_role("button", name="Link for a password").click()
    assert "#once=" in page.get_by_role("dialog").locator("pre").inner_text()
    console.check("user-link")
    page.get_by_role("button", name="Close").click()

    page.get_by_text("Make an API key").click()
    page.get_by_label("Name", exact=True).fill("reader")
    page.get_by_label("sensor.list", exact=True).check()
    page.get_by_role("button", name="Make it").click()
    secret = page.get_by_role("dialog").locator("pre").inner_text()
    console.check("api-key")
    page.get_by_role("button", name="Close").click()
    expect(page.get_by_role("row").filter(has_text="reader")).to_contain_text("1 permission")
    assert secret not in page.content(), "a key is shown once"
    console.check("users")
    page.get_by_role("button", name="Remove bo@example.org").click()
    page.get_by_role("dialog").get_by_role("button", name="Remove").click()
    expect(row).to_have_count(0)
    # The other tests sign in as the only user.
    assert "#once=" in one_time_link(server)


def delete(page, name: str) -> None:
    page.get_by_role("button", name=f"Delete {name}").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()


def test_an_output_that_cannot_be_says_why_and_one_that_can_is_listed(signed_in):
    console, page = signed_in, signed_in.page
    console.open("/outputs")
    expect(page.get_by_text("No outputs yet.")).to_be_visible()
    page.get_by_label("Name", exact=True).fill("hook")
    with console.watch.expecting(re.compile("400")):
        page.get_by_role("button", name="Make it").click()
        expect(page.get_by_role("alert")).to_contain_text("dest_host is required")
    expect(page.get_by_label("Name", exact=True)).to_have_value("hook")
    console.check("output-mistake")
    page.get_by_label("Name", exact=True).fill("kept")
    page.get_by_label("By", exact=True).select_option("file")
    page.get_by_label("Folder below outputs/ of the server").fill("found")
    page.get_by_role("button", name="Make it").click()
    row = page.get_by_role("row").filter(has_text="kept")
    expect(row).to_contain_text("found")
    expect(row).to_contain_text("nothing was sent yet")
    page.get_by_role("button", name="Test kept").click()
    expect(page.get_by_text("A test record arrived where kept sends.")).to_be_visible()
    expect(row).to_contain_text("delivers; last")
    # It is changed where it stands: which records it sends, and how they look.
    row.get_by_role("button", name="Change… kept").click()
    form = page.get_by_role("dialog")
    expect(form.get_by_label("Folder below outputs/ of the server")).to_have_value("found")
    form.get_by_text("Only some of it").click()
    form.get_by_label("Only of these kinds").fill("marked\nseen")
    form.get_by_text("How a record looks").click()
    form.get_by_label("Without routing").check()
    console.check("output-change")
    form.get_by_role("button", name="Change it").click()
    expect(form).to_have_count(0)
    row.get_by_role("button", name="Change… kept").click()
    expect(form.get_by_label("Only of these kinds")).to_have_value("marked\nseen")
    expect(form.get_by_label("Without routing")).to_be_checked()
    form.get_by_role("button", name="Cancel").click()
    delete(page, "kept")
    expect(page.get_by_text("No outputs yet.")).to_be_visible()


def test_an_output_that_does_not_deliver_says_why_what_waits_and_what_to_do(signed_in):
    console, page = signed_in, signed_in.page
    console.open("/outputs")
    page.get_by_label("Name", exact=True).fill("siem")
    page.get_by_label("What it sends").select_option("audit")
    page.get_by_label("By", exact=True).select_option("syslog")
    page.get_by_label("Host and port").fill(f"127.0.0.1:{free_port()}")
    page.get_by_role("button", name="Make it").click()
    row = page.get_by_role("row").filter(has_text="siem")
    page.get_by_role("button", name="Test siem").click()
    expect(page.get_by_text("siem could not deliver a test record: ")).to_contain_text("refused")
    # The audit record of the test itself waits now, too.
    expect(row).to_contain_text("next try")
    expect(row.get_by_role("cell").nth(4)).to_have_text(re.compile(r"^[1-9]\d* \("))
    console.check("outputs")
    page.get_by_role("navigation", name="Pages").get_by_role("link", name="Health").click()
    part = page.get_by_role("region", name="Parts").get_by_role("row").filter(has_text="output siem")
    expect(part).to_contain_text("refused")
    part.get_by_role("link", name="Test it, or mend its settings").click()
    delete(page, "siem")
    expect(page.get_by_text("No outputs yet.")).to_be_visible()


def test_a_payload_is_brought_and_the_audit_tells_who_did(signed_in):
    console, page = signed_in, signed_in.page
    console.open("/files")
    page.get_by_label("Add a file").set_input_files({"name": "tool.sh", "mimeType": "text/plain", "buffer": b"echo tool"})
    page.get_by_role("button", name="Send").click()
    expect(page.get_by_role("row").filter(has_text="tool.sh")).to_contain_text("9 B")
    console.check("files")
    console.open("/audit")
    page.get_by_label("Only records with this text").fill("tool.sh")
    row = page.get_by_role("row").filter(has_text="tool.sh").first
    expect(row).to_contain_text("ana@example.org")
    console.check("audit")


def test_health_tells_how_each_part_is_and_what_there_is(signed_in):
    console, page = signed_in, signed_in.page
    console.open("/health")
    parts = page.get_by_role("region", name="Parts").get_by_role("row")
    for part, stands in {"store": "takes changes", "private CA": "valid until", "server certificate": "valid until", "sensors": ""}.items():
        expect(parts.filter(has_text=part).first).to_contain_text(stands)
    expect(page.get_by_text("Sensors at most")).to_be_visible()
    console.check("health")
