"""ValidatingAdmissionWebhook: all are asked at once, and one that denies is enough."""

import asyncio

from lightkube.models.admissionregistration_v1 import ValidatingWebhookConfiguration

from podward.admission.base import AdmissionPlugin, AdmissionRequest
from podward.admission.plugins.admission_webhooks.calling import CallFailed, ask
from podward.admission.plugins.admission_webhooks.current import CurrentWebhooks, Gate
from podward.admission.plugins.admission_webhooks.model import Webhook
from podward.admission.plugins.admission_webhooks.outcome import give_way, take
from podward.admission.plugins.admission_webhooks.review import Described, Verdict
from podward.api import errors
from podward.machinery.entropy import Entropy
from podward.machinery.http_client import HttpClient


class ValidatingAdmissionWebhook(AdmissionPlugin):
    def __init__(self, client: HttpClient, entropy: Entropy) -> None:
        self._client = client
        self._entropy = entropy
        self._webhooks = CurrentWebhooks(ValidatingWebhookConfiguration)

    async def validate(self, request: AdmissionRequest) -> None:
        """All are heard before the first of them, in the order of the configurations, is obeyed."""
        webhooks = await self._webhooks.matching(request)
        if not webhooks:
            return
        described, gate = Described(request), Gate(request)
        asked = [w for w in webhooks if await gate.lets_through(w, described)]
        answers = await asyncio.gather(*(self._ask(webhook, described) for webhook in asked))
        refusal: Exception | None = None
        for webhook, answer in zip(asked, answers, strict=True):
            try:
                if isinstance(answer, CallFailed):
                    give_way(webhook, answer)
                else:
                    take(answer, webhook, request)
            except errors.ApiStatusError as error:
                refusal = refusal or error
        if refusal is not None:
            raise refusal

    async def _ask(self, webhook: Webhook, described: Described) -> Verdict | CallFailed:
        uid = self._entropy.uuid4()
        question = described.question(uid)
        try:
            return await ask(self._client, webhook, question, uid, mutating=False)
        except CallFailed as failure:
            return failure
