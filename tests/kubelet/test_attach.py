"""Attaching to a container: what it writes from now on, until it ends."""

import asyncio
from typing import Any

import pytest
from tests.kubelet.support import live, pod, shell

from podward.client.node_access import NodeAccessError
from podward.cluster import Cluster

TALKS = pod([{"command": shell("echo before; sleep 5; echo one; sleep 5; echo two")}],
            restartPolicy="Never")  # fmt: skip


def attached(at: float, *, stdin: bool = False) -> list[tuple[int, bytes]] | str:
    """What who attaches `at` seconds hears, and the code of the end; or why he cannot."""
    heard: list[tuple[int, bytes]] = []
    refused: list[str] = []

    async def script(cluster: Cluster) -> None:
        await asyncio.sleep(at)
        from lightkube.models import core_v1

        found = await cluster.client.get(core_v1.Pod, "p", "default")
        try:
            session = await cluster.node_server.attach(found, "a", stdin=stdin)
        except NodeAccessError as error:
            refused.append(f"{error.code} {error}")
            return
        async for piece in session.output():
            heard.append(piece)
        heard.append((await session.wait(), b"end"))
        await session.close()

    live(TALKS, 30, script)
    return refused[0] if refused else heard


@pytest.mark.parametrize(("at", "pieces"), [(3, [b"one\n", b"two\n"]), (8, [b"two\n"])])
def test_only_what_is_written_from_now_on_is_heard(at: float, pieces: list[bytes]) -> None:
    assert attached(at) == [*[(1, piece) for piece in pieces], (0, b"end")]


def test_a_container_that_has_ended_is_not_found() -> None:
    assert attached(20) == '404 container not found ("a")'


def test_an_input_that_nobody_would_read_is_refused() -> None:
    said: Any = attached(3, stdin=True)
    assert said.startswith('400 container "a" has no stdin: the simulated runtime gives none')
