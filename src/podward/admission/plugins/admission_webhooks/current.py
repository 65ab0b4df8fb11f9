"""The webhooks that a request must pass: compiled when a configuration was written, looked up ever after.

Almost every write is a status that no webhook wants to see, and most clusters have none at all: both are
found out by a look into a table.
"""

from collections.abc import Mapping
from typing import Any

from lightkube.models import core_v1

from podward.admission.base import AdmissionRequest
from podward.admission.plugins.admission_webhooks.matching import (
    ConditionsError,
    any_rule_matches,
    brings_its_namespace,
    conditions_match,
    is_exempt,
    labels_of,
    namespace_in_question,
    object_matches,
)
from podward.admission.plugins.admission_webhooks.model import Webhook, webhooks_of
from podward.admission.plugins.admission_webhooks.review import Described
from podward.api import errors
from podward.api.scheme import SCHEME


class CurrentWebhooks:
    def __init__(self, kind: type[Any]) -> None:
        self._kind = kind
        self._version: int | None = None
        self._webhooks: tuple[Webhook, ...] = ()
        self._matching: dict[tuple[str, str, str], tuple[Webhook, ...]] = {}
        """(operation, resource, subresource) -> those of which a rule matches."""

    async def matching(self, request: AdmissionRequest) -> tuple[Webhook, ...]:
        """Those whose rules match, in the order in which they are asked."""
        resource = request.resource
        if is_exempt(resource):
            return ()
        version = request.objects.version(self._kind)
        if version != self._version:
            # Asked first: what is written while we look is looked at again.
            self._webhooks = webhooks_of(await request.objects.list(self._kind))
            self._matching = {}
            self._version = version
        if not self._webhooks:
            return ()
        key = (request.operation, resource.group_resource, request.subresource)
        found = self._matching.get(key)
        if found is None:
            found = self._matching[key] = tuple(
                webhook
                for webhook in self._webhooks
                if any_rule_matches(webhook, request.operation, resource, request.subresource)
            )
        return found


class Gate:
    """Of one request: whether a webhook whose rules match it is to be asked."""

    def __init__(self, request: AdmissionRequest) -> None:
        self._request = request
        self._namespace_labels: Mapping[str, str] | None = None

    async def lets_through(self, webhook: Webhook, described: Described) -> bool:
        """Raises `ApiStatusError` if that cannot be said."""
        if not await self._namespace_matches(webhook):
            return False
        if not object_matches(webhook.object_selector, self._request):
            return False
        if not webhook.conditions:
            return True
        try:
            return conditions_match(webhook.conditions, described.variables)
        except ConditionsError as error:
            if webhook.fails_open:
                return False
            request = self._request
            raise errors.forbidden(request.resource, request.name, str(error)) from None

    async def _namespace_matches(self, webhook: Webhook) -> bool:
        """An object of the cluster is never exempted."""
        namespace = namespace_in_question(self._request)
        if not webhook.namespace_selector or not namespace:
            return True
        if self._namespace_labels is None or brings_its_namespace(self._request):
            self._namespace_labels = await self._labels(namespace)
        return webhook.namespace_selector.matches(self._namespace_labels)

    async def _labels(self, namespace: str) -> Mapping[str, str]:
        if brings_its_namespace(self._request):
            return labels_of(self._request.object) or {}
        found = await self._request.objects.get(core_v1.Namespace, namespace)
        if found is None:
            raise errors.not_found(SCHEME.of_type(core_v1.Namespace), namespace)
        return labels_of(found) or {}
