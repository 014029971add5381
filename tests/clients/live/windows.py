"""Live Response on a Windows device, by cbapi 1.7.10 and by the later SDK, 1.2.3 and 1.5.10. Numbers are those of
reference/live-response.md section 14."""

import contextlib
import io
import os
import re
import time
import zipfile

from checks import BASE, CA, DEVICE, FOLDER as HERE, ORGANIZATION, TOKEN, URL, eventually, main, raises

try:
    from cbapi.example_helpers import CblrCli
    from cbapi.live_response_api import LiveResponseError, LiveResponseMemdump
    from cbapi.psc.defense import CbDefenseAPI, Device

    VERSION = "cbapi"
    cb = CbDefenseAPI(url=URL, token=TOKEN, ssl_cert_file=CA)
    session = lambda: cb.select(Device, DEVICE).lr_session()
except ImportError:
    from cbc_sdk import __version__ as VERSION
    from cbc_sdk.live_response_api import LiveResponseError, LiveResponseMemdump
    from cbc_sdk.rest_api import CBCloudAPI

    cb = CBCloudAPI(url=URL, token=TOKEN, org_key=ORGANIZATION, ssl_cert_file=CA)
    session = lambda: cb.live_response.request_session(DEVICE)

# As the document lists them.
FIFTEEN = [
    "put file", "get file", "memdump", "create directory", "delete file", "directory list", "reg enum key", "reg query value", "reg create key",
    "reg delete key", "reg delete value", "reg set value", "process list", "kill", "create process",
]
# Whether it speaks the later form.
IS_LATER = VERSION.startswith("1.5.")
# A directory of Windows that the test made.
FOLDER = os.environ["WINDOWS_FOLDER"]
KEY = rf"HKEY_LOCAL_MACHINE\Software\muster-live-{VERSION}"


def p11_the_device_is_one_of_windows():
    s = session()
    assert s.os_type == 1, s.os_type
    if not IS_LATER:
        made = cb.get_object(f"{BASE}/session/{s.session_id}")
        assert "C:\\" in made["drives"] and made["current_working_directory"] == "C:\\", made
        assert made["supported_commands"] == FIFTEEN, made


def p35_files_both_ways():
    s = session()
    for size in (0, 1, 2**20 + 1):
        data, path = os.urandom(size), rf"{FOLDER}\put-{size}"
        s.put_file(io.BytesIO(data), path)
        assert s.get_file(path) == data, size
    s.put_file(io.BytesIO(b"again"), rf"{FOLDER}\put-1")
    assert s.get_file(rf"{FOLDER}\put-1") == b"again"
    raises(LiveResponseError, lambda: s.get_file(rf"{FOLDER}\none"), "ERROR_FILE_NOT_FOUND")
    raises(LiveResponseError, lambda: s.get_file(rf"{FOLDER}\none\x"), "ERROR_PATH_NOT_FOUND")
    raises(LiveResponseError, lambda: s.get_file("\\\\.\\pipe\\anything"), "ERROR_NOT_SUPPORTED")


def p45_to_p50_directories():
    s = session()
    root = rf"{FOLDER}\tree-{time.time_ns()}"
    s.create_directory(root)
    raises(LiveResponseError, lambda: s.create_directory(root), "ERROR_ALREADY_EXISTS")
    raises(LiveResponseError, lambda: s.create_directory(rf"{root}\a\b"), "ERROR_PATH_NOT_FOUND")
    s.put_file(io.BytesIO(b"12345"), rf"{root}\A long name.text")
    for path in (root + "\\", root.replace("\\", "/") + "/", root + "\\\\"):
        entries = {one["filename"]: one for one in s.list_directory(path)}
        assert set(entries) == {".", "..", "A long name.text"}, (path, entries)
    one = entries["A long name.text"]
    assert one["size"] == 5 and "ARCHIVE" in one["attributes"] and "DIRECTORY" in entries["."]["attributes"], one
    assert "~" in one["alternate_name"], one
    assert [one["filename"] for one in s.list_directory(root + "\\*.TEXT")] == ["A long name.text"]
    assert "DIRECTORY" in s.list_directory(root)[0]["attributes"]
    # The client goes through a tree from a root of the drive as it likes.
    assert any("A long name.text" in str(files) for _, _, files in s.walk(root))
    raises(LiveResponseError, lambda: s.delete_file(root), "ERROR_DIR_NOT_EMPTY")
    s.delete_file(rf"{root}\A long name.text")
    s.delete_file(root + "\\")
    raises(LiveResponseError, lambda: s.list_directory(root + "\\"), "ERROR_")


def p59_to_p64_the_registry_with_every_type_of_value():
    s = session()
    s.create_registry_key(rf"{KEY}\below\deeper")
    assert s.list_registry_keys_and_values(KEY)["sub_keys"] == ["below"]
    values = {
        "REG_DWORD": 7, "REG_QWORD": 2**40, "REG_DWORD_BIG_ENDIAN": 258, "REG_SZ": "text ä", "REG_EXPAND_SZ": "%PATH%",
        "REG_MULTI_SZ": ["one", "two words"], "REG_BINARY": "00ff10", "REG_NONE": "01",
    }
    for kind, data in values.items():
        s.set_registry_value(rf"{KEY}\{kind}", data, value_type=kind)
        got = s.get_registry_value(rf"{KEY}\{kind}")
        name, type_, value = (got[key] for key in (
            ("registry_name", "registry_type", "registry_data") if "registry_name" in got else ("value_name", "value_type", "value_data")))
        assert (name, type_) == (kind, kind), got
        assert value == data or str(value) == str(data) or IS_LATER, got
    assert len(s.list_registry_keys_and_values(KEY)["values"]) == len(values)
    raises(LiveResponseError, lambda: s.set_registry_value(rf"{KEY}\REG_SZ", "x", overwrite=False), "ERROR_ALREADY_EXISTS")
    raises(LiveResponseError, lambda: s.set_registry_value(rf"{KEY}\big", 2**32, value_type="REG_DWORD"), "ERROR_INVALID_DATATYPE")
    raises(LiveResponseError, lambda: s.get_registry_value(rf"{KEY}\none"), "ERROR_FILE_NOT_FOUND")
    raises(LiveResponseError, lambda: s.list_registry_keys_and_values(rf"{KEY}\none"), "ERROR_FILE_NOT_FOUND")
    raises(LiveResponseError, lambda: s.delete_registry_key(KEY), "ERROR_ACCESS_DENIED")
    s.delete_registry_value(rf"{KEY}\REG_SZ")
    raises(LiveResponseError, lambda: s.delete_registry_value(rf"{KEY}\REG_SZ"), "ERROR_FILE_NOT_FOUND")
    for key in (rf"{KEY}\below\deeper", rf"{KEY}\below", KEY):
        s.delete_registry_key(key)
    raises(LiveResponseError, lambda: s.list_registry_keys_and_values(KEY), "ERROR_FILE_NOT_FOUND")


def p51_to_p58_processes():
    s = session()
    processes = s.list_processes()
    assert any("muster-sensor" in str(one) for one in processes), processes
    assert s.create_process(r"c:\windows\system32\cmd.exe /c echo out& echo err>&2").split() == [b"out", b"err"]
    assert s.create_process("cmd.exe /c cd", working_directory="c:").strip().lower() == b"c:\\"
    raises(LiveResponseError, lambda: s.create_process(r"c:\none\such.exe"), "_NOT_FOUND")
    s.create_process("ping.exe -n 90 127.0.0.1", wait_for_output=False, wait_for_completion=False)
    pid = lambda one: one["process_pid" if IS_LATER else "pid"]
    running = eventually("the process runs", lambda: [one for one in s.list_processes() if "-n 90" in str(one)])[0]
    assert s.kill_process(pid(running)) is True
    assert not [one for one in s.list_processes() if pid(one) == pid(running)]
    raises(LiveResponseError, lambda: s.kill_process(2147483000), "ERROR_INVALID_PARAMETER")


def p63_p64_memory_of_a_process_is_dumped_fetched_and_removed():
    s = session()
    commands = f"/appservices/v6/orgs/{ORGANIZATION}/liveresponse/sessions/{s.session_id}/commands" if IS_LATER else f"{BASE}/session/{s.session_id}/command"
    s.create_process("ping.exe -n 91 127.0.0.1", wait_for_output=False, wait_for_completion=False)
    pid = lambda one: one["process_pid" if IS_LATER else "pid"]
    process = pid(eventually("the process runs", lambda: [one for one in s.list_processes() if "-n 91" in str(one)])[0])
    remote = rf"{FOLDER}\image"
    asked = {"session_id": s.session_id, "name": "memdump", "object": remote, "pid": process, "compress": True}
    number = cb.post_object(commands, asked).json()["id"]
    # The client itself would look every five seconds.
    eventually("the image is there", lambda: cb.get_object(f"{commands}/{number}")["status"].lower() == "complete")
    dump = LiveResponseMemdump(s, number, remote + ".zip")
    dump.wait()
    local = HERE / f"image-{VERSION}"
    dump.get(str(local))
    dump.delete()
    raises(LiveResponseError, lambda: s.get_file(remote + ".zip"), "ERROR_FILE_NOT_FOUND")
    image = zipfile.ZipFile(local).read("image")
    # Its command line is in its memory, as Windows writes text.
    assert image[:4] == b"\x7fELF" and "-n 91 127.0.0.1".encode("utf-16-le") in image
    assert s.kill_process(process) is True
    if not IS_LATER:
        raises(LiveResponseError, lambda: s.start_memdump(rf"{FOLDER}\none\x").wait(), "ERROR_PATH_NOT_FOUND")
        raises(LiveResponseError, lambda: s.start_memdump(remote).wait(), "ERROR_NOT_SUPPORTED")


def p68_the_bundled_shell():
    """It comes with cbapi alone, and thinks in paths of Windows."""
    # The session of the checks before has taken many commands, and takes at most so many.
    session().close()
    shell, name = CblrCli(cb, lambda _, text: cb.select(Device, int(text))), f"shell-{time.time_ns()}"
    local, back = HERE / f"{name}.txt", HERE / f"{name}.back"
    local.write_bytes(b"from here")

    def shows(line):
        with contextlib.redirect_stdout(io.StringIO()) as shown:
            shell.onecmd(line)
        return shown.getvalue()

    assert "Working Directory: c:" in shows(f"connect {DEVICE}")
    assert shows("pwd") == "c:\\\n\n" and "windows" in shows("dir")
    shows(r"cd \windows\system32")
    assert shows("pwd") == "c:\\windows\\system32\n\n" and "cmd.exe" in shows("dir *.exe")
    shows("cd ..")
    shows("cd system32\\..\\..")
    assert shows("pwd") == "c:\\\n\n"
    shows(f"cd {FOLDER}")
    shows(f"mkdir {name}")
    shows(f"cd {name}")
    shows(rf"put {local} {FOLDER}\{name}\there.txt")
    listed = shows("dir")
    assert rf"Directory: {FOLDER}\{name}\*" in listed and re.search(r"\b9 there\.txt", listed), listed
    shows(f"get there.txt {back}")
    assert back.read_bytes() == b"from here"
    # It adds the directory that it is in.
    assert shows(r"exec -w c:\windows\system32\cmd.exe /c cd").strip().lower() == str(rf"{FOLDER}\{name}".encode() + b"\r\n").lower()
    assert "there.txt" in shows(r"exec -w c:\windows\system32\cmd.exe /c dir /b")
    shows("del there.txt")
    assert "there.txt" not in shows("dir")
    shows("cd ..")
    shows(f"del {name}\\")
    raises(LiveResponseError, lambda: shows(f"cd {name}"), "ERROR_FILE_NOT_FOUND")
    assert "muster-sensor" in shows("ps") and "CommandLine:" in shows("ps -v")
    shows("detach")
    assert shell.lr_session is None


if __name__ == "__main__":
    main(globals())
