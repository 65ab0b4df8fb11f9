"""MutatingAdmissionWebhook: one webhook after the other may change the object.

If one of them did, the plug-ins before it in the chain have not seen that change: they are asked once more,
and so are the webhooks with reinvocationPolicy IfNeeded that were asked before the change. There is no third
round, and nobody is asked for the first time in the second.
"""

from dataclasses import dataclass, field
from typing import Any

import msgspec
from lightkube.models.admissionregistration_v1 import MutatingWebhookConfiguration

from podward.admission.base import AdmissionPlugin, AdmissionRequest, Rounds
from podward.admission.plugins.admission_webhooks.calling import CallFailed, ask
from podward.admission.plugins.admission_webhooks.current import CurrentWebhooks, Gate
from podward.admission.plugins.admission_webhooks.model import Webhook
from podward.admission.plugins.admission_webhooks.outcome import give_way, take
from podward.admission.plugins.admission_webhooks.review import (
    BadPatch,
    Described,
    encoded,
    operations_of,
    patched,
)
from podward.api import codec, errors
from podward.api.defaults import set_defaults
from podward.api.errors import ApiStatusError
from podward.machinery.entropy import Entropy
from podward.machinery.gotext import quote
from podward.machinery.http_client import HttpClient


@dataclass(slots=True)
class _Memory:
    """Of the first round, for the second."""

    asked: set[str] = field(default_factory=set)
    """Webhooks that may be asked again, if somebody changes the object."""
    again: set[str] = field(default_factory=set)
    """Those of them after which somebody did."""
    left: bytes | None = None
    """The object as the last webhook left it."""

    def changed(self) -> None:
        self.again |= self.asked


class MutatingAdmissionWebhook(AdmissionPlugin):
    def __init__(self, client: HttpClient, entropy: Entropy) -> None:
        self._client = client
        self._entropy = entropy
        self._webhooks = CurrentWebhooks(MutatingWebhookConfiguration)

    async def mutate(self, request: AdmissionRequest) -> Any:
        webhooks = await self._webhooks.matching(request)
        if webhooks:
            await self._ask_all(webhooks, request)
        return request.object

    async def _ask_all(self, webhooks: tuple[Webhook, ...], request: AdmissionRequest) -> None:
        rounds = request.rounds = request.rounds or Rounds(memory=_Memory())
        memory: _Memory = rounds.memory
        described = Described(request)
        if rounds.second and described.encoded != memory.left:
            memory.changed()  # by the plug-ins, which were asked once more
        gate = Gate(request)
        for webhook in webhooks:
            if rounds.second and webhook.uid not in memory.again:
                continue
            if not await gate.lets_through(webhook, described):
                continue
            if await self._ask(webhook, request, described):
                described = Described(request)
                memory.changed()
                rounds.again = True
            if webhook.reinvoked:
                memory.asked.add(webhook.uid)
        memory.left = described.encoded

    async def _ask(self, webhook: Webhook, request: AdmissionRequest, described: Described) -> bool:
        """Whether it changed `request.object`."""
        uid = self._entropy.uuid4()
        try:
            verdict = await ask(self._client, webhook, described.question(uid), uid, mutating=True)
        except CallFailed as failure:
            give_way(webhook, failure)
            return False
        take(verdict, webhook, request)
        try:
            operations = operations_of(verdict.patch)
            return bool(operations) and _apply(operations, webhook, request, described)
        except BadPatch as error:
            raise errors.internal_error(str(error)) from None


def _apply(
    operations: list[Any], webhook: Webhook, request: AdmissionRequest, described: Described
) -> bool:
    if described.encoded is None:
        name = quote(webhook.name)
        raise errors.internal_error(
            f"admission webhook {name} attempted to modify the object, which is not supported for this "
            "operation"
        )
    made = patched(msgspec.json.decode(described.encoded), operations)
    obj = _decoded(made, request)
    if encoded(obj) == described.encoded:
        return False
    request.object = obj if isinstance(obj, dict) else set_defaults(obj)
    return True


def _decoded(document: Any, request: AdmissionRequest) -> Any:
    """What is never stored (the options of a CONNECT) is a document, and stays one."""
    if isinstance(request.object, dict):
        if not isinstance(document, dict):
            raise BadPatch("the patch leaves no object")
        return document
    try:
        return codec.decode_builtins(document, request.resource, "Ignore")[0]
    except ApiStatusError as error:
        raise BadPatch(str(error)) from None
