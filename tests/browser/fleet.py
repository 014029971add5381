"""Real sensors for the console's tests: each with a host name of its own, one with a network of its own."""

import os
import socket
import sys
import threading
from urllib.parse import urlsplit

import relay
from process import Process, Sensor, Server, plain_environment, program


class NamedSensor(Sensor):
    """A sensor on a machine that is called as the test says: in a name space of host names."""

    def start(self) -> None:
        environment = plain_environment(self.folder / "home") | {"RUST_LOG": "info", "MUSTER_TEST_BACKOFF_MS": "20"}
        environment |= self.permission()
        key = self.server.environment["MUSTER_INSTALL_KEY"]
        run = [program("muster-sensor"), "run", "--key", key, "--state-dir", str(self.folder / "state")]
        spaces = ["unshare", "--uts", *([] if os.geteuid() == 0 else ["--user", "--map-root-user"]), *self.spaces()]
        # The shell is replaced, so that the process that is ended is the sensor.
        script = f'echo "$0" > /proc/sys/kernel/hostname && {self.before()} exec "$@"'
        self.process = Process([*spaces, "sh", "-c", script, self.name, *run], self.folder / "sensor.log", environment)

    def permission(self) -> dict[str, str]:
        return {"MUSTER_TEST_SANDBOX": "1"}

    def spaces(self) -> list[str]:
        return []

    def before(self) -> str:
        return ""


class LonelySensor(NamedSensor):
    """A sensor in a network of its own, which it may isolate: its only way out leads through a relay to the server.

    The relay has an end on each side, joined by a Unix socket: nothing of this machine's network is changed.
    """

    def __init__(self, server: Server, name: str):
        self.port = urlsplit(server.environment["MUSTER_URL"]).port
        self.path = str(server.folder / f"{name}.socket")
        self.outer = socket.socket(socket.AF_UNIX)
        self.outer.bind(self.path)
        self.outer.listen()
        threading.Thread(target=relay.listen, args=(self.outer, self.to_server), daemon=True).start()
        super().__init__(server, name)

    def to_server(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port))

    def permission(self) -> dict[str, str]:
        return {"MUSTER_TEST_NAMESPACE": "1"}

    def spaces(self) -> list[str]:
        return ["--net"]

    def before(self) -> str:
        return f'ip link set lo up && {{ "{sys.executable}" "{relay.__file__}" {self.port} "{self.path}" & }} && '
