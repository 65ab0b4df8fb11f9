"""Pods get their nodes, and everybody is told why not."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
from lightkube.models import core_v1
from tests.client.support import EPOCH
from tests.scheduler.cluster import Cluster, cluster

from podward.simulate.virtual_loop import run


def test_a_pod_gets_a_node_and_it_is_said() -> None:
    async def main() -> None:
        async with cluster() as c:
            await asyncio.sleep(5.5)
            made = await c.add_pod()
            await asyncio.sleep(1)
            assert await c.node_of() == "n1"
            assert (await c.condition()).status == "True"
            (event,) = await c.events()
            assert (event.type, event.reason, event.action) == ("Normal", "Scheduled", "Binding")
            assert event.message == "Successfully assigned default/web to n1"
            assert event.reportingComponent == "default-scheduler"
            assert event.eventTime == EPOCH + timedelta(seconds=5.5)
            assert (event.firstTimestamp, event.lastTimestamp, event.count) == (None, None, None)
            assert made.metadata is not None
            assert event.involvedObject.kind == "Pod"
            assert event.involvedObject.uid == made.metadata.uid

    run(main())


def test_a_pod_that_fits_nowhere_waits_and_it_is_said_why() -> None:
    async def main() -> None:
        async with cluster() as c:
            await c.add_pod(nodeSelector={"zone": "b"})
            await asyncio.sleep(1)
            assert await c.node_of() is None
            (event,) = await c.events()
            assert (event.type, event.reason) == ("Warning", "FailedScheduling")
            assert event.action == "Scheduling"
            reason = (
                "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector. "
            )
            assert (event.message or "").startswith(reason)
            condition = await c.condition()
            assert (condition.status, condition.reason) == ("False", "Unschedulable")
            assert condition.message == event.message
            assert condition.lastTransitionTime == EPOCH
            status = (await c.pod()).status
            assert status is not None
            assert status.phase == "Pending"

    run(main())


def test_without_nodes_it_is_said_that_there_are_none() -> None:
    async def main() -> None:
        async with cluster(nodes=0) as c:
            await c.add_pod()
            await asyncio.sleep(1)
            (event,) = await c.events()
            assert event.message == "no nodes available to schedule pods"
            assert (await c.condition()).reason == "Unschedulable"
            await c.add_node()
            await asyncio.sleep(1)
            assert await c.node_of() == "n1"
            assert [e.reason for e in await c.events()] == ["FailedScheduling", "Scheduled"]

    run(main())


async def a_node_comes(c: Cluster) -> None:
    await c.add_node("n2")


async def a_node_grows(c: Cluster) -> None:
    patch = {"status": {"allocatable": {"cpu": "8"}}}
    await c.client.patch(core_v1.Node, "n1", patch, subresource="status")


async def a_pod_ends(c: Cluster) -> None:
    await c.finish("first")


async def a_pod_fails(c: Cluster) -> None:
    await c.finish("first", "Failed")


async def a_pod_is_deleted(c: Cluster) -> None:
    await c.client.delete(core_v1.Pod, "first", "default", grace_period_seconds=0)


@pytest.mark.parametrize(
    "relief", [a_node_comes, a_node_grows, a_pod_ends, a_pod_fails, a_pod_is_deleted]
)
def test_a_waiting_pod_is_bound_as_soon_as_there_is_room(
    relief: Callable[[Cluster], Awaitable[None]],
) -> None:
    async def main() -> None:
        async with cluster() as c:
            await c.add_pod("first", cpu="1500m")
            await c.add_pod("second", cpu="1")
            await asyncio.sleep(3600)
            assert [await c.node_of("first"), await c.node_of("second")] == ["n1", None]
            await relief(c)
            await asyncio.sleep(1)
            assert await c.node_of("second") == ("n2" if relief is a_node_comes else "n1")
            assert (await c.condition("second")).status == "True"
            assert [e.reason for e in await c.events("second")] == ["FailedScheduling", "Scheduled"]

    run(main())


def test_a_pod_on_its_way_out_still_takes_its_room() -> None:
    async def main() -> None:
        async with cluster() as c:
            await c.add_pod("first", cpu="2")
            await asyncio.sleep(1)
            await c.client.delete(core_v1.Pod, "first", "default", grace_period_seconds=30)
            await c.add_pod("second", cpu="2")
            await asyncio.sleep(10)
            assert await c.node_of("second") is None

    run(main())


def test_room_is_given_once_to_the_oldest() -> None:
    async def main() -> None:
        async with cluster(nodes=0) as c:
            for name in ("z", "y", "x"):
                await c.add_pod(name, cpu="1")
                await asyncio.sleep(2)
            await c.add_node()
            await asyncio.sleep(10)
            assert [await c.node_of(name) for name in "zyx"] == ["n1", "n1", None]
            last = (await c.events("x"))[-1].message or ""
            assert last.startswith("0/1 nodes are available: 1 Insufficient cpu. ")

    run(main())


def test_many_at_once_never_overfill_a_node() -> None:
    async def main() -> None:
        async with cluster(nodes=2) as c:
            names = [f"p{i}" for i in range(10)]
            await asyncio.gather(*(c.add_pod(name, cpu="500m") for name in names))
            await asyncio.sleep(10)
            nodes = [await c.node_of(name) for name in names]
            assert (nodes.count("n1"), nodes.count("n2"), nodes.count(None)) == (4, 4, 2)

    run(main())


@pytest.mark.parametrize(
    "spec",
    [
        {"schedulerName": "another"},
        {"schedulingGates": [core_v1.PodSchedulingGate(name="wait")]},
    ],
    ids=["another scheduler's", "gated"],
)
def test_what_is_not_for_us_is_left_alone(spec: dict[str, Any]) -> None:
    async def main() -> None:
        async with cluster() as c:
            await c.add_pod(**spec)
            await asyncio.sleep(60)
            assert await c.node_of() is None
            assert await c.events() == []

    run(main())


def test_a_pod_that_names_its_node_is_not_scheduled() -> None:
    async def main() -> None:
        async with cluster() as c:
            await c.add_pod(nodeName="elsewhere", cpu="2")
            await c.add_pod("second", cpu="2")
            await asyncio.sleep(1)
            assert await c.node_of() == "elsewhere"
            assert await c.events() == []
            assert await c.node_of("second") == "n1"  # what runs elsewhere takes no room here

    run(main())


def test_a_toleration_given_later_lets_the_pod_in() -> None:
    async def main() -> None:
        async with cluster(nodes=0) as c:
            await c.add_node(taints=[core_v1.Taint(key="gpu", effect="NoSchedule")])
            await c.add_pod()
            await asyncio.sleep(60)
            assert await c.node_of() is None
            patch = {"spec": {"tolerations": [{"operator": "Exists"}]}}
            await c.client.patch(core_v1.Pod, "web", patch, namespace="default")
            await asyncio.sleep(1)
            assert await c.node_of() == "n1"

    run(main())
