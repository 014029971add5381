"""Every state of every page: on the way, failed and mended, refused, gone; and its address shows the same elsewhere."""

import json
import re
from contextlib import suppress

import pytest
from playwright.sync_api import TimeoutError, expect

from console import wait_for_sensor
from fleet import NamedSensor

# Pages of an organization, the heading of each, and the permission without which there is nothing to see.
PAGES = [
    ("", "Overview", None),
    ("/sensors", "Sensors", "sensor.list"),
    ("/reliable-tasking", "Reliable Tasking", "ext.request"),
    ("/rules", "D&R rules", "dr.list"),
    ("/false-positives", "False positives", "fp.ctrl"),
    ("/extensions", "Extensions", None),
    ("/services", "Services", "replicant.get"),
    ("/jobs", "Jobs", "job.get"),
    ("/detections", "Detections", "insight.det.get"),
    ("/outputs", "Outputs", "output.list"),
    ("/installation-keys", "Installation keys", "ikey.list"),
    ("/files", "Payloads and artifacts", "insight.list"),
    ("/users", "API keys and users", "apikey.ctrl"),
    ("/audit", "Audit", "audit.get"),
    ("/health", "Health", "org.get"),
]
NOBODY = "00000000-0000-4000-8000-000000000000"
# What is shown of one thing, that is not there.
GONE = [
    (f"/sensors/{NOBODY}", "There is no such sensor."),
    (f"/reliable-tasking/{NOBODY}", "There is no such task."),
    ("/rules/edit?name=nothing", "There is no such rule."),
    ("/extensions/nothing", "There is no such extension."),
    ("/services/nothing", "There is no such service."),
    (f"/jobs/{NOBODY}", "There is no such job."),
    (f"/detections?id={NOBODY}", "There is no such detection."),
    ("/transcripts/7", "There is no such session."),
    ("/nowhere", "There is no such page."),
]


class Line:
    """What stands between the page and the API: it lets calls through, holds them, or has them fail."""

    def __init__(self, page):
        self.page, self.mode, self.held = page, "pass", []
        page.route(re.compile("/v1/"), self.answer)

    def answer(self, route) -> None:
        if self.mode == "hold":
            self.held.append(route)
        elif self.mode == "fail":
            said = {"error": "it cannot be so", "error_code": "bad_request"}
            route.fulfill(status=400, content_type="application/json", body=json.dumps(said))
        else:
            route.continue_()

    def let_through(self) -> None:
        self.mode = "pass"
        held, self.held = self.held, []
        for route in held:
            route.continue_()


@pytest.fixture
def line(signed_in):
    line = Line(signed_in.page)
    yield line
    signed_in.page.unroute_all(behavior="ignoreErrors")


@pytest.mark.parametrize(("path", "heading"), [(path, heading) for path, heading, _ in PAGES])
def test_a_page_stands_while_it_is_read_says_what_failed_and_is_mended_without_a_reload(signed_in, line, path, heading):
    console, page = signed_in, signed_in.page
    line.mode = "hold"
    console.open(path)
    expect(page.get_by_role("heading", level=1)).to_have_text(heading)
    expect(page.locator(".loading, [aria-busy=true]").first).to_be_visible()
    line.let_through()
    expect(page.locator(".loading, [aria-busy=true]")).to_have_count(0)
    line.mode = "fail"
    with console.watch.expecting(re.compile("400")):
        console.open(path)
        failed = page.get_by_role("alert").filter(has_text="could not be read")
        expect(failed.first).to_contain_text("it cannot be so")
        expect(page.locator(".loading, [aria-busy=true]")).to_have_count(0)
        failed.first.get_by_text("What to do").click()
        expect(failed.first.locator("pre")).to_contain_text("What to do.")
        if heading in ("Sensors", "Jobs"):
            console.check(f"failed-{heading.lower()}")
    line.mode = "pass"
    while count := failed.count():
        # A page that asks again by itself may be quicker.
        with suppress(TimeoutError):
            failed.first.get_by_role("button", name="Try again").click(timeout=2_000)
        expect(failed).not_to_have_count(count)


def test_what_is_not_there_is_said_to_be_gone_and_nothing_else_of_it(signed_in):
    console, page = signed_in, signed_in.page
    with console.watch.expecting(re.compile("40[04]")):
        for path, said in GONE:
            console.open(path)
            expect(page.get_by_text(said)).to_be_visible()
            assert page.get_by_role("button", name="Try again").count() == 0, path
        console.open(GONE[0][0])
        console.check("gone")


def test_pages_that_one_may_not_see_are_not_listed_and_name_what_is_missing(signed_in):
    console, page = signed_in, signed_in.page
    console.sign_in_as("kim@example.org", "Basic")
    may = page.evaluate("fetch('/console/api/session').then((a) => a.json()).then((s) => s.organizations[0].permissions)")
    listed = page.get_by_role("navigation", name="Pages").get_by_role("link").all_inner_texts()
    assert listed == [heading for _, heading, needs in PAGES if needs is None or needs in may]
    refused = [(path, needs) for path, _, needs in PAGES if needs and needs not in may]
    assert len(refused) > 5, "a user with few permissions sees few pages"
    with console.watch.expecting(re.compile("40[13]"), at_least=0):
        for path, needs in refused:
            console.open(path)
            expect(page.get_by_text(f"This needs the permission {needs}.").first).to_be_visible()
    console.remove("kim@example.org")


def test_an_address_shows_somebody_else_the_same(signed_in, server, chromium):
    console, page = signed_in, signed_in.page
    NamedSensor(server, "same-1")
    wait_for_sensor(console, "same-1", "online")
    page.get_by_role("combobox", name="Selector").fill('hostname == "same-1"')
    page.get_by_role("button", name="Apply").click()
    page.get_by_role("button", name="Host").click()
    page.get_by_label("State").select_option("online")
    addresses = [page.url]
    page.get_by_role("row").filter(has_text="same-1").click()
    page.get_by_role("link", name="Timeline").click()
    page.get_by_label("Kind of event").select_option("CONNECTED")
    addresses.append(page.url)
    console.open("/audit")
    page.get_by_label("Only records with this text").fill("signed in")
    addresses.append(page.url)
    console.open("/detections")
    page.get_by_label("Since when").select_option("1w")
    addresses.append(page.url)
    console.open("/extensions/ext-reliable-tasking")
    page.get_by_role("link", name="preview", exact=True).click()
    expect(page.get_by_role("button", name="Ask: preview")).to_be_visible()
    addresses.append(page.url)
    other = chromium.new_page()
    try:
        for address in addresses:
            page.goto(address)
            other.goto(address)
            for shown in (page, other):
                shown.get_by_text("live", exact=True).wait_for()
                shown.wait_for_load_state("networkidle")
            chosen = """() => [...document.querySelectorAll("main input:not([type=password]), main select")]
              .map((one) => one.type === "checkbox" ? one.checked : one.value)"""
            assert page.evaluate(chosen) == other.evaluate(chosen), address
            head = "document.querySelector('main h1').textContent"
            assert page.evaluate(head) == other.evaluate(head), address
    finally:
        other.close()
