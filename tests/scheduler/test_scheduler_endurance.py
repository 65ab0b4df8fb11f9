"""The scheduler over time: it does not repeat itself, it survives an API that is away, it never moves a Pod."""

import asyncio

from lightkube.models import core_v1
from tests.client.support import started
from tests.scheduler.cluster import Cluster, cluster

from podward.simulate.virtual_loop import run


async def heartbeat(c: Cluster, minute: int) -> None:
    patch = {"metadata": {"annotations": {"beat": str(minute)}}}
    await c.client.patch(core_v1.Node, "n1", patch)


def test_a_heartbeat_of_a_node_is_no_news() -> None:
    async def main() -> None:
        async with cluster() as c:
            await c.add_pod(cpu="3")
            for minute in range(30):
                await heartbeat(c, minute)
                await asyncio.sleep(60)
            assert [e.reason for e in await c.events()] == ["FailedScheduling"]

    run(main())


def test_a_new_reason_is_told() -> None:
    async def main() -> None:
        async with cluster() as c:
            await c.add_pod(cpu="3")
            await asyncio.sleep(10)
            await c.client.patch(core_v1.Node, "n1", {"spec": {"unschedulable": True}})
            await asyncio.sleep(10)
            first, second = [e.message or "" for e in await c.events()]
            assert "Insufficient cpu" in first
            assert "were unschedulable" in second
            assert (await c.condition()).message == second

    run(main())


def test_a_bound_pod_stays_where_it_is() -> None:
    async def main() -> None:
        async with cluster() as c:
            await c.add_pod()
            await asyncio.sleep(1)
            await c.client.patch(core_v1.Node, "n1", {"spec": {"unschedulable": True}})
            await c.add_node("n2")
            await asyncio.sleep(3600)
            assert await c.node_of() == "n1"
            await c.client.delete(core_v1.Node, "n1")
            await asyncio.sleep(3600)
            assert await c.node_of() == "n1"
            assert [e.reason for e in await c.events()] == ["Scheduled"]

    run(main())


def test_a_scheduler_that_comes_back_knows_what_is_taken_and_repeats_nothing() -> None:
    async def main() -> None:
        made = Cluster(await started())
        await made.add_node()
        async with made.scheduling():
            await made.add_pod("before", cpu="1500m")
            await asyncio.sleep(1)
        await made.add_pod("meanwhile", cpu="500m")
        await made.add_pod("too-much", cpu="1")
        async with made.scheduling():
            await asyncio.sleep(1)
            assert await made.node_of("meanwhile") == "n1"
            assert await made.node_of("too-much") is None
            assert [e.reason for e in await made.events("before")] == ["Scheduled"]

    run(main())


def test_an_api_that_was_away_finds_its_pods_scheduled_later() -> None:
    async def main() -> None:
        async with cluster() as c:
            await asyncio.sleep(1)
            c.api.line.down = True
            await c.add_pod()
            await asyncio.sleep(120)
            assert await c.node_of() is None
            c.api.line.down = False
            await asyncio.sleep(60)
            assert await c.node_of() == "n1"
            assert [e.reason for e in await c.events()] == ["Scheduled"]

    run(main())


def test_a_pod_that_vanishes_while_it_is_bound_holds_nobody_up() -> None:
    async def main() -> None:
        async with cluster() as c:
            await asyncio.sleep(1)
            for i in range(5):
                await c.add_pod(f"short-{i}", cpu="2")
                await c.client.delete(core_v1.Pod, f"short-{i}", "default", grace_period_seconds=0)
            await c.add_pod("last", cpu="2")
            await asyncio.sleep(5)
            assert await c.node_of("last") == "n1"

    run(main())


def test_a_name_used_again_is_another_pod() -> None:
    async def main() -> None:
        async with cluster() as c:
            for _ in range(2):
                await c.add_pod(nodeSelector={"zone": "b"})
                await asyncio.sleep(1)
                await c.client.delete(core_v1.Pod, "web", "default", grace_period_seconds=0)
            told = await c.events()
            assert [e.reason for e in told] == ["FailedScheduling", "FailedScheduling"]
            assert len({e.involvedObject.uid for e in told}) == 2

    run(main())
