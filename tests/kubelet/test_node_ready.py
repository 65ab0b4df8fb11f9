"""The node's Ready condition follows the runtime: what it says at once, its silence after 30 s."""

import asyncio
from datetime import UTC, datetime
from typing import Any

from lightkube.models import meta_v1

from podward.kubelet.node import NodeFacts, NodeReporter
from podward.kubelet.runtime.base import RuntimeUnavailable
from podward.machinery.clock import LoopClock
from podward.simulate.virtual_loop import run

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
DOWN = "dial unix /run/c.sock: connect: connection refused"
NETWORK = "container runtime network not ready: NetworkReady=false reason:X message:y"


class Server:
    """Keeps what is reported: (second, status, reason, message, second of the transition) of Ready."""

    def __init__(self, clock: LoopClock) -> None:
        self._clock = clock
        self.reports: list[tuple[float, str, str, str, float]] = []

    async def get(self, kind: Any, name: str) -> Any:
        return kind(metadata=meta_v1.ObjectMeta(name=name, uid="u"))

    async def patch(self, kind: Any, name: str, patch: Any, **_: Any) -> None:
        if "status" not in patch:
            [owner] = patch["metadata"]["ownerReferences"]
            assert (owner.apiVersion, owner.kind, owner.name, owner.uid) == ("v1", "Node", "n", "u")
            return
        *pressures, ready = patch["status"].conditions
        assert ready.type == "Ready"
        assert all(one.status == "False" for one in pressures)
        since = (ready.lastTransitionTime - EPOCH).total_seconds()
        at = self._clock.monotonic()
        self.reports.append((at, ready.status, ready.reason, ready.message, since))


class Runtime:
    def __init__(self) -> None:
        self.says: str | None = None
        self.there = True

    async def problem(self) -> str | None:
        if not self.there:
            raise RuntimeUnavailable(DOWN)
        return self.says


def test_the_nodes_condition_follows_the_runtime() -> None:
    async def main() -> None:
        clock, runtime = LoopClock(EPOCH), Runtime()
        server = Server(clock)
        reporter = NodeReporter(server, clock, NodeFacts("n", "127.0.0.1"), runtime.problem)  # type: ignore[arg-type]
        running = asyncio.create_task(reporter.run())
        await asyncio.sleep(101)
        runtime.there = False
        await asyncio.sleep(20)  # an engine that is started again is no news
        runtime.there = True
        await asyncio.sleep(10)
        assert [report[1] for report in server.reports] == ["True"]
        runtime.there = False
        await asyncio.sleep(60)
        runtime.there, runtime.says = True, NETWORK
        await asyncio.sleep(20)
        runtime.says = None
        await asyncio.sleep(20)
        running.cancel()
        assert server.reports == [
            (0.0, "True", "KubeletReady", "kubelet is posting ready status", 0.0),
            (160.0, "False", "KubeletNotReady", f"container runtime is down: {DOWN}", 160.0),
            (195.0, "False", "KubeletNotReady", NETWORK, 160.0),
            (215.0, "True", "KubeletReady", "kubelet is posting ready status", 215.0),
        ]

    run(main())
