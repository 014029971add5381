"""The page that shows the API description: it lists, finds and explains every operation."""

import json
import re
import shlex
import subprocess
import urllib.request

import pytest

METHODS = {"get", "post", "put", "patch", "delete"}


@pytest.fixture(scope="session")
def description(server):
    with urllib.request.urlopen(f"{server.url}/openapi.json", timeout=30) as answer:
        return json.load(answer)


@pytest.fixture
def docs(watch, server):
    watch.page.goto(f"{server.url}/docs")
    watch.page.locator("details.operation").first.wait_for()
    return watch


def operation(page, method: str, path: str):
    return page.locator(f'details[id="{method}{path}"]')


def test_every_operation_is_listed_in_its_area(docs, description):
    wanted = {
        (found["tags"][0], method.upper(), path)
        for path, operations in description["paths"].items() for method, found in operations.items() if method in METHODS
    }
    assert len(wanted) > 100
    shown = docs.page.evaluate(
        """() => [...document.querySelectorAll("section")].flatMap((section) =>
             [...section.querySelectorAll("details")].map((details) =>
               [section.querySelector("h2").textContent, ...[...details.querySelectorAll("summary code")].map((c) => c.textContent)]))"""
    )
    assert len(shown) == len(wanted)
    assert {tuple(row) for row in shown} == wanted
    areas = docs.page.locator("nav a").all_inner_texts()
    assert [re.sub(r"\s*\d+$", "", area) for area in areas] == [tag["name"] for tag in description["tags"]]
    assert docs.page.locator("#count").inner_text() == f"{len(wanted)} operations"
    docs.picture("docs")


def test_the_filter_finds_by_path_permission_and_word(docs):
    page = docs.page
    visible = page.locator("details.operation:visible")
    everything = visible.count()
    page.keyboard.press("/")
    for words, one in (("insight overview", "/v1/insight/{oid}/{sid}/overview"), ("sensor.task isolation", "/v1/{sid}/isolation"),
                       ("PERMISSIONS of a ROLE", "/v1/orgs/{oid}/users/role")):
        page.keyboard.type(words)
        page.wait_for_function("(all) => document.querySelectorAll('details.operation:not([hidden])').length < all", arg=everything)
        paths = visible.locator("code.path").all_inner_texts()
        assert one in paths and len(paths) < 10, paths
        assert page.locator("#count").inner_text().startswith(f"{len(paths)} operation")
        page.locator("#filter").fill("")
    page.locator("#filter").fill("nothing is called so")
    assert page.locator("#count").inner_text() == "0 operations"
    assert page.locator("section:visible").count() == 0
    page.locator("#filter").fill("")
    assert visible.count() == everything


def test_an_operation_shows_what_it_takes_and_answers(docs, description):
    path = "/v1/extension/request/{name}"
    found = operation(docs.page, "post", path)
    found.locator("summary").click()
    assert "ext.request" in found.locator(".chip").inner_text()
    takes, answers = found.locator("table").all()
    form = description["paths"][path]["post"]["requestBody"]["content"]["application/x-www-form-urlencoded"]["schema"]
    rows = [row.locator("td").all_inner_texts() for row in takes.locator("tbody tr").all()]
    assert {row[0].split()[0]: row[1] for row in rows} == {"name": "path"} | dict.fromkeys(form["properties"], "form")
    assert {row[0].split()[0] for row in rows if "required" in row[0]} == {"name", *form["required"]}
    assert all(row[2] for row in rows), "each parameter says what it means"
    assert [row.split("\t")[0] for row in answers.locator("tbody tr").all_inner_texts()] == ["200", "4xx, 5xx"]
    docs.picture("docs-operation", found)


def test_examples_are_copied_and_work(docs, server, chromium):
    """The token example and one call, pasted into a shell, are answered by the server."""
    chromium.grant_permissions(["clipboard-read", "clipboard-write"], origin=server.url)
    page = docs.page
    found = operation(page, "get", "/v1/orgs/{oid}")
    found.locator("summary").click()
    lines = []
    for place in (page.locator("#token"), found):
        place.get_by_role("button", name="Copy").click()
        place.get_by_role("button", name="Copied").wait_for()
        lines.append(page.evaluate("navigator.clipboard.readText()"))
    settings = "\n".join(f"export {name}={shlex.quote(value)}" for name, value in server.environment.items())
    script = f"set -eu\n{settings}\n{lines[0]}\n{lines[1]} -s --fail-with-body"
    ran = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert json.loads(ran.stdout)["oid"] == server.oid


def test_a_link_opens_its_operation_and_narrow_windows_fit(docs, server):
    page = docs.page
    page.set_viewport_size({"width": 400, "height": 800})
    page.goto(f"{server.url}/docs#get/v1/sensors/%7Boid%7D")
    page.reload()
    found = operation(page, "get", "/v1/sensors/{oid}")
    found.locator("table").first.wait_for()
    assert found.evaluate("(details) => details.getBoundingClientRect().top < innerHeight")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "nothing may be cut off"
    docs.picture("docs-narrow")
