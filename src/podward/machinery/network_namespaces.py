"""Listening in a network that is not this process's own: a socket belongs to the one it was made in, for good.

A thread joins the other one, makes the socket there and ends (`threads.py`). Only root can.
"""

import ctypes
import os
import socket

from podward.machinery.threads import in_a_thread_of_its_own

_CLONE_NEWNET = 0x40000000


async def listen_in(namespace: str, host: str, port: int) -> socket.socket:
    """A listening TCP socket at `host:port` of the network whose file is `namespace`. `OSError`."""

    def make() -> socket.socket:
        _join(namespace)
        return _listening(host, port)

    return await in_a_thread_of_its_own(
        make, name=f"listen in {namespace}", unwanted=socket.socket.close
    )


def _join(namespace: str) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = os.open(namespace, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if libc.setns(descriptor, _CLONE_NEWNET) != 0:
            number = ctypes.get_errno()
            raise OSError(number, f"setns: {os.strerror(number)}", namespace)
    finally:
        os.close(descriptor)


def _listening(host: str, port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(128)
        listener.setblocking(False)
    except OSError:
        listener.close()
        raise
    return listener
