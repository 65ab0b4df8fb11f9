"""Images of an engine, from a registry of the tests: what is told of them, and of which a container is made."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import TypeVar

import pytest
from tests.engine.containerd import Containerd
from tests.engine.images import Image, busybox_files
from tests.engine.registry import Registry

from podward.kubelet.runtime.base import ContainerConfig, Credentials, RuntimeFailure, SandboxConfig
from podward.kubelet.runtime.cri import CriRuntime
from podward.kubelet.runtime.cri.images import failure_text

T = TypeVar("T")


@pytest.fixture
def registry() -> Iterator[Registry]:
    one = Registry()
    yield one
    one.stop()


def application(version: str, user: str = "") -> Image:
    files, _ = busybox_files()
    files["version"] = version.encode()
    return Image([], files, entrypoint=["/bin/busybox", "sleep", "60"], user=user)


def on(engine: Containerd, script: Callable[[CriRuntime], Awaitable[T]]) -> T:
    async def main() -> T:
        runtime = CriRuntime(str(engine.socket), instance="images")
        await runtime.start()
        try:
            return await script(runtime)
        finally:
            for sandbox in await runtime.list_pod_sandboxes():
                await runtime.remove_pod_sandbox(sandbox.id)
            await runtime.close()

    return asyncio.run(main())


def test_what_is_told_of_a_pulled_image(containerd: Containerd, registry: Registry) -> None:
    name = f"{registry.host}/told:1"
    digest = registry.push(application("told", user="1001:33"), "told", "1")

    async def script(runtime: CriRuntime) -> None:
        assert await runtime.image_status(name) is None
        found = await runtime.pull_image(name)
        assert found.image == name
        assert found.image_id == f"{registry.host}/told@{digest}"
        assert found.user == "1001"
        assert found.from_registry
        assert found.ref.startswith("sha256:")
        assert found.size_bytes > 1_000_000
        assert await runtime.image_status(name) == await runtime.image_status(found.ref) == found

    on(containerd, script)


def test_a_container_is_made_of_the_image_that_was_found(
    containerd: Containerd, registry: Registry
) -> None:
    """Though its tag has moved meanwhile."""
    name = f"{registry.host}/moved:1"

    async def script(runtime: CriRuntime) -> bytes:
        registry.push(application("before"), "moved", "1")
        before = await runtime.pull_image(name)
        registry.push(application("after"), "moved", "1")
        after = await runtime.pull_image(name)
        assert before.ref != after.ref
        sandbox = await runtime.run_pod_sandbox(SandboxConfig("p", "default", "uid-1"))
        config = ContainerConfig("main", 0, name, image_ref=before.ref)
        container = await runtime.create_container(sandbox, config)
        await runtime.start_container(container)
        read = ["/bin/busybox", "cat", "/version"]
        return (await runtime.exec_sync(container, read, 10)).stdout

    assert on(containerd, script) == b"before"


def test_who_may_not_pull_is_told_so(containerd: Containerd) -> None:
    private = Registry({"me": "secret"})
    private.push(application("private"), "private", "1")

    async def script(runtime: CriRuntime) -> list[str]:
        said = []
        for who in (None, Credentials("me", "guess"), Credentials("me", "secret")):
            try:
                said.append((await runtime.pull_image(f"{private.host}/private:1", who)).image)
            except RuntimeFailure as failure:
                said.append(str(failure))
        return said

    try:
        nobody, guest, member = on(containerd, script)
    finally:
        private.stop()
    for refused in (nobody, guest):
        assert refused.startswith(f'failed to pull and unpack image "{private.host}/private:1": ')
        assert "401 Unauthorized" in refused
    assert member == f"{private.host}/private:1"


@pytest.mark.parametrize(
    ("failure", "shown"),
    [
        ("rpc error: code = Unknown desc = RegistryUnavailable: 503", "RegistryUnavailable: 503"),
        ("rpc error: code = NotFound desc = gone", "rpc error: code = NotFound desc = gone"),
    ],
)
def test_a_kind_of_failure_is_named_if_it_is_known(failure: str, shown: str) -> None:
    assert failure_text(failure) == shown
