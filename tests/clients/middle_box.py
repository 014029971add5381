"""Boxes between client and server: one that answers 504, one that cuts connections."""

import http.client
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class GatewayTimeouts:
    """An HTTP front that answers 504 to the first calls of some path, and forwards the rest.

    With `passes_on`, the server gets those calls too and only their answer is lost: the
    worst case of a gateway that gives up while the server works on.
    """

    def __init__(self, server_address: str, path_part: str, times: int, passes_on: bool):
        self.seen: list[int] = []
        box = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def forward(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                loses = path_part in self.path and len(box.seen) < times
                status, kind, answer = 504, "text/plain", b"the gateway gave up"
                if not loses or passes_on:
                    upstream = http.client.HTTPConnection(server_address, timeout=60)
                    headers = {k: v for k, v in self.headers.items() if k.lower() not in ("host", "connection")}
                    upstream.request(self.command, self.path, body, headers)
                    reply = upstream.getresponse()
                    content = reply.read()
                    upstream.close()
                    if not loses:
                        status, kind, answer = reply.status, reply.headers.get("Content-Type", ""), content
                if path_part in self.path:
                    box.seen.append(status)
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(answer)))
                self.send_header("Connection", "close")
                self.end_headers()
                self.wfile.write(answer)

            do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = forward

            def log_message(self, *_):
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._http.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._http.server_port}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._http.shutdown()
        self._http.server_close()


class Relay:
    """Passes TCP connections on to an address, and can cut all of them."""

    def __init__(self, target: str):
        self.lead_to(target)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self._listener.getsockname()[1]
        self._lock = threading.Lock()
        self._sockets: list[socket.socket] = []
        self.accepted = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def lead_to(self, target: str):
        """Where connections lead from now on."""
        host, port = target.rsplit(":", 1)
        self._target = (host, int(port))

    def _accept(self):
        while True:
            try:
                inner, _ = self._listener.accept()
            except OSError:
                return
            try:
                outer = socket.create_connection(self._target)
            except OSError:
                inner.close()
                continue
            with self._lock:
                self._sockets += [inner, outer]
                self.accepted += 1
            for source, sink in ((inner, outer), (outer, inner)):
                threading.Thread(target=self._copy, args=(source, sink), daemon=True).start()

    @staticmethod
    def _copy(source: socket.socket, sink: socket.socket):
        try:
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def cut(self):
        """Ends every connection there is; new ones are passed on as before."""
        with self._lock:
            sockets, self._sockets = self._sockets, []
        for end in sockets:
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            end.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._listener.close()
        self.cut()
