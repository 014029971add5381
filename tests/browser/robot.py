"""Programs of others for the console's tests: a service with jobs and evidence, and an extension with forms."""

import base64
import gzip
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

HOSTILE = '<img src=x onerror="alert(1)">'


class Hook:
    """A program of others on a free port of the loopback; what it answers is told by `answer`."""

    def __init__(self):
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                if self.headers.get("content-encoding") == "gzip":
                    body = gzip.decompress(body)
                answer = json.dumps(hook.answer(json.loads(body))).encode()
                self.send_response(200)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()


class Robot(Hook):
    """A service; `is_refusing` makes it refuse what it is told."""

    is_refusing = False

    def answer(self, said: dict) -> dict:
        if said["etype"] == "health":
            params = {
                "machine": {"type": "str", "desc": f"which machine {HOSTILE}", "is_required": True, "index": 1},
                "depth": {"type": "int", "desc": "how deep"},
                "how": {"type": "enum", "desc": "how thorough", "values": ["fast", "slow"]},
            }
            mtd = {"detect_subscriptions": ["seen"], "callbacks": ["health", "request", "org_install", "org_uninstall"], "request_params": params}
            return {"success": True, "data": {"version": 1, "start_time": 1, "calls_in_progress": 1, "mtd": mtd}}
        if self.is_refusing:
            return {"success": False, "error": "out of paper", "data": {}, "retry": False}
        if said["etype"] != "request":
            return {"success": True, "data": {}}
        return {"success": True, "data": {"asked": said["data"]}, "jobs": [self.job()]}

    @staticmethod
    def job() -> dict:
        now = int(time.time() * 1000)
        evidence = [
            {"att_type": "hex_dump", "caption": "first bytes", "data": base64.b64encode(b"\x7fELF" + HOSTILE.encode()).decode()},
            {"att_type": "table", "caption": "open files", "headers": ["pid", "path"], "rows": [[1, HOSTILE], [2, "/etc/passwd"]]},
            {"att_type": "yaml", "caption": "settings", "data": "depth: 3\n"},
            {"att_type": "json", "caption": "all of it", "data": json.dumps({"found": [HOSTILE]}, indent=2)},
        ]
        history = [
            {"ts": now - 2000, "msg": "looking", "attachments": [], "is_important": False},
            {"ts": now, "msg": f"found something {HOSTILE}", "attachments": evidence, "is_important": True},
        ]
        return {"id": "6a1cbb1e-0000-4000-8000-00000000000a", "start": now - 2000, "cause": "look for paper", "sid": [], "hist": history, "end": now}


class Greeter(Hook):
    """An extension whose every word is hostile; it takes any configuration but the level 9."""

    def __init__(self):
        super().__init__()
        self.configurations: list[dict] = []

    def answer(self, said: dict) -> dict:
        if "schema_request" in said:
            return {"version": 1, "data": self.schema()}
        if "conf_validation" in said:
            self.configurations.append(said["conf_validation"]["conf"])
            if self.configurations[-1].get("level") == 9:
                return {"version": 1, "data": {}, "error": f"invalid value for level: 9 is too much {HOSTILE}", "retriable": False}
        if "request" in said:
            return {"version": 1, "data": {"greeted": said["request"]["data"], "with": HOSTILE}}
        return {"version": 1, "data": {}}

    @staticmethod
    def schema() -> dict:
        def element(data_type: str, label: str, index: int, **more) -> dict:
            about = {"label": f"{label} {HOSTILE}", "description": f"about {label} {HOSTILE}", "placeholder": HOSTILE}
            return {"data_type": data_type, "display_index": index, "is_list": False, **about, **more}

        parameters = {
            "who": element("string", "Who", 1),
            "tone": element("complex_enum", "Tone", 2, complex_enum_values=[{"label": f"warm {HOSTILE}", "value": "warm"}]),
            "since": element("time", "Since", 3),
        }
        place = {"fields": {"host": element("string", "Host", 1), "port": element("integer", "Port", 2)}, "requirements": [["host"]]}
        settings = {
            "level": element("integer", "Level", 1, default_value=1), "token": element("secret", "Token", 2),
            "place": element("object", "Place", 3, object=place),
            "hops": element("object", "Hops", 4, object=place) | {"is_list": True},
            "sites": element("record", "Sites", 5, object=place | {"key": {"label": "Site"}}),
        }
        greet = {
            "is_user_facing": True, "label": f"Greet {HOSTILE}", "short_description": f"says hello {HOSTILE}",
            "parameters": {"fields": parameters, "requirements": [["who"]]},
        }
        return {
            "views": [], "config_schema": {"fields": settings, "requirements": []}, "request_schema": {"greet": greet},
            "required_events": [],
        }
