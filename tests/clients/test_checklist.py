"""The server checklist of reference/rest-api.md section 13, one test for each item."""

import base64
import gzip
import json
import re
import ssl
import socket
import time
import urllib.parse
import uuid
from http.client import HTTPSConnection

from api import call

RELIABLE = "/v1/extension/request/ext-reliable-tasking"


def test_01_ids_and_keys_are_uuids(world):
    uuid.UUID(world.server.oid)
    uuid.UUID(world.server.environment["LC_API_KEY"])
    uuid.UUID(world.first.sid)


def test_02_scheme_is_case_insensitive_and_urls_need_no_token(world):
    for scheme in ("Bearer", "bearer", "BEARER"):
        headers = {"Authorization": f"{scheme} {world.api.token}"}
        assert call("GET", f"{world.server.url}/v1/who", headers=headers).status == 200
    assert call("GET", f"{world.server.url}/v1/who").status == 401
    urls = call("GET", f"{world.server.url}/v1/orgs/{world.server.oid}/url")
    assert urls.status == 200
    assert re.fullmatch(r"[^/]+", urls.json["url"]["logs"]), "a bare host, with a port or without"


def test_03_paths_are_split_before_decoding_and_slashes_collapse(world):
    for path in ("/who", "//v1//who", "///who"):
        assert world.api.raw("GET", path).status == 200, path
    tag = "a/b%2Fc"
    world.api("POST", f"{world.first.sid}/tags", {"tags": tag})
    found = world.api("GET", f"tags/{world.server.oid}/{urllib.parse.quote(tag, safe='')}")
    assert list(found) == [world.first.sid]
    world.api("DELETE", f"{world.first.sid}/tags", {"tag": tag})


def test_04_forms_on_every_method_with_repeated_keys(world):
    world.api("POST", f"{world.first.sid}/tags", [("tags", "form-1"), ("tags", "form=2")])
    tags = world.api("GET", f"{world.first.sid}/tags")["tags"][world.first.sid]
    assert {"form-1", "form=2"} <= set(tags)
    # Raw JSON in a field, with `=` in its text: only the first `=` parts name and value.
    data = '{"task":"os_version","selector":"plat==windows"}'
    answer = world.api.raw("POST", RELIABLE, f"oid={world.server.oid}&action=task&data={data}")
    assert (answer.status, answer.json["data"]["total_sensors"]) == (200, 0)
    for tag in ("form-1", "form=2"):
        world.api("DELETE", f"{world.first.sid}/tags", {"tag": tag})
    assert not {"form-1", "form=2"} & set(world.api("GET", f"{world.first.sid}/tags")["tags"][world.first.sid])
    # A form on GET counts too.
    assert world.api("GET", "extension/schema/ext-reliable-tasking", {"oid": world.server.oid})


def test_05_booleans_as_python_and_go_write_them(world):
    counts = {}
    for text in ("True", "true", "1", "False", "false", "0"):
        counts[text] = len(world.api("GET", f"sensors/{world.server.oid}?is_online_only={text}")["sensors"])
    assert counts == {"True": 2, "true": 2, "1": 2, "False": 3, "false": 3, "0": 3}


def test_06_data_and_gzdata(world):
    request = json.dumps({"task": "os_version", "selector": "plat == windows"})
    packed = base64.b64encode(gzip.compress(request.encode())).decode()
    for field in ({"data": request}, {"gzdata": packed}):
        answer = world.api.raw("POST", RELIABLE, {"oid": world.server.oid, "action": "task"} | field)
        assert (answer.status, answer.json["data"]["total_sensors"]) == (200, 0), field
    for field in ({"data": "{"}, {"gzdata": "%%%"}, {"gzdata": base64.b64encode(b"no gzip").decode()}):
        answer = world.api.raw("POST", RELIABLE, {"oid": world.server.oid, "action": "task"} | field)
        assert answer.status == 400 and answer.json["error"], field


def test_08_outputs_are_written_by_type_and_read_by_for(world):
    form = {"name": "checked", "module": "syslog", "type": "audit", "dest_host": "127.0.0.1:1", "sample_rate": "2"}
    assert world.api("POST", f"outputs/{world.server.oid}", form)["for"] == "audit"
    outputs = world.api("GET", f"outputs/{world.server.oid}")
    assert list(outputs) == [world.server.oid]
    stored = outputs[world.server.oid]["checked"]
    assert (stored["for"], stored["module"], stored["sample_rate"]) == ("audit", "syslog", "2")
    world.api("DELETE", f"outputs/{world.server.oid}", {"name": "checked"})
    keys = world.api("GET", f"installationkeys/{world.server.oid}")
    assert list(keys) == [world.server.oid]


def test_09_the_last_page_has_no_continuation_token(world):
    seen, token = [], None
    for _ in range(3):
        query = "limit=1" + (f"&continuation_token={urllib.parse.quote(token)}" if token else "")
        page = world.api("GET", f"sensors/{world.server.oid}?{query}")
        seen += [sensor["sid"] for sensor in page["sensors"]]
        assert ("continuation_token" in page) == (len(seen) < 3)
        token = page.get("continuation_token")
    assert sorted(seen) == sorted([world.first.sid, world.second.sid, world.asleep.sid])


def test_10_online_is_an_object(world):
    awake, asleep = world.api("GET", world.first.sid), world.api("GET", world.asleep.sid)
    assert awake["online"] and isinstance(awake["online"], dict) and "error" not in awake["online"]
    assert awake["is_online"] is True
    assert (asleep["online"], asleep["is_online"]) == ({}, False)


def test_11_compressed_answers_are_valid_when_empty(world):
    window = "start=1700000000&end=1700003600&cursor=-&is_compressed=true"
    for path, name in (("detections", "detects"), ("audit", "events"), (world.first.sid, "events")):
        answer = world.api("GET", f"insight/{world.server.oid}/{path}?{window}")
        assert json.loads(gzip.decompress(base64.b64decode(answer[name]))) == [], path
        assert not answer.get("next_cursor")
    sensors = world.api("GET", f"sensors/{world.server.oid}?is_compressed=true&selector=plat%3D%3Dwindows")["sensors"]
    assert json.loads(gzip.decompress(base64.b64decode(sensors))) == []


def test_12_the_first_line_of_a_stream_says_connected(world):
    host, port = world.server.environment["MUSTER_URL"].removeprefix("https://").rsplit(":", 1)
    context = ssl.create_default_context(cafile=world.server.environment["SSL_CERT_FILE"])
    connection = HTTPSConnection(host, int(port), timeout=30, context=context)
    form = urllib.parse.urlencode({"type": "event", "api_key": world.server.environment["LC_API_KEY"]})
    connection.request("POST", f"/{world.server.oid}", form, {"Content-Type": "application/x-www-form-urlencoded"})
    reply = connection.getresponse()
    assert reply.status == 200
    assert json.loads(reply.readline()) == {"__trace": "connected"}
    connection.close()


def test_13_a_put_is_answered_with_nothing(world):
    url = world.api("POST", f"payload/{world.server.oid}/checked")["put_url"]
    put = call("PUT", url, body=b"bytes", headers={"Content-Type": "application/octet-stream"})
    assert (put.status, put.body) == (200, b"")
    fetched = call("GET", world.api("GET", f"payload/{world.server.oid}/checked")["get_url"])
    assert (fetched.status, fetched.body) == (200, b"bytes")
    world.api("DELETE", f"payload/{world.server.oid}/checked")


def test_14_tasking_is_idempotent(world):
    counted = world.folder / "idempotent-count"
    # With a key, the same call is one task, for the same caller and body.
    form = {"tasks": f'run --shell-command "echo keyed >> {counted}"'}
    for _ in range(2):
        answer = world.api.raw("POST", f"/v1/{world.first.sid}", form, {"x-idempotent-key": "the same"})
        assert answer.status == 200, answer
    # A reliable task is named by its caller; another body under the same name is refused.
    task_id = str(uuid.uuid4())
    request = {"task": "os_version", "sid": world.asleep.sid, "context": "repeated", "ttl": 60, "task_id": task_id}
    form = {"oid": world.server.oid, "action": "task", "data": json.dumps(request)}
    answers = [world.api.raw("POST", RELIABLE, form) for _ in range(3)]
    assert [answer.json["data"]["task_id"] for answer in answers] == [task_id] * 3
    assert list(world.api.extension("list", sid=world.asleep.sid)["tasks"][world.asleep.sid]).count(task_id) == 1
    form["data"] = json.dumps(request | {"task": "os_processes"})
    assert world.api.raw("POST", RELIABLE, form).status in (400, 409)
    world.api("POST", world.first.sid, {"tasks": f'run --shell-command "echo last >> {counted}"'})
    deadline = time.monotonic() + 30
    while "last" not in (counted.read_text() if counted.exists() else "") and time.monotonic() < deadline:
        time.sleep(0.1)
    assert sorted(counted.read_text().split()) == ["keyed", "last"]


def test_15_both_doors_share_one_queue(world):
    request = {"action": "task", "task": "os_version", "sid": world.asleep.sid, "inv_id": "by-service", "ttl": 60}
    packed = base64.b64encode(json.dumps(request).encode()).decode()
    made = world.api("POST", f"service/{world.server.oid}/reliable-tasking", {"request_data": packed, "is_async": "True"})
    listed = world.api.extension("list", sid=world.asleep.sid)["tasks"][world.asleep.sid]
    assert listed[made["task_id"]]["context"] == "by-service"
    assert world.api.extension("untask", task_id=made["task_id"])["deleted"] == 1


def test_16_the_chain_passes_strict_verification(world):
    """What Python 3.13 checks by default, asked for here whatever the version."""
    context = ssl.create_default_context(cafile=world.server.environment["SSL_CERT_FILE"])
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    host, port = world.server.environment["MUSTER_URL"].removeprefix("https://").rsplit(":", 1)
    names = ["api.limacharlie.io", "jwt.limacharlie.io", "stream-tmp.limacharlie.io", "limacharlie.io", host]
    for name in names:
        with socket.create_connection((host, int(port)), timeout=30) as plain:
            with context.wrap_socket(plain, server_hostname=name) as secured:
                assert secured.version() in ("TLSv1.2", "TLSv1.3")


def test_17_unknown_paths_are_404_in_json(world):
    for method, path in (("GET", "/v1/cases/none"), ("POST", "/nothing/here"), ("DELETE", "/v1/models/x/y/z")):
        answer = world.api.raw(method, path)
        assert answer.status == 404, (method, path, answer)
        assert answer.json["error"]
