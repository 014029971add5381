"""What the scripts that run inside of the clients' environments share."""

import json
import os
import sys
import time
import traceback
from pathlib import Path

URL, TOKEN, CA = (os.environ[name] for name in ("CBLR_URL", "CBLR_TOKEN", "SSL_CERT_FILE"))
ORGANIZATION = os.environ["LC_OID"]
DEVICE, OFFLINE = int(os.environ["DEVICE"]), int(os.environ["OFFLINE"])
FOLDER = Path(os.environ["FOLDER"])
BASE = "/integrationServices/v3/cblr"
# It takes an endpoint about a second to send so much.
LONG_BYTES = 96 * 2**20


def eventually(what, probe, seconds=30):
    """The first true value of `probe`."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = probe()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(f"{what}: not within {seconds} s")


def raises(kind, call, text=""):
    """The error that a call must end in."""
    try:
        call()
    except kind as error:
        assert text in str(error), f"{text} is not in {error!r}"
        return error
    raise AssertionError(f"{kind.__name__} was not raised")


def long_file():
    """A file that takes so long to get that commands wait behind it."""
    path = FOLDER / "long"
    with open(path, "wb") as file:
        file.truncate(LONG_BYTES)
    return str(path)


def run_on_many(submit):
    """Submits a job for each of many devices; those that sleep are woken once the others are done."""
    devices, awake = json.loads(os.environ["DEVICES"]), int(os.environ["AWAKE"])
    jobs = [submit(lambda live: live.create_process("/bin/echo here"), device) for device in devices]
    for job in jobs[:awake]:
        assert job.result(100) == b"here\n"
    assert not any(job.done() for job in jobs[awake:])
    print("those that are awake are done", flush=True)
    for job in jobs[awake:]:
        assert job.result(100) == b"here\n"


def main(names):
    """Runs the checks that the command line names; the exit code tells whether all held."""
    failed = False
    for name in sys.argv[1:]:
        try:
            names[name]()
            print(f"{name} ok", flush=True)
        except BaseException:
            failed = True
            print(f"{name} FAILED", flush=True)
            traceback.print_exc()
    # Threads of the clients' job schedulers never end by themselves.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(1 if failed else 0)
