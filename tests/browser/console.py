"""The web console in a browser, as tests use it: signed in, watched, checked for accessibility, pictured."""

import json
import subprocess
import urllib.error
import urllib.request

from playwright.sync_api import Error, expect

from conftest import WAIT_MAX_MS, Watch
from process import ROOT, Server, plain_environment, program

PASSWORD = "correct horse battery"
AXE = ROOT / "console" / "node_modules" / "axe-core" / "axe.min.js"
PHONE = {"width": 390, "height": 844}
DESK = {"width": 1280, "height": 900}
expect.set_options(timeout=WAIT_MAX_MS)

# What axe looks at.
EVERYTHING = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
# A dark page is the same page in other colours.
OF_COLOURS = ["color-contrast", "link-in-text-block"]

# Collected before any script of the page runs, so that nothing is missed.
VIOLATIONS = """
window.violations = [];
document.addEventListener("securitypolicyviolation", (event) =>
  window.violations.push(`${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}:${event.lineNumber}`));
"""


def one_time_link(server: Server, *arguments: str, path: str = "") -> str:
    """What `muster console` prints; programs are looked for in `path` first."""
    argv = [program("muster"), "console", "--data-dir", str(server.data_dir), *arguments]
    environment = plain_environment(server.folder / "home")
    if path:
        environment["PATH"] = f"{path}:{environment['PATH']}"
    ran = subprocess.run(argv, capture_output=True, text=True, timeout=60, env=environment, check=False)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.strip()


class Console:
    """A page of the console; `check` is called wherever a test wants the page to be right as it stands."""

    def __init__(self, watch: Watch, server: Server):
        self.watch, self.server, self.page = watch, server, watch.page
        self.page.add_init_script(VIOLATIONS)
        self.root = server.environment["MUSTER_CONSOLE_URL"].rstrip("/")
        self.org = "muster"

    def open(self, path: str = "") -> None:
        self.page.goto(f"{self.root}/{self.org}{path}")

    def sign_in(self, email: str = "ana@example.org") -> None:
        """By the one-time link: as the first user, or as the only one."""
        self.page.goto(one_time_link(self.server))
        button = self.page.get_by_role("button", name="Sign in")
        button.wait_for()
        if self.page.get_by_label("User (e-mail address)").count():
            self.page.get_by_label("User (e-mail address)").fill(email)
            self.page.get_by_label("Password", exact=True).fill(PASSWORD)
            self.page.get_by_label("The same again").fill(PASSWORD)
        button.click()
        expect(self.page.get_by_role("heading", level=1, name="Overview")).to_be_visible()

    def is_signed_in(self, email: str = "ana@example.org") -> bool:
        """Whether the session of the test before still holds; asked beside the browser, so that nothing is loaded for it."""
        kept = "; ".join(f"{one['name']}={one['value']}" for one in self.page.context.cookies())
        asked = urllib.request.Request(f"{self.root}/api/session", headers={"cookie": kept})
        try:
            with urllib.request.urlopen(asked, timeout=30) as answer:
                return json.load(answer)["user"] == email
        except urllib.error.HTTPError:
            return False

    def sign_in_by_password(self, email: str = "ana@example.org") -> None:
        """On the page that asks for it."""
        self.page.get_by_label("User (e-mail address)").fill(email)
        self.page.get_by_label("Password").fill(PASSWORD)
        self.page.get_by_role("button", name="Sign in").click()
        expect(self.page.get_by_role("heading", level=1, name="Overview")).to_be_visible()

    def call(self, method: str, path: str, form: dict[str, str]) -> dict:
        """A call of the API as whoever is signed in."""
        script = """async ([method, path, form]) => {
          const answer = await fetch(path, {method, headers: {"x-muster-console": "1"}, body: new URLSearchParams(form)})
          return answer.json()
        }"""
        return self.page.evaluate(script, [method, path, form])

    def sign_in_as(self, email: str, role: str) -> None:
        """Adds somebody with a role, and comes in as them by the link for a password."""
        users = f"/v1/orgs/{self.server.oid}/users"
        self.open()
        self.call("POST", users, {"email": email, "role": role})
        link = self.call("POST", f"{users}/link", {"email": email, "purpose": "password"})
        self.page.goto(self.root.removesuffix("/console") + link["path"])
        self.page.get_by_label("Password", exact=True).fill(PASSWORD)
        self.page.get_by_label("The same again").fill(PASSWORD)
        self.page.get_by_role("button", name="Sign in").click()
        expect(self.page.get_by_role("heading", level=1, name="Overview")).to_be_visible()

    def remove(self, email: str) -> None:
        """Signs them out, and takes them out of the organization: the other tests sign in as the only user."""
        self.page.get_by_role("button", name=f"Account of {email}").click()
        self.page.get_by_role("button", name="Sign out").click()
        self.sign_in_by_password()
        self.call("DELETE", f"/v1/orgs/{self.server.oid}/users", {"email": email})

    def check(self, name: str) -> None:
        """No policy violation, nothing that axe objects to, no sideways scrolling; pictures in light, dark and on a phone."""
        page = self.page
        looks = [("light", DESK), ("dark", DESK), ("phone", PHONE)]
        for look, size in looks:
            page.emulate_media(color_scheme="dark" if look == "dark" else "light")
            page.set_viewport_size(size)
            page.wait_for_function("() => !document.getAnimations().length")
            self.watch.picture(f"console-{name}-{look}")
            assert not self.objections(OF_COLOURS if look == "dark" else EVERYTHING), f"{name} ({look})"
            width = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
            assert width[0] <= width[1], f"{name} ({look}) is {width[0]} wide in a window of {width[1]}"
        page.emulate_media(color_scheme="light")
        page.set_viewport_size(DESK)
        assert page.evaluate("window.violations") == [], name

    def objections(self, asked: list[str]) -> list[str]:
        """What axe finds, of these tags or rules. Loaded past the page's policy, which lets no script in but its own."""
        if not self.page.evaluate("'axe' in window"):
            session = self.page.context.new_cdp_session(self.page)
            session.send("Runtime.evaluate", {"expression": AXE.read_text()})
            session.detach()
        found = self.page.evaluate("""async (asked) => {
          const { violations } = await axe.run(document, { runOnly: asked, resultTypes: ["violations"] });
          return violations.map((one) => `${one.id}: ${one.help}: ${one.nodes.map((node) => node.html.slice(0, 200)).join(" | ")}`);
        }""", asked)
        if found:
            print("\n".join(found))
        return found


def downloaded(page, act) -> str:
    """The text of the file that something gives the user.

    Chromium 156 calls some downloads off whose bytes have all come. What the server gives at the same address is looked at
    then, so that a fault of the product is not taken for one of the browser."""
    with page.expect_download() as download:
        act()
    try:
        return download.value.path().read_text()
    except Error as error:
        if "canceled" not in str(error) or not download.value.url.startswith("http"):
            raise
    print(f"the browser called off the download of {download.value.url}")
    answer = page.context.request.get(download.value.url)
    assert answer.ok, answer.status
    return answer.text()


def sensors_row(console: Console, name: str):
    return console.page.get_by_role("row").filter(has_text=name)


def wait_for_sensor(console: Console, name: str, state: str) -> None:
    """Opens the list and waits until it shows a sensor in a state, live."""
    console.open("/sensors")
    expect(sensors_row(console, name)).to_contain_text(state)
