"""Live streams through the published client: pull, push, filters, reconnection."""

import json
import re
import signal
from contextlib import contextmanager

import pytest

from api import Api
from client import Client
from conftest import enrol
from middle_box import Relay
from process import eventually, free_port

def records(process):
    """The records that a stream has printed so far."""
    return [json.loads(line) for line in process.text().splitlines() if line.startswith("{")]


@contextmanager
def streaming(client, *argv, **variables):
    """A stream that is connected; interrupted at the end as a person would."""
    process = client.start("stream", *argv, environment=variables)

    def is_ready() -> bool:
        process.check_alive()
        return re.search("Streaming|listening", process.text()) is not None

    try:
        eventually(f"stream {argv[0]} is connected", is_ready)
        yield process
    finally:
        # The client waits for the end of a stream that has none; only a firehose has something to tidy up.
        process.stop(signal.SIGINT, patience=20 if argv[0] == "firehose" else 0.5)


def await_record(process, what, holds):
    def probe():
        process.check_alive()
        return [record for record in records(process) if holds(record)]

    return eventually(what, probe)[0]


def test_events_of_a_task(world, client5):
    with streaming(client5, "events", "--sid", world.first.sid, "--inv-id", "inv-stream") as stream:
        for sid in (world.first.sid, world.second.sid):
            world.api("POST", sid, {"tasks": "os_version", "investigation_id": "inv-stream"})
        record = await_record(
            stream, "the answer", lambda record: record["routing"]["event_type"] == "OS_VERSION_REP"
        )
        assert record["routing"]["oid"] == world.server.oid
        assert all(record["routing"]["sid"] == world.first.sid for record in records(stream))
        assert all(record["routing"]["investigation_id"] == "inv-stream" for record in records(stream))


def test_events_of_a_tag(world, client5):
    world.api("POST", f"{world.second.sid}/tags", {"tags": "streamed"})
    with streaming(client5, "events", "--tag", "streamed") as stream:
        for sid in (world.first.sid, world.second.sid):
            world.api("POST", sid, {"tasks": "os_version", "investigation_id": "inv-tag"})
        await_record(stream, "the answer", lambda record: record["routing"]["event_type"] == "OS_VERSION_REP")
        assert all(record["routing"]["sid"] == world.second.sid for record in records(stream))


def test_audit(world, client5):
    with streaming(client5, "audit") as stream:
        world.api("POST", f"{world.first.sid}/tags", {"tags": "audited"})
        record = await_record(stream, "the record of the tag", lambda record: "audited" in json.dumps(record))
        assert record["oid"] == world.server.oid
        assert {"ts", "etype", "msg", "origin", "ident", "entity"} <= set(record)


def test_detections_connect(world, client5):
    with streaming(client5, "detections") as stream:
        stream.check_alive()


def test_a_cut_stream_reconnects(world, client5):
    """Documented: the client reconnects at once when the other side ends the stream."""
    proxy = world.server.environment["MUSTER_COMPAT_PROXY"].removeprefix("http://")
    with Relay(proxy) as relay:
        with streaming(client5, "events", "--inv-id", "inv-cut", HTTPS_PROXY=f"http://{relay.address}") as stream:
            before = relay.accepted
            relay.cut()
            eventually("the client is back", lambda: relay.accepted > before)

            def task():
                world.api("POST", world.first.sid, {"tasks": "os_version", "investigation_id": "inv-cut"})
                return records(stream)

            eventually("a record after the cut", task)


def test_a_stream_survives_a_restart_of_the_server(lone_server):
    """The relay gives the stream one address while the server's own changes."""
    sensor = enrol(lone_server, Api(lone_server), "only")
    client = Client("5", lone_server, lone_server.folder / "client")
    # The host name of the stream leads here, whatever port the next server has for it.
    with Relay(lone_server.environment["MUSTER_COMPAT_PROXY"].removeprefix("http://")) as relay:
        with streaming(client, "events", "--inv-id", "inv-restart", HTTPS_PROXY=f"http://{relay.address}") as stream:
            lone_server.process.stop()
            lone_server.start()
            relay.lead_to(lone_server.environment["MUSTER_COMPAT_PROXY"].removeprefix("http://"))
            api = Api(lone_server)

            def task():
                answer = api.raw("POST", f"/v1/{sensor.sid}", {"tasks": "os_version", "investigation_id": "inv-restart"})
                return answer.status == 200 and records(stream)

            eventually("a record after the restart", task, 60)


@pytest.mark.parametrize("data_type, cause", [("event", "os_version"), ("audit", "os_version")])
def test_firehose(world, client5, data_type, cause):
    address = f"127.0.0.1:{free_port()}"
    argv = ("firehose", "--listen", address, "--public-dest", address, "--name", "hose", "--data-type", data_type)
    with streaming(client5, *argv) as stream:
        outputs = world.api("GET", f"outputs/{world.server.oid}")[world.server.oid]
        assert outputs["tmp_live_hose"]["for"] == data_type

        def task():
            world.api("POST", world.first.sid, {"tasks": cause, "investigation_id": "inv-hose"})
            return [record for record in records(stream) if "inv-hose" in json.dumps(record)]

        eventually("a record is pushed", task)
    outputs = world.api("GET", f"outputs/{world.server.oid}")[world.server.oid]
    assert "tmp_live_hose" not in outputs, "the client deletes its output at the end"


def test_spout_of_4(world, client4):
    process = client4.start("spout", "event", "--investigation-id", "inv-spout")
    try:
        def task():
            process.check_alive()
            world.api("POST", world.first.sid, {"tasks": "os_version", "investigation_id": "inv-spout"})
            return [line for line in process.text().splitlines() if "OS_VERSION_REP" in line]

        eventually("an event", task)
    finally:
        process.stop(signal.SIGINT, patience=0.5)
