"""An API server that asks webhooks of ours, in virtual time, and the words to configure them."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any

from tests.apiserver.support import EPOCH, Caller

from podward.admission.base import AdmissionPlugin
from podward.admission.chain import AdmissionChain
from podward.admission.plugins.admission_webhooks import (
    MutatingAdmissionWebhook,
    ValidatingAdmissionWebhook,
)
from podward.apiserver.app import ApiServer
from podward.apiserver.identity import SYSTEM
from podward.machinery.clock import LoopClock
from podward.machinery.entropy import Entropy
from podward.machinery.http_client import (
    HttpAnswer,
    HttpClient,
    HttpFailure,
    HttpTimeout,
    TlsOptions,
)
from podward.store.memory import MemoryStore

Json = dict[str, Any]
Behaviour = Callable[[Json], Awaitable[HttpAnswer] | HttpAnswer]
"""From the `request` of a review to the answer. It may wait, and raise `HttpFailure`."""

CONFIGURATIONS = "/apis/admissionregistration.k8s.io/v1"
MUTATING = f"{CONFIGURATIONS}/mutatingwebhookconfigurations"
VALIDATING = f"{CONFIGURATIONS}/validatingwebhookconfigurations"
ANY_TLS = TlsOptions()


def answer(request: Json, **response: Any) -> HttpAnswer:
    review = {
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "response": {"uid": request["uid"], "allowed": True} | response,
    }
    return HttpAnswer(200, {"content-type": "application/json"}, json.dumps(review).encode())


def patching(*operations: Json) -> Behaviour:
    """The same patch, whatever comes."""
    return lambda request: answer(request, **patch(*operations))


def patch(*operations: Json) -> Json:
    encoded = base64.b64encode(json.dumps(operations).encode()).decode()
    return {"patchType": "JSONPatch", "patch": encoded}


def labelling(name: str, value: str = "yes") -> Behaviour:
    """Sets a label, if it is not there yet: as a good webhook does, which is asked twice."""

    def behave(request: Json) -> HttpAnswer:
        labels = request["object"]["metadata"].get("labels")
        if labels is None:
            whole = {"op": "add", "path": "/metadata/labels", "value": {name: value}}
            return answer(request, **patch(whole))
        if labels.get(name) == value:
            return answer(request)
        one = {"op": "add", "path": f"/metadata/labels/{name}", "value": value}
        return answer(request, **patch(one))

    return behave


def failing(text: str = "connection refused") -> Behaviour:
    def behave(request: Json) -> HttpAnswer:
        raise HttpFailure(text)

    return behave


def after(seconds: float, behaviour: Behaviour) -> Behaviour:
    async def behave(request: Json) -> HttpAnswer:
        await asyncio.sleep(seconds)
        found = behaviour(request)
        return found if isinstance(found, HttpAnswer) else await found

    return behave


class Outside:
    """An `HttpClient` to servers that are functions; it keeps what they were asked."""

    def __init__(self, **behaviours: Behaviour) -> None:
        self.behaviours = behaviours
        """By host, without `.example.org`."""
        self.asked: list[tuple[str, Json]] = []
        """(host, `request` of the review), in the order in which they were asked."""
        self.urls: list[str] = []
        self.headers: list[Mapping[str, str]] = []
        self.tls: list[TlsOptions] = []

    @property
    def hosts(self) -> list[str]:
        return [host for host, _ in self.asked]

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        timeout: float = 30.0,
        tls: TlsOptions = ANY_TLS,
    ) -> HttpAnswer:
        assert method == "POST"
        review = json.loads(body)
        assert (review["apiVersion"], review["kind"]) == ("admission.k8s.io/v1", "AdmissionReview")
        host = url.removeprefix("https://").partition(".")[0]
        self.asked.append((host, review["request"]))
        self.urls.append(url)
        self.headers.append(dict(headers or {}))
        self.tls.append(tls)
        try:
            async with asyncio.timeout(timeout):
                found = self.behaviours[host](review["request"])
                return found if isinstance(found, HttpAnswer) else await found
        except TimeoutError:
            raise HttpTimeout(f"no answer within {timeout:g} s") from None

    async def lines(
        self, url: str, *, headers: Mapping[str, str] | None = None, tls: TlsOptions = ANY_TLS
    ) -> AsyncIterator[bytes]:
        raise AssertionError("webhooks are not watched")
        yield b""

    async def close(self) -> None: ...


async def serving(
    outside: HttpClient, plugins: Sequence[AdmissionPlugin] = (), store: MemoryStore | None = None
) -> Caller:
    """An API server whose chain is `plugins` and the two that ask webhooks."""
    dice = Entropy(7)
    chain = [
        *plugins,
        MutatingAdmissionWebhook(outside, dice),
        ValidatingAdmissionWebhook(outside, dice),
    ]
    server = ApiServer(
        store or MemoryStore(), LoopClock(EPOCH), Entropy(1), admission=AdmissionChain(chain),
        node_access=None, authenticate=lambda scope: SYSTEM,
    )  # fmt: skip
    await server.bootstrap()
    return Caller(server)


def webhook(host: str, **fields: Any) -> Json:
    """One that wants to see every creation of a Pod."""
    return {
        "name": f"{host}.example.org",
        "clientConfig": {"url": f"https://{host}.example.org/review"},
        "rules": [
            {
                "operations": ["CREATE"],
                "apiGroups": [""],
                "apiVersions": ["v1"],
                "resources": ["pods"],
            }
        ],
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
    } | fields


def rule(*resources: str, operations: Sequence[str] = ("*",), group: str = "") -> Json:
    return {
        "operations": list(operations),
        "apiGroups": [group],
        "apiVersions": ["*"],
        "resources": list(resources),
    }


async def configure(api: Caller, name: str, *webhooks: Json, path: str = MUTATING) -> None:
    made = await api("POST", path, {"metadata": {"name": name}, "webhooks": list(webhooks)})
    assert made.status == 201, made.body
