"""Namespaces that are emptied while somebody refuses."""

import asyncio

from tests.apiserver.support import EPOCH, Caller

from podward.admission.base import AdmissionPlugin, AdmissionRequest
from podward.admission.chain import AdmissionChain
from podward.api import errors
from podward.apiserver.app import ApiServer
from podward.apiserver.identity import SYSTEM
from podward.machinery.clock import LoopClock
from podward.machinery.entropy import Entropy
from podward.simulate.virtual_loop import run
from podward.store.memory import MemoryStore


class Keeper(AdmissionPlugin):
    """Lets nothing be deleted in the namespace `kept`."""

    refuses = True

    async def validate(self, request: AdmissionRequest) -> None:
        if self.refuses and request.operation == "DELETE" and request.namespace == "kept":
            raise errors.forbidden(request.resource, request.name, "it is kept")


def test_a_namespace_that_cannot_be_emptied_holds_up_no_other_and_goes_when_it_may() -> None:
    async def scenario() -> None:
        keeper = Keeper()
        server = ApiServer(
            MemoryStore(), LoopClock(EPOCH), Entropy(1), admission=AdmissionChain([keeper]),
            node_access=None, authenticate=lambda scope: SYSTEM,
        )  # fmt: skip
        await server.bootstrap()
        call = Caller(server)
        lifecycle = asyncio.create_task(server.run_namespace_lifecycle())
        for name in ("kept", "let"):
            await call("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
        await asyncio.sleep(1)
        for name in ("kept", "let"):
            await call("DELETE", f"/api/v1/namespaces/{name}")
        await asyncio.sleep(5)
        assert (await call("GET", "/api/v1/namespaces/let")).status == 404
        assert (await call("GET", "/api/v1/namespaces/kept")).status == 200
        keeper.refuses = False
        await asyncio.sleep(5)
        assert (await call("GET", "/api/v1/namespaces/kept")).status == 404
        lifecycle.cancel()

    run(scenario())
