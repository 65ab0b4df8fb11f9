"""Lists and watches, as a client sees them."""

import asyncio

from tests.apiserver.support import PODS, pod, started

from podward.simulate.virtual_loop import run

TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"


def test_pages_of_a_list_are_of_one_revision() -> None:
    async def scenario() -> None:
        call = await started()
        for i in range(5):
            await call("POST", PODS, pod(f"p{i}"))
        first = (await call("GET", PODS, limit="2")).json
        assert first["kind"] == "PodList"
        assert first["metadata"]["remainingItemCount"] == 3
        await call("DELETE", f"{PODS}/p4")
        token = first["metadata"]["continue"]
        second = (await call("GET", PODS, query={"limit": "10", "continue": token})).json
        assert [i["metadata"]["name"] for i in second["items"]] == ["p2", "p3", "p4"]
        assert second["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]
        assert (await call("GET", PODS, query={"continue": "x"})).status == 400

    run(scenario())


def test_selectors() -> None:
    async def scenario() -> None:
        call = await started()
        labelled = pod("a", nodeName="n1")
        labelled["metadata"]["labels"] = {"app": "x"}
        await call("POST", PODS, labelled)
        await call("POST", PODS, pod("b"))
        for query, names in [
            ({"labelSelector": "app=x"}, ["a"]),
            ({"labelSelector": "app!=x"}, ["b"]),
            ({"fieldSelector": "spec.nodeName=n1"}, ["a"]),
            ({"fieldSelector": "metadata.name=b,status.phase=Pending"}, ["b"]),
            ({"fieldSelector": "spec.nodeName!=n1"}, ["b"]),
        ]:
            items = (await call("GET", "/api/v1/pods", query=query)).json["items"]
            assert [item["metadata"]["name"] for item in items] == names, query
        bad = await call("GET", PODS, fieldSelector="spec.color=red")
        assert bad.status == 400
        assert "field label not supported: spec.color" in bad.json["message"]

    run(scenario())


def test_a_table_has_columns_and_rows() -> None:
    async def scenario() -> None:
        call = await started()
        await call("POST", PODS, pod())
        await asyncio.sleep(80)
        table = (await call("GET", PODS, headers={"accept": TABLE})).json
        names = [c["name"] for c in table["columnDefinitions"] if c["priority"] == 0]
        assert names == ["Name", "Ready", "Status", "Restarts", "Age"]
        assert table["rows"][0]["cells"][:5] == ["web", "0/1", "Pending", "0", "80s"]
        assert table["rows"][0]["object"]["kind"] == "PartialObjectMetadata"

    run(scenario())


def test_a_watch_begins_with_what_exists_and_goes_on() -> None:
    async def scenario() -> None:
        call = await started()
        await call("POST", PODS, pod("a"))
        async with call.watch(PODS) as watcher:
            first = await watcher.next()
            assert first
            assert (first["type"], first["object"]["metadata"]["name"]) == ("ADDED", "a")
            await call("POST", PODS, pod("b"))
            second = await watcher.next()
            assert second
            assert second["object"]["metadata"]["name"] == "b"
            await call("DELETE", f"{PODS}/b")
            third = await watcher.next()
            assert third
            assert third["type"] == "DELETED"

    run(scenario())


def test_a_selector_sees_matches_come_and_go() -> None:
    async def scenario() -> None:
        call = await started()
        made = (await call("POST", PODS, pod("a"))).json
        version = made["metadata"]["resourceVersion"]
        kind = {"content-type": "application/merge-patch+json"}
        async with call.watch(PODS, resourceVersion=version, labelSelector="on=yes") as watcher:
            for value in ("yes", "no"):
                body = {"metadata": {"labels": {"on": value}}}
                await call("PATCH", f"{PODS}/a", body, headers=kind)
            events = [await watcher.next(), await watcher.next()]
            assert [e and e["type"] for e in events] == ["ADDED", "DELETED"]

    run(scenario())


def test_bookmarks_and_the_end_of_the_initial_events() -> None:
    async def scenario() -> None:
        call = await started()
        await call("POST", PODS, pod("a"))
        async with call.watch(
            PODS,
            sendInitialEvents="true",
            resourceVersionMatch="NotOlderThan",
            allowWatchBookmarks="true",
        ) as watcher:
            first, second = await watcher.next(), await watcher.next()
            assert first
            assert first["type"] == "ADDED"
            assert second
            assert second["type"] == "BOOKMARK"
            ends = second["object"]["metadata"]["annotations"]["k8s.io/initial-events-end"]
            assert ends == "true"
            third = await watcher.next(61)
            assert third
            assert third["type"] == "BOOKMARK"

    run(scenario())


def test_a_bookmark_tells_how_far_the_store_is_not_how_far_the_watch_was() -> None:
    async def scenario() -> None:
        call = await started()
        async with call.watch(PODS, allowWatchBookmarks="true", resourceVersion="1") as watcher:
            others = "/api/v1/namespaces/default/configmaps"
            made = await call("POST", others, {"metadata": {"name": "other"}})
            bookmark = await watcher.next(61)
            assert bookmark
            assert bookmark["type"] == "BOOKMARK"
            reached = bookmark["object"]["metadata"]["resourceVersion"]
            assert reached == made.json["metadata"]["resourceVersion"]

    run(scenario())


def test_a_watch_ends_by_its_timeout_and_by_the_server() -> None:
    async def scenario() -> None:
        call = await started()
        async with call.watch(PODS, timeoutSeconds="10", resourceVersion="1") as watcher:
            began = asyncio.get_running_loop().time()
            assert await watcher.next(20) is None
            assert asyncio.get_running_loop().time() - began == 10
        async with call.watch(PODS) as watcher:
            await call.server.close()
            assert await watcher.next() is None

    run(scenario())


def test_health_is_told_to_everybody() -> None:
    async def scenario() -> None:
        call = await started()
        for path in ("/healthz", "/livez", "/readyz", "/readyz/ping"):
            assert (await call("GET", path)).body == b"ok"
        assert b"check passed" in (await call("GET", "/readyz", verbose="")).body

    run(scenario())
