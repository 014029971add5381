"""Live Response by cbapi 1.3.0, the first client with it. Numbers are those of reference/live-response.md section 14."""

import os

from cbapi.defense import CbDefenseAPI, Device

from checks import CA, DEVICE, TOKEN, URL, main

# It takes no authority as an argument; what it sends its requests with does.
os.environ["REQUESTS_CA_BUNDLE"] = CA
cb = CbDefenseAPI(url=URL, token=TOKEN)


def p71_output_of_a_short_command_though_it_never_waits():
    """It asks for the output at once, as it sends `wait: false` with every command."""
    with cb.select(Device, DEVICE).lr_session() as s:
        for number in range(5):
            assert s.create_process(f"/bin/echo {number}") == f"{number}\n".encode()
        assert s.list_directory("/") and s.get_file("/proc/self/status").startswith(b"Name:")


if __name__ == "__main__":
    main(globals())
