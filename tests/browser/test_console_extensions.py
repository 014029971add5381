"""Automation → Extensions: those that are built in and those of others, each with forms by its own schema."""

import re

import pytest
from playwright.sync_api import expect

from robot import HOSTILE, Greeter


@pytest.fixture
def greeter():
    started = Greeter()
    yield started
    started.stop()


def test_an_extension_is_asked_by_the_form_of_its_own_schema(signed_in):
    console, page = signed_in, signed_in.page
    console.open("/extensions")
    row = page.get_by_role("row").filter(has_text="ext-reliable-tasking")
    expect(row).to_contain_text("part of the server")
    row.get_by_role("link").click()
    page.get_by_role("link", name="explain", exact=True).click()
    page.get_by_role("button", name="Ask: explain").click()
    expect(page.get_by_role("alert").first).to_have_text("Task is needed.")
    console.check("extension-lacks")
    page.get_by_role("link", name="preview", exact=True).click()
    page.get_by_label("Selector").fill("plat == linux")
    page.get_by_label("Limit").fill("3")
    page.get_by_role("button", name="Ask: preview").click()
    expect(page.get_by_role("region", name="Answer")).to_contain_text("total_sensors")
    console.check("extension")


def test_an_extension_of_others_is_registered_subscribed_to_set_up_asked_and_harmless(signed_in, greeter):
    console, page = signed_in, signed_in.page
    page.on("dialog", lambda dialog: console.watch.complaints.append(f"a script ran: {dialog.message}"))
    console.open("/extensions")
    page.get_by_text("Register an extension").click()
    page.get_by_label("Name", exact=True).fill("greeter")
    page.get_by_label("Address", exact=True).fill(greeter.url)
    page.get_by_label("Shared secret").fill("shared-secret-123")
    page.get_by_label("It may be at a private or loopback address").check()
    console.check("extension-register")
    page.get_by_role("button", name="Register", exact=True).click()
    row = page.get_by_role("row").filter(has_text="greeter")
    expect(row).to_contain_text("well")
    row.get_by_role("button", name="Subscribe to greeter").click()
    expect(row).to_contain_text("ana@example.org")
    console.check("extensions")
    row.get_by_role("link").click()

    # What an organization sets is asked for by the extension's form; the extension says whether it is right.
    settings = page.locator("section").filter(has=page.get_by_role("heading", name="What is set in it"))
    level, token = settings.get_by_label(f"Level {HOSTILE}"), settings.get_by_label(f"Token {HOSTILE}")
    expect(level).to_have_value("1")
    level.fill("9")
    with console.watch.expecting(re.compile("400")):
        settings.get_by_role("button", name="Save").click()
        expect(settings.get_by_role("alert")).to_contain_text(f"invalid value for level: 9 is too much {HOSTILE}")
    # What is refused stands at the field that it names.
    expect(level).to_have_attribute("aria-invalid", "true")
    expect(level).to_be_focused()
    console.check("extension-refused")
    level.fill("3")
    token.fill("s3cret")
    settings.get_by_role("button", name="Save").click()
    expect(page.get_by_text("greeter is set up.")).to_be_visible()
    page.reload()
    expect(level).to_have_value("3")
    expect(token).to_have_value("")
    # A secret that is not written anew stays. An object is set part by part.
    level.fill("4")
    place = settings.get_by_role("group", name=f"Place {HOSTILE}")
    place.get_by_label(f"Port {HOSTILE}").fill("7")
    settings.get_by_role("button", name="Save").click()
    expect(settings.get_by_role("alert")).to_have_text(f"Host {HOSTILE} is needed.")
    place.get_by_label(f"Host {HOSTILE}").fill("here")
    # A list and a record are asked for item by item.
    for name in ("Hops", "Sites"):
        settings.get_by_role("button", name=f"Add to {name}").click()
        item = settings.get_by_role("group", name=f"{name} {HOSTILE} 1")
        item.get_by_label(f"Host {HOSTILE}").fill(name)
    item.get_by_label("Site", exact=True).fill("east")
    settings.get_by_role("button", name="Add to Hops").click()
    settings.get_by_role("button", name=f"Remove Hops {HOSTILE} 2").click()
    settings.get_by_role("button", name="Save").click()
    expect(page.get_by_text("greeter is set up.")).to_be_visible()
    assert greeter.configurations[-1] == {
        "level": 4, "token": "s3cret", "place": {"host": "here", "port": 7},
        "hops": [{"host": "Hops"}], "sites": {"east": {"host": "Sites"}},
    }
    console.check("extension-configured")

    page.get_by_role("link", name=f"Greet {HOSTILE}").click()
    page.get_by_role("button", name=f"Ask: Greet {HOSTILE}").click()
    expect(page.get_by_role("alert").first).to_have_text(f"Who {HOSTILE} is needed.")
    page.get_by_label(f"Who {HOSTILE}").fill("Ada")
    page.get_by_label(f"Tone {HOSTILE}").select_option("warm")
    page.get_by_label(f"Since {HOSTILE}").fill("2026-01-31T12:00")
    page.get_by_role("button", name=f"Ask: Greet {HOSTILE}").click()
    answer = page.get_by_role("region", name="Answer")
    for said in ['"who": "Ada"', '"tone": "warm"', '"since": 17']:
        expect(answer).to_contain_text(said)
    console.check("extension-of-others")
    assert page.locator("img").count() == 0

    page.get_by_role("button", name="Unsubscribe greeter").click()
    page.get_by_role("dialog").get_by_role("button", name="Unsubscribe").click()
    expect(page.get_by_role("button", name="Subscribe", exact=True)).to_be_visible()
    page.get_by_role("button", name="Delete greeter").click()
    # Nothing is asked about it any more once it is being deleted: a complaint of the browser would fail this test.
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Extensions")
    expect(page.get_by_role("row").filter(has_text="greeter")).to_have_count(0)
