"""Which engine is found, and what is said where there is none."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import grpc
import pytest
from tests.engine.containerd import Containerd

from podward.kubelet.runtime.cri import runtime_v1_pb2 as pb
from podward.kubelet.runtime.cri.discovery import (
    USUAL_PLACES,
    Engine,
    NoEngine,
    ask,
    find,
    first_of,
    places,
    socket_path,
)

T = TypeVar("T")


@pytest.mark.parametrize(
    "endpoint",
    ["cri:///run/x.sock", "unix:///run/x.sock", "cri://unix:///run/x.sock", "/run/x.sock"],
)
def test_ways_to_write_a_socket(endpoint: str) -> None:
    assert socket_path(endpoint) == "/run/x.sock"


@pytest.mark.parametrize(
    "endpoint", ["cri://run/x.sock", "tcp://127.0.0.1:3", "cri://tcp:///x", "unix:x", ""]
)
def test_what_is_no_socket_is_refused(endpoint: str) -> None:
    with pytest.raises(NoEngine, match="is no engine's socket: write cri:///run/containerd"):
        socket_path(endpoint)


@pytest.mark.parametrize(
    ("variable", "config", "first"),
    [
        ("", None, list(USUAL_PLACES)),
        ("unix:///a.sock", None, ["/a.sock", *USUAL_PLACES]),
        ("", "runtime-endpoint: unix:///b.sock\ntimeout: 2\n", ["/b.sock", *USUAL_PLACES]),
        ("/a.sock", "runtime-endpoint: /b.sock", ["/a.sock", "/b.sock", *USUAL_PLACES]),
        ("/run/crio/crio.sock", "]", [USUAL_PLACES[1], USUAL_PLACES[0], *USUAL_PLACES[2:]]),
        ("", "- a list", list(USUAL_PLACES)),
        ("", "runtime-endpoint: 7", list(USUAL_PLACES)),
    ],
)
def test_where_it_looks_and_in_which_order(
    variable: str, config: str | None, first: list[str], tmp_path: Path
) -> None:
    path = tmp_path / "crictl.yaml"
    if config is not None:
        path.write_text(config)
    assert places({"CONTAINER_RUNTIME_ENDPOINT": variable}, path) == first


@asynccontextmanager
async def engine(path: Path, api: str) -> AsyncIterator[None]:
    """Something that answers `Version`, in that version of the API."""

    async def version(request: Any, context: Any) -> pb.VersionResponse:
        return pb.VersionResponse(runtime_name="oldd", runtime_version="0.1")

    handler = grpc.unary_unary_rpc_method_handler(
        version,
        request_deserializer=pb.VersionRequest.FromString,
        response_serializer=pb.VersionResponse.SerializeToString,
    )
    server = grpc.aio.server()
    service = f"{api}.RuntimeService"
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler(service, {"Version": handler}),)
    )
    server.add_insecure_port(f"unix:{path}")
    await server.start()
    yield
    await server.stop(None)


def refusal(call: Callable[[], Awaitable[object]]) -> str:
    async def main() -> str:
        with pytest.raises(NoEngine) as refused:
            await call()
        return str(refused.value)

    return asyncio.run(main())


def test_the_first_that_answers_is_taken(tmp_path: Path) -> None:
    """Not the first that is there: one was left behind by an engine that is gone."""
    left_behind, alive = tmp_path / "dead.sock", tmp_path / "live.sock"
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(left_behind))

    async def main() -> Engine:
        async with engine(alive, "runtime.v1"):
            return await first_of([str(tmp_path / "none"), str(left_behind), str(alive)])

    assert asyncio.run(main()) == Engine(str(alive), "oldd", "0.1")


def test_no_engine_at_all() -> None:
    said = refusal(lambda: first_of(["/nowhere/a.sock", "/nowhere/b.sock"]))
    assert said == (
        "no container engine found at /nowhere/a.sock, /nowhere/b.sock: install one (apt-get install "
        "containerd), or name its socket (--runtime cri:///PATH)"
    )


def test_a_socket_that_was_named_and_is_not_there() -> None:
    said = refusal(lambda: find("cri:///nowhere/crio.sock"))
    assert said == (
        "there is no engine's socket /nowhere/crio.sock: see whether the engine runs (systemctl status crio)"
    )


def test_a_file_that_is_no_socket(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert refusal(lambda: ask(str(tmp_path / "file"))) == f"{tmp_path}/file is no socket"


def test_a_socket_at_which_nobody_listens(tmp_path: Path) -> None:
    path = tmp_path / "c.sock"
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(path))
    assert refusal(lambda: ask(str(path))) == (
        f"nobody answers at {path}: see whether the engine runs (systemctl status containerd)"
    )


def test_an_engine_that_is_too_old(tmp_path: Path) -> None:
    path = tmp_path / "c.sock"

    async def main() -> None:
        async with engine(path, "runtime.v1alpha2"):
            await ask(str(path))

    assert refusal(main) == (
        f"oldd 0.1 at {path} speaks runtime.v1alpha2 only, not runtime.v1: "
        "upgrade it (containerd 1.6, CRI-O 1.23 or newer)"
    )


def test_an_engine_whose_cri_is_turned_off(tmp_path: Path) -> None:
    path = tmp_path / "c.sock"

    async def main() -> None:
        async with engine(path, "something.else"):
            await ask(str(path))

    assert refusal(main) == (
        f'what listens at {path} serves no CRI: take "cri" out of disabled_plugins in '
        "/etc/containerd/config.toml and restart containerd"
    )


@pytest.mark.skipif(os.geteuid() != 0, reason="takes root to become somebody else")
def test_a_socket_that_we_may_not_open(containerd: Containerd) -> None:
    containerd.folder.chmod(0o755)  # it may be seen, and not be opened
    os.setegid(65534)
    os.seteuid(65534)
    try:
        said = refusal(lambda: ask(str(containerd.socket)))
    finally:
        os.seteuid(0)
        os.setegid(0)
    assert said == (
        f"may not open the engine's socket {containerd.socket}: run podward as root, or let its group use it "
        f"(ls -l {containerd.socket})"
    )


def test_containerd_is_found_by_the_environment(containerd: Containerd) -> None:
    environ = {"CONTAINER_RUNTIME_ENDPOINT": containerd.endpoint}
    found = asyncio.run(find("cri", environ))
    assert (found.socket, found.name) == (str(containerd.socket), "containerd")
