"""A program of others that listens on loopback, in a thread of its own."""

import threading
from http.server import ThreadingHTTPServer


class Listener(ThreadingHTTPServer):
    """Serves requests with a handler from the moment it is made; `url` is where."""

    daemon_threads = True

    def __init__(self, handler):
        super().__init__(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self.server_port}/"
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, *_):
        """The other end hangs up on what is too much, or is killed."""
