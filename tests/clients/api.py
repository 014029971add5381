"""Plain HTTP calls, for what a published client would not show: status, headers, bodies as sent."""

import base64
import gzip
import json
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass

CALL_MAX_S = 30


@dataclass
class Answer:
    """What came back: status, headers, body as bytes."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self):
        return json.loads(self.body)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None


_OPENER = urllib.request.build_opener(_NoRedirect, urllib.request.ProxyHandler({}))


def call(method: str, url: str, form=None, headers: dict[str, str] | None = None, body: bytes | None = None) -> Answer:
    """One request; a form is a mapping, a list of pairs, or text that is sent as it stands."""
    if form is not None:
        body = (form if isinstance(form, str) else urllib.parse.urlencode(form, doseq=True)).encode()
    request = urllib.request.Request(url, data=body, headers=headers or {}, method=method)
    try:
        with _OPENER.open(request, timeout=CALL_MAX_S) as reply:
            return Answer(reply.status, {k.lower(): v for k, v in reply.headers.items()}, reply.read())
    except urllib.error.HTTPError as reply:
        return Answer(reply.code, {k.lower(): v for k, v in reply.headers.items()}, reply.read())


class Api:
    """Calls to one server with a fresh token."""

    def __init__(self, server):
        self.server = server
        self.token = self.exchange(server.environment["LC_API_KEY"]).json["jwt"]

    def exchange(self, secret: str) -> Answer:
        return call("POST", self.server.environment["LC_JWT_URL"], {"oid": self.server.oid, "secret": secret})

    def raw(self, method: str, path: str, form=None, headers: dict[str, str] | None = None) -> Answer:
        """A call below the root of the server; `path` is sent as it stands."""
        bearer = {"Authorization": f"Bearer {self.token}"}
        return call(method, self.server.url + path, form, bearer | (headers or {}))

    def __call__(self, method: str, path: str, form=None):
        """A call below `/v1/` that must succeed; returns the JSON."""
        answer = self.raw(method, "/v1/" + path, form)
        assert answer.status == 200, f"{method} {path}: {answer.status} {answer.body[:500]!r}"
        return answer.json

    def extension(self, action: str, **data):
        form = {"oid": self.server.oid, "action": action, "data": json.dumps(data)}
        return self("POST", "extension/request/ext-reliable-tasking", form)["data"]

    @staticmethod
    def unpacked(text: str):
        """What a compressed field holds: base64 of gzip of JSON, or the value itself."""
        return json.loads(gzip.decompress(base64.b64decode(text))) if isinstance(text, str) else text

    def sids(self) -> set[str]:
        return {sensor["sid"] for sensor in self("GET", f"sensors/{self.server.oid}")["sensors"]}
