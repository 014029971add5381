"""Carries the connection of a sensor out of its own network, through a Unix socket: `relay.py PORT SOCKET` is the end inside."""

import os
import select
import socket
import sys
import threading

RELAYED_MAX = 64 * 1024


def listen(listener: socket.socket, connect) -> None:
    while True:
        try:
            near, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=carry, args=(near, connect), daemon=True).start()


def carry(near: socket.socket, connect) -> None:
    """Carries bytes both ways until either side ends."""
    with near:
        try:
            with connect() as far:
                other = {near: far, far: near}
                while True:
                    for ready in select.select([near, far], [], [])[0]:
                        data = ready.recv(RELAYED_MAX)
                        if not data:
                            return
                        other[ready].sendall(data)
        except OSError:
            return


def inner_end(port: int, path: str) -> None:
    """The end inside the network of the sensor; gone with its parent, which is the sensor."""
    parent = os.getppid()
    listener = socket.create_server(("127.0.0.1", port))

    def connect() -> socket.socket:
        far = socket.socket(socket.AF_UNIX)
        far.connect(path)
        return far

    threading.Thread(target=listen, args=(listener, connect), daemon=True).start()
    while os.getppid() == parent:
        select.select([], [], [], 0.5)


if __name__ == "__main__":
    inner_end(int(sys.argv[1]), sys.argv[2])
