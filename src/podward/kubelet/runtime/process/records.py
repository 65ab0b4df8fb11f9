"""What the runtime writes down, so that it may die: one folder a sandbox, one a container.

A record is replaced whole (write, sync, rename): whoever reads it finds the old one or the new one. The exit
code is not here but in the container's `exit` file, which its supervisor writes, whoever is alive.
"""

import os
import re
import shutil
from datetime import datetime
from pathlib import Path
from typing import TypeVar

import msgspec

from podward.kubelet.runtime.base import ContainerConfig, SandboxConfig
from podward.kubelet.runtime.linux.identity import ProcessIdentity

T = TypeVar("T")


class SandboxRecord(msgspec.Struct):
    id: str
    config: SandboxConfig
    boot_id: str
    created_at: datetime
    stopped: bool = False


class ContainerRecord(msgspec.Struct):
    id: str
    sandbox_id: str
    pod_uid: str
    config: ContainerConfig
    boot_id: str
    created_at: datetime
    image_id: str = ""
    started_at: datetime | None = None
    finished_at: datetime | None = None
    exit_code: int | None = None
    reason: str = ""
    message: str = ""
    supervisor: ProcessIdentity | None = None
    """The process outside, which writes the exit code."""
    init: ProcessIdentity | None = None
    """The container's PID 1, as this machine numbers it."""
    isolated: bool = True


class Records:
    def __init__(self, root: Path) -> None:
        self.sandboxes = root / "sandboxes"
        self.containers = root / "containers"
        for folder in (self.sandboxes, self.containers):
            folder.mkdir(parents=True, exist_ok=True)

    def exit_file(self, container_id: str) -> Path:
        return self.containers / container_id / "exit"

    def input_pipe(self, container_id: str) -> Path:
        return self.containers / container_id / "stdin"

    def save(self, record: SandboxRecord | ContainerRecord) -> None:
        parent = self.sandboxes if isinstance(record, SandboxRecord) else self.containers
        folder = parent / record.id
        folder.mkdir(exist_ok=True)
        _replace(folder / "record.json", msgspec.json.encode(record))

    def load_sandboxes(self) -> list[SandboxRecord]:
        return _load(self.sandboxes, SandboxRecord)

    def load_containers(self) -> list[ContainerRecord]:
        return _load(self.containers, ContainerRecord)

    def remove(self, record: SandboxRecord | ContainerRecord) -> None:
        parent = self.sandboxes if isinstance(record, SandboxRecord) else self.containers
        shutil.rmtree(parent / record.id, ignore_errors=True)


def _replace(path: Path, data: bytes) -> None:
    fresh = path.with_suffix(".new")
    with open(fresh, "wb") as file:
        file.write(data)
        file.flush()
        os.fdatasync(file.fileno())
    fresh.rename(path)


def _load(parent: Path, kind: type[T]) -> list[T]:
    found = []
    for folder in sorted(parent.iterdir()):
        try:
            found.append(msgspec.json.decode((folder / "record.json").read_bytes(), type=kind))
        except FileNotFoundError:
            shutil.rmtree(folder, ignore_errors=True)  # made, but never written: never acknowledged
    return found


def read_exit_code(path: Path) -> int | None:
    """The code in a supervisor's status file (bubblewrap's `--json-status-fd` form); None if not there."""
    try:
        text = path.read_text()
    except FileNotFoundError:
        return None
    match = re.search(r'"exit-code": (\d+)', text)
    return int(match[1]) if match else None
