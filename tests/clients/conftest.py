"""One throw-away server with real sensors for the session; everything is ended by its own process id."""

import shutil
import tempfile
import time
from pathlib import Path

import pytest

from api import Api
from client import Client
from process import Sensor, Server, eventually


@pytest.fixture(scope="session")
def folder():
    path = Path(tempfile.mkdtemp(prefix="muster-clients-"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


def enrol(server: Server, api: Api, name: str, prefix: tuple[str, ...] = ()) -> Sensor:
    """Starts a sensor and waits until the server knows it."""
    before = api.sids()
    sensor = Sensor(server, name, prefix)

    def fresh():
        sensor.process.check_alive()
        return api.sids() - before

    sensor.sid = eventually(f"sensor {name} is enrolled", fresh).pop()
    return sensor


class World:
    """A server, two sensors that are online, and one that enrolled and then went to sleep."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.server = Server(folder)
        try:
            self.api = Api(self.server)
            self.first = enrol(self.server, self.api, "first")
            self.second = enrol(self.server, self.api, "second")
            self.asleep = enrol(self.server, self.api, "asleep")
            self.asleep.process.stop()
            self.ingestion_key = self.api("POST", f"insight/{self.server.oid}/ingestion_keys", {"name": "of the tables"})["key"]
        except BaseException:
            self.server.stop()
            raise

    def variables(self) -> dict[str, str]:
        """What the tables of commands may name as $NAME."""
        return {
            "OID": self.server.oid, "URL": self.server.url, "API_KEY": self.server.environment["LC_API_KEY"],
            "HOUR_AGO": str(int(time.time()) - 3600), "SOON": str(int(time.time()) + 60),
            "LOGS_KEY": self.ingestion_key, "SID": self.first.sid, "SID2": self.second.sid, "ASLEEP": self.asleep.sid, "FOLDER": str(self.folder),
        }


@pytest.fixture(scope="session")
def world(folder):
    made = World(folder / "world")
    yield made
    made.server.stop()


@pytest.fixture(scope="session")
def client5(world):
    return Client("5", world.server, world.folder / "client-5")


@pytest.fixture(scope="session")
def client4(world):
    return Client("4", world.server, world.folder / "client-4")


@pytest.fixture
def lone_server(folder):
    """A server of one test's own, for what would disturb the others."""
    server = Server(Path(tempfile.mkdtemp(dir=folder)))
    yield server
    server.stop()


@pytest.fixture
def limited_server(folder):
    """A server that allows few calls in a minute."""
    most = 8
    server = Server(Path(tempfile.mkdtemp(dir=folder)), f"[limits]\ncalls_per_minute = {most}\n")
    server.calls_per_minute = most
    yield server
    server.stop()
