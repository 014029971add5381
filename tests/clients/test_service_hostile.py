"""A service that answers with whatever may do harm: each answer ends where it must, and the next request is answered."""

import gzip
import json
from http.server import BaseHTTPRequestHandler

import pytest

from listener import Listener
from process import eventually
from test_service_server import Muster

# More than the server reads of an answer.
HUGE = 9 << 20


def job(number: int, **more) -> dict:
    return {"id": f"job-{number}", "start": 1, "cause": "to do harm", **more}


def said(success: bool = True, **more) -> bytes:
    return json.dumps({"success": success, "data": {}, **more}).encode()


class Hostile:
    """Does what a request names."""

    def __init__(self):
        self.visits = 0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                outer.visits += 1
                event = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if event["etype"] == "health":
                    return self.answer(said(data={"version": 1, "mtd": {"callbacks": ["health", "request"]}}))
                getattr(self, event["data"]["do"])()

            do_GET = do_POST

            def answer(self, body: bytes, status: int = 200, **headers):
                self.send_response(status)
                for name, value in {"Content-Length": str(len(body)), **headers}.items():
                    self.send_header(name.replace("_", "-"), value)
                self.end_headers()
                self.wfile.write(body)

            def well(self):
                self.answer(said(data={"well": True}))

            def huge(self):
                self.answer(b'{"success": true, "data": {"a": "' + b"a" * HUGE + b'"}}')

            def endless(self):
                self.send_response(200)
                self.end_headers()
                while True:
                    self.wfile.write(b" " * 65_536)

            def bomb(self):
                self.answer(gzip.compress(b" " * (64 << 20) + said()), Content_Encoding="gzip")

            def redirect(self):
                self.answer(b"", 307, Location=f"{outer.url}elsewhere")

            def closed(self):
                self.close_connection = True

            def array(self):
                self.answer(b"[" * 100_000)

            def many_jobs(self):
                self.answer(said(jobs=[job(number) for number in range(70)]))

            def long_job(self):
                self.answer(said(jobs=[job(1_000, hist=[{"ts": 1, "msg": "a" * (2 << 20)}])]))

            def many_sensors(self):
                self.answer(said(jobs=[job(1_001, sid=[str(number) for number in range(10_001)])]))

            def long_error(self):
                self.answer(said(error="é" * (1 << 20)))

            def log_message(self, *_):
                pass

        self.server = Listener(Handler)
        self.url = self.server.url


@pytest.fixture
def hostile(world, tmp_path):
    service, muster = Hostile(), Muster(world, tmp_path)
    muster.ok("service", "register", "hostile", "--url", service.url, "--allow-private", "--no-secret")
    muster.ok("service", "health", "hostile")
    muster.ok("service", "subscribe", "hostile")
    service.ask = lambda do: muster.run("service", "request", "hostile", json.dumps({"do": do}))
    service.muster = muster
    yield service
    muster.ok("service", "delete", "hostile", "--yes")
    service.server.shutdown()


REFUSED = {
    "huge": "more than", "endless": "more than", "bomb": "not a JSON object", "redirect": "HTTP 307", "closed": "",
    "array": "not a JSON object",
}


@pytest.mark.parametrize("do", REFUSED)
def test_an_answer_that_may_do_harm_is_refused_and_the_next_request_is_answered(hostile, do):
    before = hostile.visits
    refused = hostile.ask(do)
    assert refused.returncode != 0 and REFUSED[do] in refused.stderr, refused.stderr
    # A redirect is not followed, and nothing is asked again for somebody who waits.
    assert hostile.visits == before + 1
    assert json.loads(hostile.ask("well").stdout) == {"well": True}


def test_jobs_beyond_their_bounds_are_dropped_and_told(world, hostile):
    def told(text: str):
        errors = world.api("GET", f"errors/{world.server.oid}")["errors"]
        return [error for error in errors if error["component"] == "service/hostile" and text in error["error"]]

    for do, text in [
        ("many_jobs", "at most 64 jobs"), ("long_job", "exceeds"), ("many_sensors", "at most 10000 sensors"), ("long_error", "é"),
    ]:
        assert hostile.ask(do).returncode == 0, do
        (error,) = eventually(f"{do} is told", lambda: told(text))
        assert len(error["error"].encode()) <= 2_048
    jobs = json.loads(hostile.muster.ok("job", "list", "--json"))
    ids = {job["job_id"] for job in (jobs.values() if isinstance(jobs, dict) else jobs)}
    assert {f"job-{number}" for number in range(64)} <= ids and not {"job-64", "job-1000", "job-1001"} & ids, sorted(ids)
    for number in range(64):
        hostile.muster.ok("job", "delete", f"job-{number}", "--yes")
