"""How facts are read: files of a machine, an engine's own configuration."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from podward.doctor import machine
from podward.doctor.engine import read_config
from podward.doctor.facts import EngineConfig, Network
from podward.machinery.clock import SystemClock


def tree(root: Path, *files: str) -> Path:
    for name in files:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("cpu memory pids\n" if name.endswith("controllers") else "")
    return root


@pytest.mark.parametrize(
    ("files", "version", "controllers"),
    [
        ((), "none", set()),
        (("cgroup.controllers", "cgroup.subtree_control"), "v2", {"cpu", "memory", "pids"}),
        (("memory/cgroup.procs", "cpu,cpuacct/cgroup.procs", "systemd/cgroup.procs", "x/y"), "v1",
         {"memory", "cpu", "cpuacct"}),
        (("memory/cgroup.procs", "unified/cgroup.procs"), "hybrid", {"memory"}),
    ],
)  # fmt: skip
def test_which_cgroups_a_machine_has(
    files: tuple[str, ...], version: str, controllers: set[str], tmp_path: Path
) -> None:
    found = machine._cgroups(tree(tmp_path / "cgroup", *files))
    assert found.version == version
    assert found.controllers == controllers
    assert found.writable == controllers


def test_this_machine_is_looked_at(tmp_path: Path) -> None:
    found = machine.look(SystemClock(), tmp_path / "not/yet", "127.0.0.1", 0)
    assert found.data_dir_failure == ""
    assert 0 < found.disk_free_bytes <= found.disk_bytes
    assert found.listen_failure == ""
    assert found.init == Path("/proc/1/comm").read_text().strip()
    assert all(found.libraries.values())
    assert os.getpid() not in found.kubelets


def test_a_data_directory_below_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    found = machine.look(SystemClock(), tmp_path / "file/data", "127.0.0.1", 0)
    assert found.data_dir_failure == f"{tmp_path}/file is no directory"


def told(**changes: Any) -> dict[str, str]:
    held = {
        "sandboxImage": "pause:1",
        "containerdRootDir": "/var/lib/containerd",
        "restrictOOMScoreAdj": True,
        "containerd": {
            "snapshotter": "overlayfs",
            "defaultRuntimeName": "runc",
            "runtimes": {"runc": {"options": {"SystemdCgroup": True}}},
        },
        **changes,
    }
    return {"config": json.dumps(held)}


def test_containerds_configuration() -> None:
    assert read_config(told()) == EngineConfig(
        "pause:1", True, True, "overlayfs", "/var/lib/containerd", Network()
    )


@pytest.mark.parametrize(
    "info", [{}, {"config": ""}, {"config": "[crio]\n"}, {"config": "[]"}, {"other": "{}"}]
)
def test_an_engine_that_tells_none(info: dict[str, str]) -> None:
    assert read_config(info) is None


@pytest.mark.parametrize("broken", [None, 7, "x", [], {"runtimes": None, "defaultRuntimeName": 1}])
def test_a_configuration_of_another_shape_is_read_as_far_as_it_goes(broken: Any) -> None:
    found = read_config(told(containerd=broken, cni=broken, pinnedImages=broken))
    assert found is not None
    assert (found.sandbox_image, found.snapshotter) == ("pause:1", "")


def network(folder: Path, text: str, *programs: str) -> Network:
    (folder / "net.d").mkdir()
    (folder / "bin").mkdir()
    (folder / "net.d/20-later.conf").write_text('{"name": "later", "type": "later"}')
    (folder / "net.d/10-pods.conflist").write_text(text)
    (folder / "net.d/00-readme.txt").write_text("no network")
    for name in programs:
        (folder / "bin" / name).touch(0o755)
    cni = {"confDir": str(folder / "net.d"), "binDir": str(folder / "bin")}
    found = read_config(told(cni=cni))
    assert found is not None
    return found.network


LIST = (
    '{"name": "pods", "plugins": [{"type": "own", "ipam": {"type": "own-ipam"}}, {"type": "more"}]}'
)


@pytest.mark.parametrize(
    ("text", "programs", "name", "missing"),
    [
        (LIST, ("loopback", "own", "own-ipam", "more"), "pods", ()),
        (LIST, ("own",), "pods", ("loopback", "own-ipam", "more")),
        ('{"name": "one", "type": "single"}', ("loopback",), "one", ("single",)),
        ("{", ("loopback",), "", ()),
        ("[]", ("loopback",), "", ()),
        ('{"plugins": [1, {"ipam": 2}]}', ("loopback",), "", ()),
    ],
)
def test_which_programs_a_network_lacks(
    text: str, programs: tuple[str, ...], name: str, missing: tuple[str, ...], tmp_path: Path
) -> None:
    found = network(tmp_path, text, *programs)
    assert found.config_files[0] == f"{tmp_path}/net.d/10-pods.conflist"
    assert (found.name, found.missing_plugins) == (name, missing)


@pytest.mark.parametrize(
    ("host", "port", "words"),
    [
        ("127.0.0.1", 0, ""),
        ("no.such.host.invalid", 6443, "name or service not known"),
        ("192.0.2.1", 6443, "cannot assign requested address"),
    ],
)
def test_where_it_would_listen(host: str, port: int, words: str, tmp_path: Path) -> None:
    found = machine.look(SystemClock(), tmp_path, host, port)
    assert found.listen_failure == words
