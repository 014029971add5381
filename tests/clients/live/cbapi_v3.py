"""The first form of Live Response, by cbapi 1.7.10. Numbers are those of reference/live-response.md section 14."""

import contextlib
import io
import json
import os
import ssl
import struct
import subprocess
import threading
import time
import urllib.error
import urllib.request
import zipfile
from pathlib import Path

from cbapi.example_helpers import CblrCli
from cbapi.errors import ApiError, ClientError, ObjectNotFoundError, ServerError, TimeoutError, UnauthorizedError
from cbapi.errors import ConnectionError as CbConnectionError
from cbapi.live_response_api import LiveResponseError, LiveResponseMemdump
from cbapi.psc.cblr import LiveResponseSessionManager
from cbapi.psc.defense import CbDefenseAPI, Device

from checks import BASE, CA, DEVICE, FOLDER, LONG_BYTES, OFFLINE, TOKEN, URL, eventually, long_file, main, raises, run_on_many


def api(token=TOKEN, url=URL, **more):
    return CbDefenseAPI(url=url, token=token, **({"ssl_cert_file": CA} | more))


cb = api()


def plain(method, path, body=None, headers=None, token=TOKEN):
    """A call without the client: status and document."""
    headers = dict(headers or {})
    if token:
        headers["X-Auth-Token"] = token
    if isinstance(body, dict):
        body, headers["Content-Type"] = json.dumps(body).encode(), "application/json"
    request = urllib.request.Request(URL + path, data=body, method=method, headers=headers)
    context = ssl.create_default_context(cafile=CA)
    try:
        with urllib.request.urlopen(request, context=context, timeout=130) as answer:
            text = answer.read()
            return answer.status, json.loads(text) if text[:1] in (b"{", b"[") else text
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def session(device=DEVICE):
    return cb.select(Device, device).lr_session()


def command(live, request, path=""):
    """A command that has ended."""
    number = plain("POST", f"{BASE}/session/{live}/command", {"session_id": live} | request)[1]["id"]
    return plain("GET", f"{BASE}/session/{live}/command/{number}?wait=true")[1]


def close(live):
    return plain("PUT", f"{BASE}/session", {"session_id": live, "status": "CLOSE"})


def fresh(device=DEVICE, **fields):
    """The id of a session that nobody else has, once its sensor is there."""
    for one in plain("GET", f"{BASE}/session?active_only=true")[1]:
        if one["sensor_id"] == device:
            close(one["id"])
    status, made = plain("POST", f"{BASE}/session/{device}?wait=true", {"sensor_id": device} | fields)
    assert status == 200 and made["status"] == "ACTIVE", made
    return made["id"]


def p01_to_p08_tokens_and_transport():
    assert isinstance(cb.get_object(BASE + "/session"), list)
    key, connector = TOKEN.split("/")
    raises(UnauthorizedError, lambda: api(f"{key[:-1]}x/{connector}").get_object(BASE + "/session"))
    for kind in ("API", "SIEM"):
        other = api(os.environ[f"TOKEN_{kind}"])
        raises(UnauthorizedError, lambda: other.get_object(BASE + "/session"))
    assert api(os.environ["TOKEN_API"]).select(Device, DEVICE).deviceType == "LINUX"
    for token in (None, "nonsense", "a/b/c", f"{key}", f"/{connector}"):
        status, body = plain("GET", BASE + "/session", token=token)
        assert status == 401 and body["status"] == "UNAUTHORIZED" and "errorMessage" not in body, (token, body)
    assert isinstance(api(ssl_cert_file=None, ssl_verify=False).get_object(BASE + "/session"), list)
    raises(CbConnectionError, lambda: CbDefenseAPI(url=URL, token=TOKEN).get_object(BASE + "/session"))
    assert isinstance(api(url=URL + "/").get_object(BASE + "/session/"), list)
    status, made = plain("POST", f"{BASE}/session/{DEVICE}")
    assert status == 200 and made["sensor_id"] == DEVICE
    quoted = made["id"].replace(":", "%3A")
    assert plain("GET", f"{BASE}/session/{quoted}")[1]["id"] == made["id"]


# The five calls of the document, with the answers that it prints for a Windows device; paths as on Linux.
EXAMPLES = json.loads((Path(__file__).parent / "examples.json").read_text())


def same_shape(example, answer):
    """All keys of the example, with values of the same kind, and those that are fixed."""
    for key, value in example["answer"].items():
        assert key in answer, f"{key} is missing"
        got = answer[key]
        if key in example.get("fixed", []):
            assert got == value, f"{key} is {got!r} and not {value!r}"
        elif key in example.get("nullable", []):
            assert got is None or isinstance(got, str), f"{key} is {got!r}"
        else:
            assert type(got) is type(value), f"{key} is {got!r}, unlike {value!r}"
        if isinstance(value, int) and value > 10**9:
            assert len(str(got)) == len(str(value)), f"{key} is {got!r}, unlike {value!r}"


def p09_p10_p17_p26_the_five_examples_of_the_document():
    for one in plain("GET", f"{BASE}/session?active_only=true")[1]:
        close(one["id"])
    opened = plain("POST", f"{BASE}/session/{DEVICE}", {"sensor_id": DEVICE})[1]
    same_shape(EXAMPLES["open"], opened)
    assert opened["id"].endswith(f":{DEVICE}")
    live = opened["id"]
    active = eventually("the session is active", lambda: (lambda one: one["status"] == "ACTIVE" and one)(
        plain("GET", f"{BASE}/session/{live}")[1]), 10)
    same_shape(EXAMPLES["active"], active)
    order = plain("POST", f"{BASE}/session/{live}/command", {"session_id": live, "name": "process list"})[1]
    same_shape(EXAMPLES["order"], order)
    done = eventually("the command is complete", lambda: (lambda one: one["status"] == "complete" and one)(
        plain("GET", f"{BASE}/session/{live}/command/0")[1]))
    same_shape(EXAMPLES["complete"], done)
    for process in done["processes"]:
        same_shape({"answer": EXAMPLES["complete"]["answer"]["processes"][0]}, process)
    closed = close(live)[1]
    same_shape(EXAMPLES["closed"], closed)
    assert closed["current_command_index"] == 1


def p11_to_p13_sessions():
    s = session()
    assert s.session_id.endswith(f":{DEVICE}") and s.os_type == 2
    one, other = cb.live_response.request_session(DEVICE), cb.live_response.request_session(DEVICE)
    assert one.session_id == other.session_id and one.list_directory("/") and other.list_directory("/")
    raises(ObjectNotFoundError, lambda: cb.live_response.request_session(99999))
    status, body = plain("POST", f"{BASE}/session/99999", {"sensor_id": 99999})
    assert status == 404 and body["reason"] == "Unable to find: sensorId" and body["status"] == "NOT_FOUND"


def p14_to_p16_an_offline_device():
    live = plain("POST", f"{BASE}/session/{OFFLINE}", {"sensor_id": OFFLINE, "checkin_timeout": 3})[1]["id"]
    assert plain("GET", f"{BASE}/session/{live}")[1]["status"] == "PENDING"
    assert plain("POST", f"{BASE}/session/{live}/command", {"name": "process list"})[0] == 409
    begun = time.monotonic()
    eventually("the session is gone", lambda: plain("GET", f"{BASE}/session/{live}")[0] == 404, 10)
    assert time.monotonic() - begun > 1
    shown = {one["id"]: one["status"] for one in plain("GET", BASE + "/session")[1]}
    assert shown[live] == "TIMEOUT"
    begun = time.monotonic()
    status, made = plain("POST", f"{BASE}/session/{OFFLINE}?wait=true", {"checkin_timeout": 2})
    assert status == 200 and made["status"] in ("PENDING", "TIMEOUT") and time.monotonic() - begun < 10
    assert plain("POST", f"{BASE}/session/{DEVICE}?wait=True")[1]["status"] == "ACTIVE"


def p18_to_p20_closing():
    live = fresh()
    assert plain("PUT", f"{BASE}/session", {"session_id": live, "status": "close"})[0] == 400
    assert plain("PUT", f"{BASE}/session", {"status": "CLOSE"})[0] == 400
    status, body = plain("PUT", f"{BASE}/session", {"session_id": "99999:1", "status": "CLOSE"})
    assert (status, body["reason"], body["status"]) == (404, "Session not found", "NOT_FOUND")
    whole = plain("GET", f"{BASE}/session/{live}")[1]
    status, closed = plain("PUT", f"{BASE}/session/{live}", whole | {"status": "CLOSE"})
    assert status == 200 and closed["status"] == "CLOSE"
    assert plain("GET", f"{BASE}/session/{live}")[1]["status"] == "CLOSE"
    assert plain("POST", f"{BASE}/session/{live}/command", {"name": "process list"})[0] == 404
    assert plain("GET", f"{BASE}/session/{live}/command")[0] == 200
    with session() as s:
        assert s.list_processes()
    assert not plain("GET", f"{BASE}/session?active_only=true")[1]


def p21_p22_keepalive():
    live = fresh(sensor_wait_timeout=3)
    for _ in range(5):
        time.sleep(1)
        assert plain("GET", f"{BASE}/session/{live}/keepalive")[0] == 200
    assert plain("GET", f"{BASE}/session/{live}")[1]["status"] == "ACTIVE"
    eventually("an idle session ends", lambda: plain("GET", f"{BASE}/session/{live}")[0] == 404, 8)
    manager = LiveResponseSessionManager(cb, timeout=1, keepalive_sessions=True)
    one, other = manager.request_session(DEVICE), manager.request_session(DEVICE)
    assert one is other
    one.close()
    other.close()
    eventually("the session is closed", lambda: plain("GET", f"{BASE}/session/{one.session_id}")[1].get("status") == "CLOSE", 6)
    # A session that was closed by another is no longer kept alive, and not given to anybody.
    dead = manager.request_session(DEVICE)
    close(dead.session_id)
    assert plain("GET", f"{BASE}/session/{dead.session_id}/keepalive")[0] == 404
    anew = eventually("the dead session is removed", lambda: (lambda got: got is not dead and got)(manager.request_session(DEVICE)), 6)
    assert anew.session_id != dead.session_id and anew.list_directory("/")
    close(anew.session_id)


def p23_a_session_that_was_closed_by_another_is_opened_again():
    s = session()
    before = s.session_id
    close(before)
    assert s.list_processes() and s.session_id != before


def p27_to_p32_commands():
    live = fresh()
    post = lambda request: plain("POST", f"{BASE}/session/{live}/command", request)
    assert [post({"name": "process list"})[1]["id"] for _ in range(3)] == [0, 1, 2]
    assert plain("GET", f"{BASE}/session/{live}")[1]["current_command_index"] == 3
    assert plain("GET", f"{BASE}/session/{live}/command/2?wait=true")[1]["status"] == "complete"
    ids = lambda query: [one["id"] for one in plain("GET", f"{BASE}/session/{live}/command?{query}")[1]]
    assert ids("status=completed") == [0, 1, 2] and ids("status=in%20progress") == [] and ids("count=2") == [0, 1]
    assert ids("status=canceled") == []
    for query in ("status=nonsense", "count=0", "count=x"):
        assert plain("GET", f"{BASE}/session/{live}/command?{query}")[0] == 400, query
    # One command at a time: what waits behind a slow one can be cancelled, and never runs.
    mark = FOLDER / "never"
    busy = post({"name": "get file", "object": long_file()})[1]
    waiting = post({"name": "create directory", "object": str(mark)})[1]["id"]
    status, body = plain("PUT", f"{BASE}/session/{live}/command/{waiting}", {"id": waiting, "status": "cancel"})
    assert (status, body["status"]) == (200, "cancel"), body
    # Meanwhile the file comes, and it is told how far it is.
    file = f"{BASE}/session/{live}/file/{busy['file_id']}"
    came = []
    while plain("GET", f"{BASE}/session/{live}/command/{busy['id']}")[1]["status"] != "complete":
        came.append(plain("GET", file)[1]["size_uploaded"])
    assert came == sorted(came) and len(set(came)) > 2, came
    assert plain("GET", file)[1]["size_uploaded"] == LONG_BYTES and plain("DELETE", file)[0] == 200
    assert plain("PUT", f"{BASE}/session/{live}/command/{busy['id']}")[0] == 409
    assert ids("status=canceled") == [waiting]
    assert plain("GET", f"{BASE}/session/{live}/command/{waiting}")[1]["status"] == "cancel" and not mark.exists()
    for request in ({"name": "nonsense"}, {}, {"name": "kill", "object": "x"}, {"name": "process list", "session_id": "99999:1"}):
        assert post(request)[0] == 400, request
    assert plain("POST", f"{BASE}/session/{live}/command", b"{", {"Content-Type": "application/json"})[0] == 400
    assert post({"name": "directory list", "object": "x" * 11_000})[0] == 413
    assert plain("GET", f"{BASE}/session/{live}/command/999")[0] == 404


def p33_p34_what_is_not_listed_and_many_threads():
    s = session()
    raises(ApiError, lambda: s.list_registry_keys("HKLM\\X"))
    done = command(s.session_id, {"name": "reg enum key", "object": "HKLM\\X"})
    assert (done["status"], done["result_code"]) == ("error", 2147942450)
    contents = {n: os.urandom(5_000) for n in range(8)}
    for n, content in contents.items():
        (FOLDER / f"thread-{n}").write_bytes(content)
    found = {}
    threads = [threading.Thread(target=lambda n=n: found.update({n: s.get_file(str(FOLDER / f"thread-{n}"))})) for n in contents]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert found == contents


def p35_p36_files_both_ways():
    s = session()
    for size in (0, 1, 4 * 2**20 - 1, 4 * 2**20 + 1):
        data, path = os.urandom(size), str(FOLDER / f"put-{size}")
        s.put_file(io.BytesIO(data), path)
        assert s.get_file(path) == data, size
    local = FOLDER / 'local "ä" name'
    local.write_bytes(b"content")
    whole = os.urandom(64 * 2**20)
    s.put_file(io.BytesIO(whole), str(FOLDER / "put-64"))
    assert s.get_raw_file(str(FOLDER / "put-64"), timeout=60, delay=0.2).read() == whole
    path = str(FOLDER / 'remote \'quoted\' ä "name"')
    s.put_file(open(local, "rb"), path)
    assert open(path, "rb").read() == b"content" and oct(os.stat(path).st_mode)[-3:] == "600"
    os.chmod(path, 0o640)
    s.put_file(io.BytesIO(b"again"), path)
    assert open(path, "rb").read() == b"again" and oct(os.stat(path).st_mode)[-3:] == "640"


def p38_to_p41_parts_of_files_and_errors():
    s = session()
    path = FOLDER / "digits"
    path.write_bytes(b"0123456789")

    def part(**fields):
        done = command(s.session_id, {"name": "get file", "object": str(path)} | fields)
        assert done["status"] == "complete", done
        return plain("GET", f"{BASE}/session/{s.session_id}/file/{done['file_id']}/content")[1]

    assert part(offset=3, get_count=4) == b"3456" and part(offset="8") == b"89" and part(offset=99) == b""
    assert s.get_file("/proc/self/status").startswith(b"Name:")
    raises(LiveResponseError, lambda: s.get_file(str(FOLDER / "none")), "ERROR_FILE_NOT_FOUND")
    raises(LiveResponseError, lambda: s.get_file(str(FOLDER / "none" / "x")), "ERROR_PATH_NOT_FOUND")
    raises(LiveResponseError, lambda: s.get_file(str(FOLDER)), "ERROR_ACCESS_DENIED")
    fifo = FOLDER / "pipe"
    if not fifo.exists():
        os.mkfifo(fifo)
    raises(LiveResponseError, lambda: s.get_file(str(fifo)), "ERROR_NOT_SUPPORTED")
    raises(LiveResponseError, lambda: s.put_file(io.BytesIO(b"x"), str(FOLDER / "none" / "x")), "ERROR_PATH_NOT_FOUND")
    raises(LiveResponseError, lambda: s.put_file(io.BytesIO(b"x"), str(FOLDER)), "ERROR_ACCESS_DENIED")
    status, _ = plain("POST", f"{BASE}/session/{s.session_id}/command", {"name": "put file", "object": "/x", "file_id": "none"})
    assert status == 400


def p42_to_p44_stored_files():
    s = session()
    files = f"{BASE}/session/{s.session_id}/file"
    (FOLDER / "stored").write_bytes(b"stored")
    got = command(s.session_id, {"name": "get file", "object": str(FOLDER / "stored")})["file_id"]
    boundary = {"Content-Type": "multipart/form-data; boundary=b"}
    part = b'--b\r\nContent-Disposition: form-data; name="%s"; filename="up"\r\n\r\nbytes\r\n--b--\r\n'
    up = plain("POST", files, part % b"file", boundary)[1]
    assert (up["file_name"], up["size"], up["size_uploaded"], up["status"], up["delete"]) == ("up", 5, 5, 0, False)
    listed = {one["id"]: one for one in plain("GET", files)[1]}
    assert listed[got]["file_name"] == str(FOLDER / "stored") and listed[got]["size_uploaded"] == 6 and up["id"] in listed
    assert plain("POST", files, part % b"other", boundary)[0] == 400
    assert plain("POST", files, b"x", {"Content-Type": "application/json"})[0] == 400
    assert plain("DELETE", f"{files}/{got}")[0] == 200 and plain("DELETE", f"{files}/{got}")[0] == 404
    assert plain("PUT", f"{files}/{up['id']}", up | {"delete": False})[1]["delete"] is False
    assert plain("PUT", f"{files}/{up['id']}", up | {"delete": "true"})[1]["delete"] is True
    assert plain("GET", f"{files}/{up['id']}/content")[0] == 404


def p45_to_p50_directories():
    s = session()
    root = FOLDER / f"tree-{time.time_ns()}"
    s.create_directory(str(root))
    raises(LiveResponseError, lambda: s.create_directory(str(root)), "ERROR_ALREADY_EXISTS")
    raises(LiveResponseError, lambda: s.create_directory(str(root / "a" / "b")), "ERROR_PATH_NOT_FOUND")
    for name in ("a", "a/b"):
        s.create_directory(str(root / name) + "/")
    for name in ("one.txt", "a/two.log", "a/b/three"):
        s.put_file(io.BytesIO(b"12345"), str(root / name))
    os.symlink(root, root / "a" / "cycle")
    entries = {one["filename"]: one for one in s.list_directory(str(root) + "/")}
    assert set(entries) == {".", "..", "one.txt", "a"}
    one = entries["one.txt"]
    assert one["size"] == 5 and one["attributes"] == ["ARCHIVE"] and abs(one["last_write_time"] - time.time()) < 60
    assert set(one) >= {"name", "alternate_name", "alt_name", "create_time", "last_access_time"}
    only = s.list_directory(str(root))
    assert len(only) == 1 and "DIRECTORY" in only[0]["attributes"]
    assert [one["filename"] for one in s.list_directory(str(root) + "/*.txt")] == ["one.txt"]
    # Links are files to the client; to the walk of this machine, which does not follow them, directories.
    ours = {(path, tuple(sorted(set(folders) - {"cycle"})), tuple(sorted(files + ["cycle"] * ("cycle" in folders))))
            for path, folders, files in os.walk(root)}
    for begin in (str(root), str(root) + "/"):
        theirs = {(os.path.normpath(path), tuple(sorted(folders)), tuple(sorted(files)))
                  for path, folders, files in s.walk(begin)}
        assert theirs == ours, (theirs, ours)
    raises(LiveResponseError, lambda: s.delete_file(str(root / "a") + "/"), "ERROR_DIR_NOT_EMPTY")
    s.delete_file(str(root / "a" / "b" / "three"))
    s.delete_file(str(root / "a" / "b") + "/")
    raises(LiveResponseError, lambda: s.delete_file(str(root / "one")), "ERROR_FILE_NOT_FOUND")
    assert not (root / "a" / "b").exists()


def p51_to_p58_processes():
    s = session()
    keys = {"pid", "create_time", "path", "command_line", "sid", "username", "parent", "parent_create_time", "proc_guid", "parent_guid"}
    processes = s.list_processes()
    assert all(set(one) >= keys and all(one[key] is not None for key in keys) for one in processes)
    assert any("muster-sensor" in one["path"] for one in processes)
    temporary = lambda: {name for name in os.listdir("/tmp") if name.startswith("cblr.")}
    before = temporary()
    output = s.create_process("/bin/sh -c 'echo out; echo err >&2'")
    eventually("the temporary file of the client is gone", lambda: temporary() <= before)
    assert output == b"out\nerr\n", output
    assert s.create_process("/bin/echo héllo") == "héllo\n".encode()
    s.create_process("/bin/sleep 0", wait_for_output=False, wait_for_completion=False)
    s.create_process("/bin/sh -c 'exit 3'", wait_for_output=False)
    commands = plain("GET", f"{BASE}/session/{s.session_id}/command")[1]
    assert commands[-1]["return_code"] == 3 and commands[-1]["status"] == "complete"
    assert commands[-2]["return_code"] == -1 and commands[-2]["pid"] > 0
    kept = FOLDER / "kept output"
    assert s.create_process("pwd", remote_output_file_name=str(kept), working_directory="/usr") == b"/usr\n"
    raises(LiveResponseError, lambda: s.create_process("/none/such"), "ERROR_PATH_NOT_FOUND")
    raises(LiveResponseError, lambda: s.create_process("/nonesuch"), "ERROR_FILE_NOT_FOUND")
    raises(TimeoutError, lambda: s.create_process("/bin/sleep 20", wait_timeout=1))
    sleeper = next(one["pid"] for one in s.list_processes() if "/bin/sleep 20" in one["command_line"] or "sleep 20" == one["command_line"])
    assert s.kill_process(sleeper) is True
    assert not any(one["pid"] == sleeper and "sleep" in one["command_line"] for one in s.list_processes())
    raises(LiveResponseError, lambda: s.kill_process(2147483000), "ERROR_INVALID_PARAMETER")
    other = subprocess.Popen(["/bin/sleep", "60"])
    assert command(s.session_id, {"name": "kill", "object": str(other.pid)})["status"] == "complete" and other.wait(10) == -9
    last = s.create_process("/bin/echo last")
    s.close()
    assert last == b"last\n"


def p63_p64_memory_is_dumped_fetched_and_removed_by_the_client():
    """Of a process, which the client cannot name: it is asked for here, and the client does the rest."""
    s = session()
    mark = f"MARK={os.urandom(8).hex()}"
    small = subprocess.Popen(["/bin/sleep", "60"], env={"MARK": mark})
    held = bytearray(mark.encode() * (16 * 2**20 // len(mark)))
    path, local = f"{BASE}/session/{s.session_id}/command", FOLDER / "local.bin"
    for pid, compress in ((os.getpid(), False), (small.pid, True)):
        asked = {"session_id": s.session_id, "name": "memdump", "object": str(FOLDER / "image"), "pid": pid, "compress": compress}
        number = plain("POST", path, asked)[1]["id"]
        seen = [plain("GET", f"{path}/{number}")[1]]
        while seen[-1]["status"] in ("pending", "in progress"):
            seen.append(plain("GET", f"{path}/{number}")[1])
        steps = [one["percentdone"] for one in seen]
        assert steps == sorted(steps) and seen[-1]["complete"] and not seen[-1]["dumping"] and steps[-1] == 100, seen[-1]
        # How many steps of it are seen is a matter of the disk.
        assert all(one["status"] == "in progress" and not one["complete"] for one in seen if one["dumping"]), seen
        dump = LiveResponseMemdump(s, number, str(FOLDER / "image") + (".zip" if compress else ""))
        dump.wait()
        dump.get(str(local))
        dump.delete()
        eventually("the client has removed the image", lambda: not Path(dump.remote_filename).exists())
        image = zipfile.ZipFile(local).read("image") if compress else local.read_bytes()
        assert image[:4] == b"\x7fELF" and mark.encode() in image
    small.kill()
    assert held
    raises(LiveResponseError, lambda: s.start_memdump(str(FOLDER / "none" / "x")).wait(), "ERROR_PATH_NOT_FOUND")


def p63_the_memory_of_a_machine_is_dumped_as_its_kernel_shows_it():
    """As the client itself asks for it. What plays the kernel's part is made by the test."""
    s, remote, local = session(), FOLDER / "machine", FOLDER / "local.bin"
    s.memdump(str(local), str(remote))
    assert not remote.exists(), "the client has removed it"
    image = local.read_bytes()
    # elf(5): where the entries begin, the bytes of each, their number; and of each its type, place, address and length.
    at, (entry_bytes, count) = struct.unpack_from("Q", image, 32)[0], struct.unpack_from("HH", image, 54)
    entries = [struct.unpack_from("I4xQ8xQQ", image, at + number * entry_bytes) for number in range(count)]
    found = {address: image[place:place + length] for _, place, address, length in entries}
    assert found == {address: bytes([byte]) * length for address, length, byte in json.loads(os.environ["MEMORY"])}


def p15_a_device_that_does_not_come_is_a_timeout_of_the_client_which_closes():
    """The server of this check waits for few seconds."""
    begun, put, closed = time.monotonic(), cb.put_object, []
    cb.put_object = lambda path, body: closed.append(body["status"]) or put(path, body)
    raises(TimeoutError, lambda: cb.select(Device, OFFLINE).lr_session(), "Could not establish session")
    assert time.monotonic() - begun < 30, "it ends with the server's time, not with the client's 360 s"
    assert closed == ["CLOSE"]
    assert [one["status"] for one in plain("GET", BASE + "/session")[1]] == ["TIMEOUT"]


def p65_all_of_many_devices_are_listed():
    many = int(os.environ["MANY"])
    ids = [one.deviceId for one in cb.select(Device)]
    assert (len(ids), len(set(ids)), len(cb.select(Device))) == (many, many, many)


def p66_devices_by_their_names():
    devices = list(cb.select(Device))
    assert DEVICE in [one.deviceId for one in devices] and len(cb.select(Device)) == len(devices)
    assert len({one.deviceId for one in devices}) == len(devices)
    name = cb.select(Device, DEVICE).name
    assert cb.select(Device).where(f"hostNameExact:{name}").first().name == name


def p67_jobs():
    def listing(live):
        return len(live.list_directory("/"))

    def failing(live):
        return live.get_file("/none such")

    futures = [cb.live_response.submit_job(job, DEVICE) for job in (listing, failing, listing)]
    assert futures[0].result(120) > 2 and futures[2].result(120) > 2
    raises(LiveResponseError, lambda: futures[1].result(120), "ERROR_FILE_NOT_FOUND")


def p68_the_bundled_shell():
    by_id = lambda text: cb.select(Device, int(text))
    by_name = lambda text: cb.select(Device).where(f"hostNameExact:{text}").first()
    for asked in (str(DEVICE), cb.select(Device, DEVICE).name):
        sleeper, shown = subprocess.Popen(["/bin/sleep", "60"]), io.StringIO()
        with contextlib.redirect_stdout(shown):
            shell = CblrCli(cb, lambda _, text: by_id(text) if text.isdigit() else by_name(text))
            for line in (f"connect {asked}", "ps", "ps -v", f"kill {sleeper.pid}"):
                shell.onecmd(line)
            session_id = shell.lr_session.session_id
            shell.onecmd("detach")
        assert sleeper.wait(10) == -9
        assert f"Session: {session_id}" in shown.getvalue() and "process list" in shown.getvalue(), shown.getvalue()
        assert shell.lr_session is None


def jobs_on_many_devices():
    run_on_many(cb.live_response.submit_job)


if __name__ == "__main__":
    main(globals())
