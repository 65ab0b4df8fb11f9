"""What this machine is: read once, at the edge, and handed inwards as plain facts."""

import fcntl
import os
import re
import signal
import socket
from dataclasses import dataclass
from pathlib import Path


def default_address() -> str:
    """The address of the default route's interface; 127.0.0.1 where there is none.

    Connecting a datagram socket sends nothing: it only asks the kernel which source address it would use.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(
                ("198.51.100.1", 9)
            )  # TEST-NET-2: reached by the default route or not at all
            address = str(probe.getsockname()[0])
        except OSError:
            return "127.0.0.1"
    return address if address != "0.0.0.0" else "127.0.0.1"


class DirectoryInUse(Exception):
    """Another process holds the directory; `holder` is its pid, or empty if it could not be read."""

    def __init__(self, directory: Path, holder: str) -> None:
        super().__init__(f"{directory} is in use by process {holder or 'unknown'}")
        self.holder = holder


class DirectoryLock:
    """One process at a time per directory; the kernel lets go of it however the process ends."""

    def __init__(self, directory: Path) -> None:
        self._file = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(self._file, 32).decode(errors="replace").strip()
            os.close(self._file)
            raise DirectoryInUse(directory, holder) from None
        os.ftruncate(self._file, 0)
        os.write(self._file, f"{os.getpid()}\n".encode())

    def release(self) -> None:
        os.close(self._file)


@dataclass(frozen=True, slots=True)
class Machine:
    architecture: str
    """As Go names it: amd64, arm64."""
    processors: int
    memory_kib: int
    disk_kib: int
    boot_id: str
    machine_id: str
    kernel: str
    os_image: str


def read_machine() -> Machine:
    facts = os.uname()
    disk = os.statvfs("/")
    names = {"x86_64": "amd64", "aarch64": "arm64"}
    memory = re.search(r"MemTotal:\s+(\d+)", _text("/proc/meminfo"))
    pretty = re.search(r'^PRETTY_NAME="?([^"\n]*)', _text("/etc/os-release"), re.MULTILINE)
    return Machine(
        architecture=names.get(facts.machine, facts.machine),
        processors=os.cpu_count() or 1,
        memory_kib=int(memory[1]) if memory else 0,
        disk_kib=disk.f_blocks * disk.f_frsize // 1024,
        boot_id=_text("/proc/sys/kernel/random/boot_id").strip(),
        machine_id=_text("/etc/machine-id").strip(),
        kernel=facts.release,
        os_image=pretty[1] if pretty else "Linux",
    )


def ignore_signals_alone() -> None:
    """Signals that we ignore shall not be ignored by our children too.

    Whoever is started in the background or under `nohup` inherits that, and hands it on: a shell in a container
    could not even trap such a signal. A handler that does nothing ends with `exec`; SIG_IGN does not.
    """
    for number in signal.valid_signals() - {signal.SIGPIPE}:  # Popen sees to that one
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, lambda *_: None)


def _text(path: str) -> str:
    """Empty where a machine does not have it: every one of these is only for show."""
    try:
        return Path(path).read_text()
    except OSError:
        return ""
