"""What a client is told beside the answer: by the strategy, by admission, each once, within limits."""

from typing import Any

import pytest
from lightkube.models import core_v1
from tests.apiserver.support import EPOCH, PODS, Caller, pod

from podward.admission.base import AdmissionPlugin, AdmissionRequest
from podward.admission.chain import AdmissionChain
from podward.apiserver.app import ApiServer
from podward.apiserver.identity import SYSTEM
from podward.apiserver.responses import warning_headers
from podward.machinery.clock import LoopClock
from podward.machinery.entropy import Entropy
from podward.simulate.virtual_loop import run
from podward.store.base import RevisionConflict
from podward.store.memory import MemoryStore

MERGE = {"content-type": "application/merge-patch+json"}


class Talker(AdmissionPlugin):
    """Says something of every write, twice, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[AdmissionRequest] = []
        self.seen: list[Any] = []

    async def mutate(self, request: AdmissionRequest) -> Any:
        self.asked.append(request)
        request.warnings += ["mutating", "mutating"]
        return request.object

    async def validate(self, request: AdmissionRequest) -> None:
        self.asked.append(request)
        request.warnings.append("validating")
        self.seen = [
            await request.objects.get(core_v1.Namespace, "default"),
            await request.objects.get(core_v1.Namespace, "nowhere"),
            [n.metadata.name for n in await request.objects.list(core_v1.Namespace) if n.metadata],
            await request.objects.list(core_v1.Pod, "default"),
        ]


class Contested(MemoryStore):
    """Somebody else is faster, as often as `lost` says."""

    lost = 0

    async def put(self, key: str, encode: Any, *, expected: int | None) -> Any:
        if self.lost:
            self.lost -= 1
            raise RevisionConflict(key, None)
        return await super().put(key, encode, expected=expected)


async def talking(store: MemoryStore | None = None) -> tuple[Caller, Talker]:
    talker = Talker()
    server = ApiServer(
        store or MemoryStore(), LoopClock(EPOCH), Entropy(1), admission=AdmissionChain([talker]),
        node_access=None, authenticate=lambda scope: SYSTEM,
    )  # fmt: skip
    await server.bootstrap()
    talker.asked.clear()
    return Caller(server), talker


BOTH = '299 - "mutating", 299 - "validating"'


def test_every_write_says_each_warning_once() -> None:
    async def main() -> None:
        api, _ = await talking()
        label = {"metadata": {"labels": {"a": "b"}}}
        one = f"{PODS}/web"
        created = await api("POST", PODS, pod())
        assert created.headers["warning"] == BOTH
        assert (await api("PATCH", one, label, headers=MERGE)).headers["warning"] == BOTH
        again = (await api("GET", one)).json
        assert (await api("PUT", one, again)).headers["warning"] == BOTH
        node = {"metadata": {"name": "web"}, "target": {"kind": "Node", "name": "n1"}}
        bound = await api("POST", f"{one}/binding", node)
        assert bound.headers["warning"] == '299 - "validating"'
        deleted = await api("DELETE", one, gracePeriodSeconds="0")
        assert deleted.headers["warning"] == BOTH
        await api("POST", PODS, pod())
        assert (await api("DELETE", PODS)).headers["warning"] == BOTH
        assert "warning" not in (await api("GET", PODS)).headers

    run(main())


def test_unknown_fields_are_warned_of_beside_them() -> None:
    async def main() -> None:
        api, _ = await talking()
        created = await api("POST", PODS, pod(nodenName="x"))
        assert created.headers["warning"] == f'299 - "unknown field \\"spec.nodenName\\"", {BOTH}'

    run(main())


def test_a_write_that_is_tried_again_is_warned_of_as_it_came_out() -> None:
    async def main() -> None:
        store = Contested()
        api, talker = await talking(store)
        await api("POST", PODS, pod())
        talker.asked.clear()
        store.lost = 3
        label = {"metadata": {"labels": {"a": "b"}}}
        told = await api("PATCH", f"{PODS}/web", label, headers=MERGE)
        assert (told.status, store.lost, len(talker.asked)) == (200, 0, 2 * 4)
        assert talker.asked[-1].warnings == ["mutating", "mutating", "validating"]
        assert told.headers["warning"] == BOTH

    run(main())


def test_admission_is_told_the_namespace_of_the_request_and_may_look_around() -> None:
    async def main() -> None:
        api, talker = await talking()
        await api("POST", PODS, pod())
        await api("PATCH", f"{PODS}/web", {"metadata": {"labels": {"a": "b"}}}, headers=MERGE)
        await api("POST", "/api/v1/nodes", {"metadata": {"name": "n1"}})
        found = [(a.operation, a.namespace, a.name) for a in talker.asked]
        assert found == [
            *[("CREATE", "default", "web")] * 2,
            *[("UPDATE", "default", "web")] * 2,
            *[("CREATE", "", "n1")] * 2,
        ]
        namespace, nowhere, names, pods = talker.seen
        assert namespace.metadata.name == "default"
        assert nowhere is None
        assert names == sorted(names)
        assert "default" in names
        assert [p.metadata.name for p in pods] == ["web"]

    run(main())


def test_what_admission_sees_is_what_is_stored_now() -> None:
    async def main() -> None:
        api, talker = await talking()
        counts = []
        for name in "abc":
            await api("POST", PODS, pod(name))
            counts.append(len(talker.seen[-1]))
        assert counts == [0, 1, 2]

    run(main())


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (["a", "b", "a"], ["a", "b"]),
        (["x" * 4000], ["x" * 4000]),
        (["x" * 4097], ["x" * 256]),
        ([f"{i:03}" + "x" * 300 for i in range(40)], [f"{i:03}" + "x" * 253 for i in range(16)]),
        ([f"{i:03}" + "x" * 97 for i in range(50)], [f"{i:03}" + "x" * 97 for i in range(40)]),
    ],
    ids=["once", "long", "too long", "too many long ones", "too many short ones"],
)
def test_headers_have_limits(given: list[str], kept: list[str]) -> None:
    assert warning_headers(given) == {"warning": ", ".join(f'299 - "{text}"' for text in kept)}
