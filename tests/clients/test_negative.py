"""What goes wrong, and what the published clients make of it."""

import base64
import json
import uuid

import pytest

from api import Api
from client import Client
from conftest import enrol
from middle_box import GatewayTimeouts

RELIABLE = ("extension", "request", "--name", "ext-reliable-tasking")


def with_claim(token: str, **claims) -> str:
    """A token whose claims were changed without its key: refused by the server, readable for the client."""
    head, body, signature = token.split(".")
    decoded = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    changed = json.dumps(decoded | claims).encode()
    return ".".join([head, base64.urlsafe_b64encode(changed).rstrip(b"=").decode(), signature])


def test_a_refused_token_is_renewed_once(world, tmp_path):
    """The client keeps tokens in a file; one that the server no longer takes costs one repeat, not an error."""
    client = Client("5", world.server, tmp_path)
    cached = {"LC_NO_JWT_CACHE": None, "LC_CREDS_FILE": None}
    assert client.run("org", "info", environment=cached).code == 0
    [cache] = [path for path in tmp_path.rglob("*jwt_cache*") if path.is_file()]
    entries = json.loads(cache.read_text())
    fresh = {key: entry["jwt"] for key, entry in entries.items()}
    for entry in entries.values():
        entry["jwt"] = with_claim(entry["jwt"], kid="of a key that is gone")
    cache.write_text(json.dumps(entries))

    result = client.run("--debug", "--output", "json", "org", "info", environment=cached)
    assert result.code == 0, result
    assert "401" in result.stderr + result.stdout, f"the refused token was not sent:\n{result}"
    renewed = {key: entry["jwt"] for key, entry in json.loads(cache.read_text()).items()}
    assert set(renewed) == set(fresh)
    assert all(world.api.raw("GET", "/v1/who", headers={"Authorization": f"Bearer {jwt}"}).status == 200
               for jwt in renewed.values())


def test_an_expired_token_is_refused(world):
    expired = with_claim(world.api.token, exp=1_700_000_000)
    answer = world.api.raw("GET", "/v1/who", headers={"Authorization": f"Bearer {expired}"})
    assert answer.status == 401
    assert answer.json["error"]


@pytest.mark.parametrize("passes_on", [False, True], ids=["lost-on-the-way-there", "lost-on-the-way-back"])
def test_504_twice_then_200_does_not_double_a_task(world, client5, passes_on):
    """The client repeats any call that was answered 504, though the server may have carried it out.

    Two equal requests are two tasks, so a caller who must be sure names the task.
    """
    marker = f"gateway-{passes_on}"
    request = {"task": "os_version", "sid": world.asleep.sid, "context": marker, "ttl": 60}
    if passes_on:
        request["task_id"] = str(uuid.uuid4())
    with GatewayTimeouts(world.server.url.removeprefix("http://"), "extension/request", 2, passes_on) as box:
        result = client5.run(
            "--output", "json", *RELIABLE, "--action", "task", "--data", json.dumps(request),
            environment={"LC_API_URL": box.url},
        )
        assert result.code == 0, result
        assert box.seen == [504, 504, 200]
    listed = world.api.extension("list", sid=world.asleep.sid)["tasks"][world.asleep.sid]
    made = [task_id for task_id, entry in listed.items() if entry["context"] == marker]
    assert made == [result.json["data"]["task_id"]]


def test_504_twice_then_200_does_not_double_a_direct_task(world, client5):
    """The effect on the endpoint, counted there."""
    counted = world.folder / "direct-task-count"
    command = f'run --shell-command "echo once >> {counted}"'
    with GatewayTimeouts(world.server.url.removeprefix("http://"), world.first.sid, 2, passes_on=False) as box:
        result = client5.run(
            "task", "send", "--sid", world.first.sid, "--task", command, environment={"LC_API_URL": box.url}
        )
        assert result.code == 0, result
        assert box.seen == [504, 504, 200]
    # A later command on the same sensor ends after the earlier ones.
    done = client5.run("task", "request", "--sid", world.first.sid, "--command",
                       f'run --shell-command "cat {counted}"', "--timeout", "20")
    assert done.code == 0, done
    assert counted.read_text().splitlines() == ["once"]


def test_an_unsubscribed_extension(lone_server):
    client = Client("5", lone_server, lone_server.folder / "client")
    enrol(lone_server, Api(lone_server), "only")
    assert client.run("extension", "unsubscribe", "--name", "ext-reliable-tasking").code == 0
    assert "ext-reliable-tasking" not in client.run("--output", "json", "extension", "list").json
    refused = client.run(*RELIABLE, "--action", "task", "--data", '{"task":"os_version","selector":"*"}')
    assert refused.code == 2, refused
    assert "subscri" in refused.stderr
    assert client.run("extension", "subscribe", "--name", "ext-reliable-tasking").code == 0
    accepted = client.run("--output", "json", *RELIABLE, "--action", "list", "--data", "{}")
    assert accepted.json["data"]["requests"] == [], "the refused task must not wait somewhere"


def test_too_many_calls(limited_server):
    """429 with Retry-After and the two quota headers; the client gives up at once with exit 5."""
    api = Api(limited_server)
    answers = [api.raw("GET", "/v1/who") for _ in range(limited_server.calls_per_minute + 1)]
    assert [answer.status for answer in answers[:-1]] == [200] * limited_server.calls_per_minute
    last = answers[-1]
    assert last.status == 429
    assert 1 <= int(last.headers["retry-after"]) <= 60
    assert int(last.headers["x-ratelimit-quota"]) == limited_server.calls_per_minute
    assert int(last.headers["x-ratelimit-period"]) == 60
    result = Client("5", limited_server, limited_server.folder / "client").run("sensor", "list")
    assert result.code == 5, result


def test_a_server_that_is_gone(lone_server):
    client = Client("5", lone_server, lone_server.folder / "client")
    lone_server.process.stop()
    assert client.run("auth", "test").code == 2
