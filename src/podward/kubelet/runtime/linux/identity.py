"""Which process is meant: pids are reused, and a machine boots again."""

from pathlib import Path

import msgspec


class ProcessIdentity(msgspec.Struct, frozen=True):
    """A pid alone may be reused; with its start time (in ticks since boot) it is one process."""

    pid: int
    start_time: int


def identify(pid: int) -> ProcessIdentity | None:
    """The living process of that pid; None if there is none, zombies included."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in "ZX" else ProcessIdentity(pid, int(fields[19]))


def alive(process: ProcessIdentity | None) -> bool:
    return process is not None and identify(process.pid) == process


def boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
