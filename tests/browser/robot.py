"""A service for the console's tests: it takes what it is told, answers requests, and keeps a job with evidence."""

import base64
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

HOSTILE = '<img src=x onerror="alert(1)">'


class Robot:
    """On a free port of the loopback; `is_refusing` makes it refuse what it is told."""

    def __init__(self):
        self.is_refusing = False
        robot = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                said = json.loads(self.rfile.read(int(self.headers["content-length"])))
                body = json.dumps(robot.answer(said)).encode()
                self.send_response(200)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()

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
