"""A real server, and a real Chromium that may speak to nothing but it."""

import os
import re
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import sync_playwright

from process import ROOT, Server

# A loaded machine draws a page in seconds; more than this is a fault.
WAIT_MAX_MS = 30_000

ARGUMENTS = [
    "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
    # Whatever the browser or the page would look for elsewhere is not found.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]


@pytest.fixture(scope="session")
def server():
    folder = Path(tempfile.mkdtemp(prefix="muster-browser-"))
    started = Server(folder / "server")
    yield started
    started.stop()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def chromium():
    path = shutil.which("chromium")
    assert path, "chromium is not installed: apt-get install chromium"
    profile = tempfile.mkdtemp(prefix="muster-chromium-")
    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            profile, executable_path=path, headless=True, args=ARGUMENTS, chromium_sandbox=os.geteuid() != 0,
            viewport={"width": 1280, "height": 900}, color_scheme="light",
        )
        context.set_default_timeout(WAIT_MAX_MS)
        yield context
        context.close()
    shutil.rmtree(profile, ignore_errors=True)


class Watch:
    """A page, what it complained about, and every address it asked for."""

    def __init__(self, page):
        self.page = page
        self.complaints: list[str] = []
        self.addresses: list[str] = []
        page.on("console", lambda message: self.complain(message.type, message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("requestfailed", self.failed)
        page.on("request", lambda request: self.addresses.append(request.url))

    def failed(self, request) -> None:
        # A page that is left gives up what it asked for.
        if request.failure != "net::ERR_ABORTED":
            self.complaints.append(f"{request.url}: {request.failure}")

    def complain(self, kind: str, text: str) -> None:
        if kind in ("error", "warning", "assert"):
            self.complaints.append(text)

    @contextmanager
    def expecting(self, pattern: re.Pattern, at_least: int = 1):
        """Complaints that a test provokes: so many, and no others."""
        before = list(self.complaints)
        yield
        provoked = self.complaints[len(before):]
        assert len(provoked) >= at_least, f"nothing complained of {pattern.pattern}"
        self.complaints = before + [text for text in provoked if not pattern.search(text)]

    def hosts(self) -> set[str]:
        return {urlsplit(address).hostname for address in self.addresses if not address.startswith("data:")}

    def picture(self, name: str, part=None) -> None:
        """Keeps what the page, or a part of it, looks like: for people."""
        (part or self.page).screenshot(path=ROOT / ".cache" / "log" / f"browser-{name}.png")


@pytest.fixture
def watch(chromium):
    watched = Watch(chromium.new_page())
    yield watched
    watched.page.close()
    assert not watched.complaints, watched.complaints
    assert watched.hosts() <= {"127.0.0.1"}


@pytest.fixture
def signed_in(watch, server):
    """The console with somebody signed in who may do everything, and no page open yet."""
    from console import Console

    console = Console(watch, server)
    if not console.is_signed_in():
        console.sign_in()
    return console
