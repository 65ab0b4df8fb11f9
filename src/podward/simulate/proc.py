"""`/proc` of a container: its processes, and nothing of the machine."""

import errno
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from podward.simulate.files import CannotSimulate, Handle, Stat

if TYPE_CHECKING:
    from podward.simulate.processes import Process

_OF_A_PROCESS = ("cmdline", "comm", "environ", "status")


class ProcFiles:
    """Folders named by pids; what else a real one has is not known here, and asking for it is told."""

    def __init__(self, processes: "Mapping[int, Process]") -> None:
        self._processes = processes

    def _process(self, name: str) -> "Process | None":
        if name.isdigit():
            return self._processes.get(int(name))
        if name == "self":
            raise CannotSimulate("the simulator does not know /proc/self: use /proc/$$")
        raise CannotSimulate(f"the simulator does not know /proc/{name}")

    def stat(self, path: str) -> Stat | None:
        if not path:
            return Stat("directory", 0, 0o555, 0.0, "/proc")
        name, _, rest = path.partition("/")
        process = self._process(name)
        if process is None:
            return None
        if not rest:
            return Stat("directory", 0, 0o555, 0.0, process)
        if rest not in _OF_A_PROCESS:
            raise CannotSimulate(f"the simulator does not know /proc/{path}")
        return Stat("file", 0, 0o444, 0.0, (process, rest))

    def target(self, path: str) -> tuple[str, str] | None:
        return None

    def read(self, path: str) -> bytes:
        name, _, rest = path.partition("/")
        process = self._process(name) if name and self.stat(path) is not None else None
        if name and process is None:
            raise OSError(errno.ENOENT, os.strerror(errno.ENOENT), f"/proc/{path}")
        if process is None or not rest:
            raise OSError(errno.EISDIR, os.strerror(errno.EISDIR), f"/proc/{path}")
        match rest:
            case "cmdline":
                text = "".join(f"{word}\0" for word in process.argv)
            case "environ":
                text = "".join(f"{n}={v}\0" for n, v in process.env.items())
            case "comm":
                text = f"{process.name}\n"
            case _:
                parent = process.parent.pid if process.parent is not None else 0
                text = f"Name:\t{process.name}\nState:\tS (sleeping)\nPid:\t{process.pid}\nPPid:\t{parent}\n"
        return text.encode()

    def names(self, path: str) -> list[str]:
        if path:
            return list(_OF_A_PROCESS)
        return sorted(str(pid) for pid in self._processes)

    def open(self, path: str, *, append: bool) -> Handle:
        raise self._refused(path)

    def make_directory(self, path: str) -> None:
        raise self._refused(path)

    def make_link(self, path: str, target: str) -> None:
        raise self._refused(path)

    def remove(self, path: str) -> None:
        raise self._refused(path)

    def set_changed(self, path: str, moment: float) -> None:
        raise self._refused(path)

    def set_mode(self, path: str, mode: int) -> None:
        raise self._refused(path)

    def _refused(self, path: str) -> OSError:
        return OSError(errno.EACCES, os.strerror(errno.EACCES), f"/proc/{path}")
