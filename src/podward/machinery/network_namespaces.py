"""Listening in a network that is not this process's own: a socket belongs to the one it was made in, for good.

Namespaces belong to threads in Linux, so a thread joins the other one, makes the socket there and ends; the
rest of the process never notices (setns(2)). Only root can.
"""

import asyncio
import ctypes
import os
import socket
import threading

_CLONE_NEWNET = 0x40000000


async def listen_in(namespace: str, host: str, port: int) -> socket.socket:
    """A listening TCP socket at `host:port` of the network whose file is `namespace`. `OSError`."""
    loop = asyncio.get_running_loop()
    made: asyncio.Future[socket.socket] = loop.create_future()

    def tell(listener: socket.socket | None, error: OSError | None) -> None:
        if made.done():
            if listener is not None:
                listener.close()
        elif listener is not None:
            made.set_result(listener)
        else:
            made.set_exception(error or OSError("no socket"))

    def make() -> None:
        try:
            _join(namespace)
            listener = _listening(host, port)
        except OSError as error:
            loop.call_soon_threadsafe(tell, None, error)
        else:
            loop.call_soon_threadsafe(tell, listener, None)

    # A thread of its own and no pool: it never comes back from where it went.
    threading.Thread(target=make, name=f"listen in {namespace}", daemon=True).start()
    return await made


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
