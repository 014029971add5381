"""Live Response by the later SDK: the first form by 1.2.3, the later one by 1.5.10. Items 69 and 70 of
reference/live-response.md section 14."""

import io
import os

import cbc_sdk
from cbc_sdk.errors import ApiError, ObjectNotFoundError, TimeoutError
from cbc_sdk.live_response_api import LiveResponseError
from cbc_sdk.platform import Device
from cbc_sdk.rest_api import CBCloudAPI

from checks import CA, DEVICE, FOLDER, ORGANIZATION, TOKEN, URL, eventually, long_file, main, raises, run_on_many

cb = CBCloudAPI(url=URL, token=TOKEN, org_key=ORGANIZATION, ssl_cert_file=CA)
IS_LATER = tuple(int(part) for part in cbc_sdk.__version__.split(".")[:2]) >= (1, 3)


def session():
    return cb.live_response.request_session(DEVICE)


def p11_a_session_is_opened():
    s = session()
    assert s.session_id.endswith(f":{DEVICE}") and s.os_type == 2
    raises((ObjectNotFoundError, Exception), lambda: cb.live_response.request_session(99999))
    if IS_LATER:
        status = cb.live_response.session_status(s.session_id)
        assert status.upper() == "ACTIVE", status


def p35_p39_files_both_ways():
    s = session()
    for size in (0, 1, 4 * 2**20 + 1):
        data, path = os.urandom(size), str(FOLDER / f"sdk-{size}")
        s.put_file(io.BytesIO(data), path)
        assert s.get_file(path) == data, size
    raises(LiveResponseError, lambda: s.get_file(str(FOLDER / "none")), "ERROR_FILE_NOT_FOUND")


def p47_p50_directories():
    s = session()
    root = FOLDER / "sdk tree"
    if not root.exists():
        s.create_directory(str(root))
    s.put_file(io.BytesIO(b"12345"), str(root / "file"))
    entries = {one["filename"]: one for one in s.list_directory(str(root) + "/")}
    assert set(entries) == {".", "..", "file"} and entries["file"]["size"] == 5
    assert any("file" in str(files) for _, _, files in s.walk(str(root)))
    s.delete_file(str(root / "file"))


def p51_to_p58_processes():
    s = session()
    processes = s.list_processes()
    key = "process_path" if IS_LATER else "path"
    assert any("muster-sensor" in str(one) for one in processes), processes[:2]
    assert processes[0].get(key) is not None
    assert s.create_process("/bin/sh -c 'echo out; echo err >&2'") == b"out\nerr\n"
    raises(LiveResponseError, lambda: s.create_process("/none/such"), "ERROR_PATH_NOT_FOUND")
    started = s.create_process("/bin/sleep 22", wait_for_output=False, wait_for_completion=False)
    assert not started and any("sleep 22" in str(one) for one in s.list_processes())
    s.create_process("/bin/sh -c 'exit 3'", wait_for_output=False)
    raises(TimeoutError, lambda: s.create_process("/bin/sleep 21", wait_timeout=1))
    pid = next(one for one in s.list_processes() if "sleep 21" in str(one))
    assert s.kill_process(pid["process_pid" if IS_LATER else "pid"]) is True


def p67_jobs():
    futures = [cb.live_response.submit_job(lambda live: len(live.list_directory("/")), DEVICE) for _ in range(2)]
    assert all(future.result(60) > 2 for future in futures)


def p70_what_runs_aside_and_is_cancelled():
    if not IS_LATER:
        return
    s = session()
    number, future = s.list_processes(async_mode=True)
    assert future.result(60)
    assert s.command_status(number).upper() == "COMPLETE"
    (FOLDER / "aside").write_bytes(b"aside")
    number, future = s.get_file(str(FOLDER / "aside"), async_mode=True)
    assert future.result(60) == b"aside"
    # What waits behind a slow command can be cancelled, and never runs.
    commands = f"/appservices/v6/orgs/{ORGANIZATION}/liveresponse/sessions/{s.session_id}/commands"
    slow = cb.post_object(commands, {"session_id": s.session_id, "name": "get file", "path": long_file()}).json()
    number, future = s.create_directory(str(FOLDER / "never later"), async_mode=True)
    s.cancel_command(number)
    raises(ApiError, lambda: future.result(60), "The command has been cancelled.")
    assert s.command_status(number).upper() == "CANCELLED"
    raises(ApiError, lambda: s.cancel_command(number), "Cannot cancel command in status CANCELLED")
    eventually("the slow one ends", lambda: s.command_status(slow["id"]).upper() == "COMPLETE")
    cb.delete_object(f"{commands.removesuffix('commands')}files/{slow['file_details']['file_id']}")
    assert not (FOLDER / "never later").exists()


def jobs_on_many_devices():
    run_on_many(cb.live_response.submit_job)


if __name__ == "__main__":
    main(globals())
