"""A program of others that listens on loopback, in a thread of its own."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Listener(ThreadingHTTPServer):
    """Serves requests with a handler from the moment it is made; `url` is where."""

    daemon_threads = True

    def __init__(self, handler):
        super().__init__(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self.server_port}/"
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, *_):
        """The other end hangs up on what is too much, or is killed."""


class Answering(BaseHTTPRequestHandler):
    """A handler that logs nothing."""

    def say(self, body: bytes, *headers: tuple[str, str]):
        """Answers 200 with a body."""
        self.send_response(200)
        for name, value in (*headers, ("Content-Length", str(len(body)))):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass
