"""Programs of other authors, as scripts of the requests that they make, in our own words.

A file of `programs/` is one program: `program` says what it is and what is peculiar to it, and `requests` are made in
order. A request has

    id      name within the program
    method, path   as sent; $NAME is replaced by a known or saved value
    query   mapping, or list of pairs
    form    mapping; or `text`, a body that is sent as it stands, as a form; or `body`, sent as JSON
    headers more of them
    token   false: none; a text: that one instead
    status  expected, default 200
    json    checks of table.py
    save    NAME: pointer into the answer, for later requests
"""

import json
import urllib.parse
from pathlib import Path

import pytest
import yaml

import table
from api import call

PROGRAMS = sorted((Path(__file__).parent / "programs").glob("*.yaml"))
KEYS = {"id", "method", "path", "query", "form", "text", "body", "headers", "token", "status", "json", "save"}
FORM = "application/x-www-form-urlencoded"


def request(world, step: dict):
    headers = dict(step.get("headers", {}))
    token = step.get("token", world.api.token)
    if token:
        headers["Authorization"] = f"Bearer {token}"
    body = None
    if "body" in step:
        headers["Content-Type"], body = "application/json", json.dumps(step["body"]).encode()
    elif "text" in step:
        headers["Content-Type"], body = FORM, step["text"].encode()
    query = step.get("query", {})
    query = urllib.parse.urlencode(query if isinstance(query, dict) else [tuple(pair) for pair in query])
    url = world.server.url + step["path"] + (f"?{query}" if query else "")
    return call(step["method"], url, step.get("form"), headers, body)


@pytest.mark.parametrize("path", PROGRAMS, ids=[path.stem for path in PROGRAMS])
def test_program(world, path):
    steps = yaml.safe_load(path.read_text())["requests"]
    known = world.variables()
    for step in steps:
        assert set(step) <= KEYS, f"{step['id']} has unknown {set(step) - KEYS}"
        step = table.substitute(step, known)
        answer = request(world, step)
        seen = f"{step['id']}: {answer.status} {answer.body[:2000]!r}"
        assert answer.status == step.get("status", 200), seen
        try:
            table.check(answer.json, step.get("json", []))
        except AssertionError as error:
            raise AssertionError(f"{error}; {seen}") from None
        known |= {name: str(table.resolve(answer.json, at)) for name, at in step.get("save", {}).items()}
