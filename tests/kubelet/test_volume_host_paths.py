"""hostPath: what each type makes, and what it refuses."""

import os
import socket
from pathlib import Path

import pytest
from lightkube.models import core_v1

from podward.kubelet.volume_host_paths import host_path
from podward.kubelet.volume_plan import VolumeError


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "dir").mkdir()
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("dir")
    (tmp_path / "dangling").symlink_to("nowhere")
    monkeypatch.chdir(tmp_path)  # a socket's path may have 107 bytes
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
    (tmp_path / "char").symlink_to("/dev/null")
    return tmp_path


CALLED = {
    "Directory": "directory", "DirectoryOrCreate": "directory", "File": "file", "FileOrCreate": "file",
    "Socket": "socket file", "CharDevice": "character device", "BlockDevice": "block device",
}  # fmt: skip
FITS = {
    "dir": {"", "Directory", "DirectoryOrCreate"},
    "link": {"", "Directory", "DirectoryOrCreate"},
    "file": {"", "File", "FileOrCreate"},
    "socket": {"", "Socket"},
    "char": {"", "CharDevice"},
}


@pytest.mark.parametrize("kind", ["", *CALLED])
@pytest.mark.parametrize("name", FITS)
def test_a_type_must_fit(machine: Path, name: str, kind: str) -> None:
    path = machine / name
    source = core_v1.HostPathVolumeSource(path=str(path), type=kind)
    if kind in FITS[name]:
        assert host_path(source) == path
        return
    with pytest.raises(VolumeError) as raised:
        host_path(source)
    assert str(raised.value) == f"hostPath type check failed: {path} is not a {CALLED[kind]}"


@pytest.mark.parametrize("kind", ["Directory", "File", "Socket", "CharDevice", "BlockDevice"])
@pytest.mark.parametrize("name", ["none", "dangling"])
def test_what_is_not_there_is_of_no_type(machine: Path, name: str, kind: str) -> None:
    source = core_v1.HostPathVolumeSource(path=str(machine / name), type=kind)
    with pytest.raises(VolumeError, match="hostPath type check failed"):
        host_path(source)
    assert not (machine / "none").exists()


@pytest.mark.parametrize(
    ("kind", "mode"), [("", 0o755), ("DirectoryOrCreate", 0o755), ("FileOrCreate", 0o644)]
)
def test_what_is_made(machine: Path, kind: str, mode: int) -> None:
    umask = os.umask(0o022)
    try:
        path = machine / ("new" if kind == "FileOrCreate" else "new/deep")
        host_path(core_v1.HostPathVolumeSource(path=str(path), type=kind))
    finally:
        os.umask(umask)
    assert path.stat().st_mode & 0o777 == mode
    assert path.is_dir() == (kind != "FileOrCreate")


def test_a_file_is_made_in_a_directory_that_is_there(machine: Path) -> None:
    source = core_v1.HostPathVolumeSource(path=str(machine / "no/file"), type="FileOrCreate")
    with pytest.raises(FileNotFoundError):
        host_path(source)
