"""The process runtime, with bubblewrap and without, on this machine's real processes."""

import asyncio
import io
import os
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
import uvloop
from tests.contracts import runtime as contract

from podward.kubelet.runtime.base import ContainerConfig, Mount, Runtime, SandboxConfig
from podward.kubelet.runtime.process import ProcessRuntime
from podward.kubelet.runtime.process.bubblewrap import find_executable
from podward.kubelet.runtime.process.images import ImageError, ImageStore, normalize
from podward.machinery.clock import SystemClock
from podward.machinery.entropy import Entropy


def need_bubblewrap() -> None:
    if shutil.which("bwrap") is None:
        if os.environ.get("CI") == "true":
            pytest.fail("bubblewrap cannot be had on this machine")
        pytest.skip("NOT TESTED, bubblewrap is not installed")


def maker(folder: Path, isolation: str) -> Callable[[], Runtime]:
    def make() -> Runtime:
        return ProcessRuntime(
            folder / "state", clock=SystemClock(), entropy=Entropy(), node_ip="127.0.0.1",
            isolation=isolation, log=lambda text: None,
        )  # fmt: skip

    return make


@pytest.mark.parametrize("isolation", ["bwrap", "none"])
@pytest.mark.parametrize(
    "check", contract.CHECKS + contract.WITHOUT_IMAGES, ids=lambda check: check.__name__
)
def test_the_contract(check: contract.Check, isolation: str, tmp_path: Path) -> None:
    if isolation == "bwrap":
        need_bubblewrap()

    async def main() -> None:
        await check(maker(tmp_path, isolation), tmp_path / "logs")

    uvloop.run(main())


def test_a_container_has_a_private_tmp_a_read_only_host_and_its_volumes(tmp_path: Path) -> None:
    need_bubblewrap()
    (tmp_path / "volume").mkdir()
    (tmp_path / "message").touch()
    (Path("/tmp") / f"host-{os.getpid()}").touch()
    script = (
        "ls /tmp; touch /usr/x 2>/dev/null || echo read-only; echo kept >/cache/file; hostname; echo pid $$;"
        "echo bye >/dev/termination-log; touch /etc/new/dir/x 2>/dev/null || echo volume-read-only"
    )

    async def main() -> None:
        runtime = maker(tmp_path, "bwrap")()
        await runtime.start()
        sandbox = await runtime.run_pod_sandbox(SandboxConfig("web", "default", "uid"))
        container = await runtime.create_container(
            sandbox,
            ContainerConfig(
                "c", 0, "busybox", command=["sh", "-c", script], log_path=str(tmp_path / "log"),
                mounts=[
                    Mount(str(tmp_path / "volume"), "/cache"),
                    Mount(str(tmp_path / "volume"), "/etc/new/dir", read_only=True),
                    Mount(str(tmp_path / "message"), "/dev/termination-log"),
                ],
            ),
        )  # fmt: skip
        await runtime.start_container(container)
        assert await contract.exited(runtime, container) == (0, "Completed")
        await runtime.remove_pod_sandbox(sandbox)
        await runtime.close()

    uvloop.run(main())
    (Path("/tmp") / f"host-{os.getpid()}").unlink()
    assert (tmp_path / "log").read_text().splitlines() == [
        "read-only", "web", "pid 1", "volume-read-only",
    ]  # fmt: skip
    assert (tmp_path / "volume/file").read_text() == "kept\n"
    assert (tmp_path / "message").read_text() == "bye\n"


def test_an_imported_image_is_the_containers_root(tmp_path: Path) -> None:
    need_bubblewrap()
    busybox = shutil.which("busybox")
    if busybox is None:
        pytest.skip("NOT TESTED, busybox is not installed")
    archive = tmp_path / "rootfs.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(busybox, "bin/busybox")
        for name in ("sh", "cat"):
            link = tarfile.TarInfo(f"bin/{name}")
            link.type, link.linkname = tarfile.SYMTYPE, "/bin/busybox"
            tar.addfile(link)
        release = tarfile.TarInfo("etc/release")
        release.size = 6
        tar.addfile(release, io.BytesIO(b"tiny-1"))
    ImageStore(tmp_path / "state/images").import_image("tiny", archive)

    async def main() -> str:
        runtime = maker(tmp_path, "bwrap")()
        await runtime.start()
        sandbox = await runtime.run_pod_sandbox(SandboxConfig("web", "default", "uid"))
        config = ContainerConfig(
            "c", 0, "tiny", command=["sh", "-c", "cat /etc/release"], log_path=str(tmp_path / "log")
        )
        container = await runtime.create_container(sandbox, config)
        await runtime.start_container(container)
        assert await contract.exited(runtime, container) == (0, "Completed")
        await runtime.remove_pod_sandbox(sandbox)
        await runtime.close()
        return (tmp_path / "log").read_text()

    assert asyncio.run(main()) == "tiny-1"


def test_an_archive_cannot_write_outside_its_root(tmp_path: Path) -> None:
    archive = tmp_path / "evil.tar"
    with tarfile.open(archive, "w") as tar:
        link = tarfile.TarInfo("out")
        link.type, link.linkname = tarfile.SYMTYPE, str(tmp_path)
        tar.addfile(link)
        for name in ("out/through-link", "../../above"):
            tar.addfile(tarfile.TarInfo(name))
    store = ImageStore(tmp_path / "images")
    try:
        store.import_image("evil", archive)
    except ImageError:
        pass
    assert not (tmp_path / "through-link").exists()
    assert not list(tmp_path.glob("**/above")) or all(
        (tmp_path / "images") in path.parents for path in tmp_path.glob("**/above")
    )


@pytest.mark.parametrize(
    ("name", "normal"),
    [
        ("busybox", "docker.io/library/busybox:latest"),
        ("busybox:1.36", "docker.io/library/busybox:1.36"),
        ("me/app", "docker.io/me/app:latest"),
        ("localhost/app", "localhost/app:latest"),
        ("ghcr.io/me/app:2", "ghcr.io/me/app:2"),
        ("reg:5000/app", "reg:5000/app:latest"),
    ],
)
def test_image_names_are_completed_as_engines_do(name: str, normal: str) -> None:
    assert normalize(name) == normal


def test_a_relative_link_to_a_command_is_followed_inside_the_root(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/real").write_text("#!")
    (tmp_path / "bin/real").chmod(0o755)
    (tmp_path / "bin/absolute").symlink_to("/bin/real")
    env = {"PATH": "/bin"}
    assert find_executable(tmp_path, (), env, "/", "absolute") is None
    assert find_executable(tmp_path, (), env, "/", "gone") is not None


def test_a_sandbox_is_tried_again_when_mounts_of_the_machine_come_and_go(
    tmp_path: Path,
) -> None:
    """As beside an engine: bubblewrap walks over every mount, and fails if one goes meanwhile."""
    need_bubblewrap()
    counter = tmp_path / "tries"
    counter.write_text("")
    real = shutil.which("bwrap")
    fake = tmp_path / "bin/bwrap"
    fake.parent.mkdir()
    fake.write_text(
        f'#!/bin/sh\necho x >>{counter}\n[ $(wc -l <{counter}) -gt 2 ] && exec {real} "$@"\n'
        'echo "bwrap: Can\'t bind mount /oldroot/ on /newroot/: Unable to apply mount flags: remount" >&2\n'
        "exit 1\n"
    )
    fake.chmod(0o755)

    async def main() -> None:
        runtime = maker(tmp_path, "bwrap")()
        await runtime.start()
        counter.write_text("")
        sandbox = await runtime.run_pod_sandbox(SandboxConfig("web", "default", "uid-1"))
        log = str(tmp_path / "0.log")
        path = (
            f"{fake.parent}:/usr/bin:/bin"  # where a container's commands are, its sandbox is too
        )
        config = ContainerConfig(
            "main", 0, "busybox", command=["echo", "hello"], log_path=log, env={"PATH": path}
        )
        container = await runtime.create_container(sandbox, config)
        await runtime.start_container(container)
        assert await contract.exited(runtime, container) == (0, "Completed")
        assert counter.read_text().count("x") == 3
        assert Path(log).read_text() == "hello\n"
        await runtime.remove_pod_sandbox(sandbox)
        await runtime.close()

    uvloop.run(main())
