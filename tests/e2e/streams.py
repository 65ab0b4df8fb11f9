"""What tests of exec, attach, cp and port-forward share: kubectl's roads, a terminal to type in."""

import fcntl
import os
import re
import select
import socket
import struct
import subprocess
import termios
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.e2e.conftest import KUBECTLS
from tests.e2e.support import Kubectl, Podward, component_missing

ROADS = {
    "1.20-spdy": ("kubectl-1.20", {}),
    "recent-websocket": ("kubectl-on-path", {
        "KUBECTL_REMOTE_COMMAND_WEBSOCKETS": "true", "KUBECTL_PORT_FORWARD_WEBSOCKETS": "true",
    }),
    "recent-spdy": ("kubectl-on-path", {
        "KUBECTL_REMOTE_COMMAND_WEBSOCKETS": "false", "KUBECTL_PORT_FORWARD_WEBSOCKETS": "false",
    }),
}  # fmt: skip


def on_the_road(name: str, podward: Podward, home: Path) -> Kubectl:
    kubectl, environment = ROADS[name]
    binary = KUBECTLS[kubectl]()
    if binary is None:
        component_missing(kubectl)
        raise AssertionError
    road = Kubectl(binary, podward, home)
    road.env.update(environment)
    return road


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@contextmanager
def forwarded(
    road: Kubectl, port: int, namespace: str, *, pod: str = "web"
) -> Iterator[tuple[str, subprocess.Popen[str], list[str]]]:
    """(URL, the process, what it says) of `kubectl port-forward` to a port of a Pod."""
    with road.background("port-forward", f"pod/{pod}", f":{port}", "-n", namespace) as process:
        assert process.stdout is not None
        said = [process.stdout.readline()]
        found = re.search(r"127\.0\.0\.1:(\d+)", said[0])
        assert found, said
        reader = threading.Thread(target=lambda: said.extend(process.stdout or ()))
        reader.start()
        yield f"http://127.0.0.1:{found[1]}", process, said
        process.terminate()
        reader.join(10)


def fetch(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=20) as answer:
        return bytes(answer.read())


class Terminal:
    """kubectl in a terminal of its own, with somebody at the keyboard."""

    def __init__(self, road: Kubectl, *arguments: str, rows: int = 22, columns: int = 77) -> None:
        self._ours, theirs = os.openpty()
        self.resize(rows, columns)
        self._process = subprocess.Popen(
            ["setsid", "--ctty", "--wait", str(road.binary), *arguments],
            stdin=theirs, stdout=theirs, stderr=theirs, env={**road.env, "TERM": "dumb"},
        )  # fmt: skip
        os.close(theirs)
        self.shown = ""

    def __enter__(self) -> "Terminal":
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._ours)  # it hangs up
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def resize(self, rows: int, columns: int) -> None:
        size = struct.pack("HHHH", rows, columns, 0, 0)
        fcntl.ioctl(self._ours, termios.TIOCSWINSZ, size)

    def type(self, text: str) -> None:
        os.write(self._ours, text.encode())

    def sees(self, text: str, *, within: float = 20.0) -> str:
        """What is shown up to `text`, which must come; the rest is looked at next time."""
        deadline = time.monotonic() + within
        while text not in self.shown:
            if not self._more(deadline):
                pytest.fail(f"{text!r} is not shown, but {self.shown!r}")
        before, _, self.shown = self.shown.partition(text)
        return before

    def _more(self, deadline: float) -> bool:
        ready, _, _ = select.select([self._ours], [], [], max(0, deadline - time.monotonic()))
        try:
            data = os.read(self._ours, 65536) if ready else b""
        except OSError:
            return False  # nobody is in the terminal any more
        self.shown += data.decode(errors="replace")
        return bool(data)

    def ends(self, *, within: float = 20.0) -> int:
        """Its exit code, once it has ended; what it has still shown is in `shown`."""
        deadline = time.monotonic() + within
        while self._more(deadline):
            pass
        return self._process.wait(max(0.1, deadline - time.monotonic()))
