"""`/metrics`: requests as they were asked for and answered, and what is stored."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.apiserver.support import EPOCH, PODS, Caller, pod

from podward.admission.chain import AdmissionChain
from podward.api.errors import unauthorized
from podward.apiserver.app import ApiServer, Scope
from podward.apiserver.identity import SYSTEM, Identity
from podward.apiserver.metrics import MetricsPage, Page
from podward.machinery.clock import LoopClock
from podward.machinery.entropy import Entropy
from podward.machinery.metrics import Family
from podward.simulate.virtual_loop import run
from podward.store.memory import MemoryStore


async def serving(authenticate: Callable[[Scope], Identity] | None = None) -> Caller:
    page = MetricsPage()
    server = ApiServer(
        MemoryStore(), LoopClock(EPOCH), Entropy(1), admission=AdmissionChain([]), node_access=None,
        authenticate=authenticate or (lambda scope: SYSTEM), extra_routes={"/metrics": page},
    )  # fmt: skip
    page.add(server.families)
    await server.bootstrap()
    return Caller(server)


async def read(call: Caller) -> dict[str, dict[tuple[str, ...], float]]:
    answer = await call("GET", "/metrics")
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/plain")
    return {
        family.name: {_ordered(s.labels): s.value for s in family.samples}
        for family in text_string_to_metric_families(answer.body.decode())
    }


def _ordered(labels: dict[str, str]) -> tuple[str, ...]:
    """As they are announced; they are written in the order of the alphabet."""
    order = ["verb", "group", "version", "resource", "subresource", "code"]
    return tuple(labels[name] for name in order if name in labels)


NEW = pod("new")
Asked = tuple[str, str, Any]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        pytest.param(("GET", PODS, None), ("LIST", "", "v1", "pods", "", "200"), id="list"),
        pytest.param(("GET", PODS + "/web", None), ("GET", "", "v1", "pods", "", "200"), id="get"),
        pytest.param(("HEAD", PODS + "/web", None), ("GET", "", "v1", "pods", "", "200"), id="head"),
        pytest.param(("GET", PODS + "/no", None), ("GET", "", "v1", "pods", "", "404"), id="404"),
        pytest.param(("POST", PODS, NEW), ("POST", "", "v1", "pods", "", "201"), id="create"),
        pytest.param(("POST", PODS, b"{"), ("POST", "", "v1", "pods", "", "400"), id="bad request"),
        pytest.param(
            ("DELETE", PODS, None), ("DELETECOLLECTION", "", "v1", "pods", "", "200"), id="all gone"
        ),
        pytest.param(
            ("DELETE", PODS + "/web", None), ("DELETE", "", "v1", "pods", "", "200"), id="delete"
        ),
        pytest.param(
            ("GET", PODS + "/web/status", None), ("GET", "", "v1", "pods", "status", "200"),
            id="a subresource",
        ),
        pytest.param(
            ("GET", "/apis/coordination.k8s.io/v1/leases", None),
            ("LIST", "coordination.k8s.io", "v1", "leases", "", "200"), id="a group",
        ),
        pytest.param(
            ("GET", PODS + "?watch", None), ("GET", "", "", "", "", "404"), id="not a resource"
        ),
        pytest.param(("GET", "/healthz", None), ("GET", "", "", "", "", "200"), id="health"),
        pytest.param(("BREW", "/healthz", None), ("OTHER", "", "", "", "", "200"), id="invented"),
    ],
)  # fmt: skip
def test_a_request_is_counted(asked: Asked, expected: tuple[str, ...]) -> None:
    async def main() -> None:
        call = await serving()
        await call("POST", PODS, pod("web"))
        before = (await read(call))["apiserver_request"].get(expected, 0)
        await call(*asked)
        # "/metrics" itself is counted when it has been answered.
        own = 1 if expected == ("GET", "", "", "", "", "200") else 0
        assert (await read(call))["apiserver_request"][expected] - before == 1 + own

    run(main())


def test_a_watch_is_counted_when_it_begins_and_when_it_is_refused() -> None:
    async def main() -> None:
        call = await serving()
        async with call.watch(PODS):
            counted = (await read(call))["apiserver_request"]
            assert counted["WATCH", "", "v1", "pods", "", "200"] == 1
        await call("GET", PODS, watch="true", resourceVersion="x")
        counted = (await read(call))["apiserver_request"]
        assert counted["WATCH", "", "v1", "pods", "", "400"] == 1

    run(main())


def test_what_is_stored_is_counted_by_kind() -> None:
    async def main() -> None:
        call = await serving()
        for name in ("a", "b"):
            await call("POST", PODS, pod(name))
        stored = (await read(call))["apiserver_storage_objects"]
        assert stored["pods",] == 2
        assert stored["namespaces",] > 0
        assert stored["podpresets.podward.dev",] == 0
        assert stored["podpresets.settings.k8s.io",] == 0

    run(main())


def test_only_whoever_is_known_may_read_them() -> None:
    def nobody(scope: Scope) -> Identity:
        raise unauthorized()

    async def main() -> None:
        call = await serving(nobody)
        scope: Scope = {
            "type": "http", "method": "GET", "path": "/metrics", "query_string": b"", "headers": [],
        }  # fmt: skip
        sent: list[Any] = []

        async def receive() -> Any:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        await call.server(scope, receive, send)
        assert sent[0]["status"] == 401

    run(main())


def test_they_are_written_aside_of_what_was_read_in_the_loop() -> None:
    async def main() -> None:
        aside: list[Page] = []

        async def thread(write: Callable[[], Page]) -> Page:
            aside.append(write())
            return aside[0]

        page = MetricsPage(thread)

        def source(name: str) -> Callable[[], Awaitable[list[Family]]]:
            async def families() -> list[Family]:
                return [Family(name, "Help.", "gauge", (), {(): 1.0})]

            return families

        page.add(source("one"))
        page.add(source("two"))
        server = ApiServer(
            MemoryStore(), LoopClock(EPOCH), Entropy(1), admission=AdmissionChain([]),
            node_access=None, authenticate=lambda scope: SYSTEM, extra_routes={"/metrics": page},
        )  # fmt: skip
        answer = await Caller(server)("GET", "/metrics")
        assert answer.body == aside[0][0]
        assert {b"one 1.0", b"two 1.0"} <= set(answer.body.splitlines())

    run(main())
