"""Coming in: by the one-time link, by password; and going out, of one's own will or not."""

import re

import pytest
from playwright.sync_api import expect

from console import PASSWORD, Console, one_time_link
from process import Server


@pytest.fixture
def console(watch, server):
    return Console(watch, server)


@pytest.fixture
def console_of_nobody(watch, tmp_path):
    """Of a server that nobody signed in to yet."""
    server = Server(tmp_path / "server")
    yield Console(watch, server)
    # A page that is left does not complain of a server that ends.
    watch.page.goto("about:blank")
    server.stop()


def test_the_first_user_comes_in_by_the_link_and_later_by_password(console_of_nobody):
    console, page = console_of_nobody, console_of_nobody.page
    link = one_time_link(console.server)
    page.goto(link)
    page.get_by_label("User (e-mail address)").wait_for()
    assert "once" not in page.url, "what proves the link is not left in the address"
    console.check("first-user")
    page.get_by_label("User (e-mail address)").fill("ana@example.org")
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_label("The same again").fill("something else")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_have_text("The two passwords differ.")
    page.get_by_label("User (e-mail address)").fill("ana@example.org")
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_label("The same again").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", level=1, name="Overview")).to_be_visible()
    expect(page.get_by_text("live", exact=True)).to_be_visible()

    page.get_by_role("button", name="Account of ana@example.org").click()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in to muster")).to_be_visible()
    console.check("sign-in")
    with console.watch.expecting(re.compile("401")):
        page.get_by_label("User (e-mail address)").fill("ana@example.org")
        page.get_by_label("Password").fill("not the password")
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("alert")).to_contain_text("wrong user name or password")
    # A link from elsewhere to a page leads to that page after signing in.
    with console.watch.expecting(re.compile("401")):
        page.goto(f"{console.root}/muster/account")
        expect(page.get_by_role("heading", name="Sign in to muster")).to_be_visible()
    page.get_by_label("User (e-mail address)").fill("ana@example.org")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", level=1, name="Password and sessions")).to_be_visible()
    expect(page.get_by_text("(this one)")).to_be_visible()
    console.check("account")


def test_the_link_is_opened_in_the_browser_of_the_machine(console, tmp_path):
    # In place of the browser, a program that keeps what it is given.
    (tmp_path / "xdg-open").write_text(f'#!/bin/sh\nprintf %s "$1" > {tmp_path}/opened\n')
    (tmp_path / "xdg-open").chmod(0o755)
    console.sign_in()
    printed = one_time_link(console.server, "--open", path=str(tmp_path))
    assert (tmp_path / "opened").read_text() == printed
    console.page.context.clear_cookies()
    console.page.goto("about:blank")
    console.page.goto(printed)
    console.page.get_by_role("button", name="Sign in").click()
    expect(console.page.get_by_role("heading", level=1, name="Overview")).to_be_visible()


def test_who_guesses_passwords_is_told_how_long_to_wait(console_of_nobody):
    console, page = console_of_nobody, console_of_nobody.page
    page.goto(f"{console.root}/sign-in")
    with console.watch.expecting(re.compile("401|429")):
        for number in range(6):
            page.get_by_label("User (e-mail address)").fill("ana@example.org")
            page.get_by_label("Password").fill(f"guess number {number}")
            page.get_by_role("button", name="Sign in").click()
            expect(page.get_by_role("alert")).to_be_visible()
            expect(page.get_by_label("Password")).to_have_value("")
        expect(page.get_by_role("alert")).to_contain_text(re.compile(r"Too many tries\. The next one is possible in \d+ s\."))
        expect(page.get_by_role("button", name="Sign in")).to_be_disabled()
        console.check("too-many-tries")


def test_a_user_makes_another_organization_and_goes_from_one_to_the_other(console_of_nobody):
    console, page = console_of_nobody, console_of_nobody.page
    console.sign_in()
    page.get_by_role("button", name="Account of ana@example.org").click()
    page.get_by_role("button", name="New organization…").click()
    page.get_by_label("Name", exact=True).fill("second")
    console.check("organization-new")
    page.get_by_role("button", name="Make it").click()
    switch = page.get_by_role("combobox", name="Organization")
    expect(switch).to_have_value("second")
    expect(page).to_have_url(f"{console.root}/second")
    expect(page.get_by_text("Begin with a sensor.")).to_be_visible()
    page.get_by_role("link", name="Reliable Tasking").click()
    expect(page.get_by_text("No tasks yet.")).to_be_visible()
    console.check("organizations")
    switch.select_option("muster")
    expect(page).to_have_url(f"{console.root}/muster")


def test_a_spent_link_says_so(console):
    page = console.page
    console.sign_in()
    with console.watch.expecting(re.compile("404")):
        page.goto(f"{console.root}/sign-in#once={'0' * 64}")
        expect(page.get_by_role("alert")).to_contain_text("This link does not work.")


def test_a_session_that_ends_asks_again_over_the_page_and_what_was_typed_stays(console):
    page = console.page
    console.sign_in()
    console.open("/account")
    page.get_by_label("Present password").fill("half a pass")
    # Whether a call or the live connection finds it first is left to chance; only the first complains.
    with console.watch.expecting(re.compile("401"), at_least=0):
        # Another browser of the same user signs out everywhere.
        page.evaluate("""() => fetch("/console/api/sign-out", {method: "POST", headers: {"x-muster-console": "1"},
                         body: new URLSearchParams({everywhere: "true"})})""")
        expect(page.get_by_role("heading", name="Sign in to go on")).to_be_visible()
        console.check("signed-out")
        page.get_by_label("User (e-mail address)").fill("ana@example.org")
        page.locator("#password").last.fill(PASSWORD)
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("heading", name="Sign in to go on")).not_to_be_visible()
    expect(page.get_by_label("Present password")).to_have_value("half a pass")
    expect(page.get_by_text("live", exact=True)).to_be_visible()


def test_the_palette_and_keys_work_and_can_be_switched_off(console):
    page = console.page
    console.sign_in()
    page.keyboard.press("Control+k")
    expect(page.get_by_role("combobox", name="Page")).to_be_focused()
    console.check("palette")
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    expect(page.get_by_role("heading", name="Keys")).to_be_visible()
    console.check("keys")
    page.get_by_label("Single keys (those without Ctrl)").uncheck()
    page.get_by_role("button", name="Close").click()
    page.keyboard.press("?")
    expect(page.get_by_role("heading", name="Keys")).not_to_be_visible()
    page.keyboard.press("Control+k")
    page.keyboard.press("Escape")
    page.evaluate("localStorage.clear()")
