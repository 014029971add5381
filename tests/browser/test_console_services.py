"""Automation → Services and Jobs: a program of others is registered, told things, asked, and says what it did."""

import pytest
from playwright.sync_api import expect

from robot import HOSTILE, Robot


@pytest.fixture
def robot():
    started = Robot()
    yield started
    started.stop()


def test_a_service_is_registered_told_asked_and_its_job_is_read(signed_in, robot):
    console, page = signed_in, signed_in.page
    console.open("/services")
    expect(page.get_by_text("No services yet.")).to_be_visible()
    page.get_by_text("Register a service").click()
    page.get_by_label("Name", exact=True).fill("robot")
    page.get_by_label("Address", exact=True).fill(robot.url)
    page.get_by_label("Shared secret").fill("shared-secret-123")
    page.get_by_label("Permissions").fill("sensor.list")
    page.get_by_label("Calls in a second").fill("7")
    page.get_by_label("segment: it sees and changes only what it made itself").check()
    page.get_by_label("bulk: it may call more often").check()
    page.get_by_label("It may be at a private or loopback address").check()
    console.check("service-register")
    page.get_by_role("button", name="Register", exact=True).click()
    expect(page.get_by_role("row").filter(has_text="robot")).to_contain_text("well")
    console.check("services")

    # What it refuses waits as given up, until somebody has it delivered again.
    robot.is_refusing = True
    page.get_by_role("link", name="robot", exact=True).click()
    expect(page.get_by_text("segment, bulk")).to_be_visible()
    expect(page.get_by_text("7 at most")).to_be_visible()
    expect(page.get_by_text("nothing that a rule names")).to_be_visible()
    page.get_by_role("button", name="Subscribe", exact=True).click()
    given_up = page.get_by_role("region", name="Deliveries").get_by_role("row").filter(has_text="org_install")
    expect(given_up).to_contain_text("given up: out of paper")
    console.check("service")
    robot.is_refusing = False
    given_up.get_by_role("button", name="Deliver again").click()
    expect(page.get_by_text("Nothing: it has taken all that it was told.")).to_be_visible()
    page.get_by_role("button", name="Ask how it is").click()
    expect(page.get_by_text("robot answered.")).to_be_visible()

    # The form is the one that it declares; numbers are numbers.
    page.get_by_role("button", name="Ask", exact=True).click()
    expect(page.get_by_role("alert").first).to_have_text("machine is needed.")
    page.get_by_label("machine").fill("web-1")
    page.get_by_label("depth").fill("3")
    page.get_by_label("how", exact=True).select_option("slow")
    page.get_by_role("button", name="Ask", exact=True).click()
    answer = page.get_by_role("region", name="Answer")
    for said in ['"machine": "web-1"', '"depth": 3', '"how": "slow"']:
        expect(answer).to_contain_text(said)
    console.check("service-asked")

    console.open("/jobs")
    row = page.get_by_role("row").filter(has_text="look for paper")
    expect(row).to_contain_text("over")
    expect(row).to_contain_text(HOSTILE)
    console.check("jobs")
    row.get_by_role("link").click()
    for caption, said in {
        "first bytes": "7f 45 4c 46 3c 69 6d 67", "open files": "/etc/passwd", "settings": "depth: 3", "all of it": '"found"',
    }.items():
        page.locator("summary").filter(has_text=caption).click()
        expect(page.get_by_role("region", name=caption)).to_contain_text(said)
    # Whatever a service says is text.
    assert page.locator("img").count() == 0
    console.check("job")
    page.get_by_role("button", name="Forget look for paper").click()
    page.get_by_role("dialog").get_by_role("button", name="Forget").click()
    expect(page.get_by_text("No jobs yet.")).to_be_visible()

    console.open("/services/robot")
    page.get_by_role("button", name="Unsubscribe robot").click()
    page.get_by_role("dialog").get_by_role("button", name="Unsubscribe").click()
    expect(page.get_by_role("button", name="Subscribe", exact=True)).to_be_visible()
    page.get_by_role("button", name="Delete robot").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.get_by_text("No services yet.")).to_be_visible()
