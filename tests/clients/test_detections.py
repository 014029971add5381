"""From a rule of the published client to what it, a file and a webhook see of a real detection."""

import hashlib
import hmac
import json
import queue
import subprocess
import threading
import urllib.parse
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from process import eventually, program
from test_streams import await_record, records, streaming

RULE = """\
detect: {event: NEW_PROCESS, op: contains, path: event/COMMAND_LINE, value: muster-detect-me}
respond:
  - {action: report, name: wanted, priority: 4, metadata: {level: high}, detect_data: {line: '{{ .event.COMMAND_LINE }}'}}
  - {action: report, name: noisy}
  - {action: report, name: unwanted}
  - {action: report, name: __hidden}
"""
FALSE_POSITIVE = "{op: is, path: cat, value: noisy}\n"
SECRET = "shared"


@contextmanager
def webhook():
    """A receiver; gives its URL and what arrives: signature and the text that was signed."""
    arrived = queue.Queue()

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self):
            form = self.rfile.read(int(self.headers["Content-Length"])).decode()
            arrived.put((self.headers["lc-signature"], urllib.parse.parse_qs(form)["data"][0]))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/hook", arrived
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def output(client, name: str, module: str, settings: dict) -> None:
    (client.home / f"{name}.json").write_text(json.dumps(settings))
    argv = ("--name", name, "--module", module, "--type", "detect", "--input-file", f"{name}.json")
    result = client.run("output", "create", *argv)
    assert result.code == 0, result


def written(server) -> list[dict]:
    """The records in the file of the output `kept`."""
    root = server.data_dir / "outputs" / server.oid / "kept"
    files = sorted(path for path in root.rglob("*") if path.is_file()) if root.is_dir() else []
    return [json.loads(line) for path in files for line in path.read_text().splitlines()]


def test_a_detection_from_rule_to_reader(world, client5):
    (client5.home / "rule.yaml").write_text(RULE)
    (client5.home / "noisy.yaml").write_text(FALSE_POSITIVE)
    world.api("POST", f"{world.second.sid}/tags", {"tags": "watched"})
    for argv in (
        ("dr", "set", "--key", "detect me", "--input-file", "rule.yaml", "--enabled", "--tag", "label"),
        ("fp", "set", "--key", "noisy", "--input-file", "noisy.yaml", "--enabled"),
    ):
        result = client5.run(*argv)
        assert result.code == 0, result
    with webhook() as (url, arrived), streaming(client5, "detections") as stream:
        output(client5, "kept", "file", {"dir": "kept", "cat_black_list": "unwan\nloud"})
        output(client5, "sent", "webhook", {
            "dest_host": url, "secret_key": SECRET, "cat": "wanted", "tag": "watched", "rule_tag_white_list": "label",
            "custom_transform": '{"text": "{{ .cat }} on {{ .routing.hostname }}", "line": "detect_data.line", "p": "priority"}',
        })
        for sensor in (world.first, world.second):
            argv = ("task", "send", "--sid", sensor.sid, "--task", 'run --shell-command "true muster-detect-me"')
            result = client5.run(*argv)
            assert result.code == 0, result
        mine = await_record(
            stream, "the detection", lambda record: record["cat"] == "wanted" and record["routing"]["sid"] == world.second.sid
        )
        assert mine["priority"] == 4 and mine["detect_mtd"] == {"level": "high"} and mine["rule_tags"] == ["label"]
        assert "muster-detect-me" in mine["detect_data"]["line"]
        assert mine["detect"]["event"]["COMMAND_LINE"] == mine["detect_data"]["line"]
        assert not [record for record in records(stream) if record["cat"] in ("noisy", "__hidden")]

        signature, text = arrived.get(timeout=30)
        assert signature == hmac.new(SECRET.encode(), text.encode(), hashlib.sha256).hexdigest()
        sent = json.loads(text)
        assert sent == {"text": f"wanted on {mine['routing']['hostname']}", "line": mine["detect_data"]["line"], "p": 4}

        kept = eventually("the file has the detections of both sensors", lambda: len(
            {record["routing"]["sid"] for record in written(world.server) if record["cat"] == "wanted"}) == 2)
        assert kept and {record["cat"] for record in written(world.server)} == {"wanted"}

    variables = world.variables()
    window = ("--start", variables["HOUR_AGO"], "--end", variables["SOON"])
    listed = client5.run("--output", "json", "detection", "list", *window, "--cat", "wanted")
    assert mine["detect_id"] in [detection["detect_id"] for detection in listed.json], listed
    assert {detection["cat"] for detection in listed.json} == {"wanted"}
    every = client5.run("--output", "json", "detection", "list", *window)
    assert "unwanted" in {detection["cat"] for detection in every.json}, every
    argv = [program("muster"), "detections", "--since", "1h", "--category", "wanted", "--json"]
    shown = subprocess.run(argv, env=world.server.environment, capture_output=True, text=True, timeout=60, check=True)
    assert [one["detect_id"] for one in json.loads(shown.stdout)] == [one["detect_id"] for one in listed.json]
    got = client5.run("--output", "json", "detection", "get", "--id", mine["detect_id"])
    assert got.json["detect_id"] == mine["detect_id"] and got.json["detect_data"] == mine["detect_data"], got
    assert client5.run("detection", "get", "--id", "00000000-0000-4000-8000-000000000000").code == 3
    for argv in (
        ("dr", "delete", "--key", "detect me", "--confirm"), ("fp", "delete", "--key", "noisy", "--confirm"),
        ("output", "delete", "--name", "kept", "--confirm"), ("output", "delete", "--name", "sent", "--confirm"),
    ):
        assert client5.run(*argv).code == 0, argv
