"""What a configuration says, read once. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lightkube.models import admissionregistration_v1 as v1
from lightkube.models import meta_v1

from podward.api.validation.admission_registration import CONDITION_VARIABLES, ca_pem
from podward.machinery.cel import CelError, Expression, compile_expression
from podward.machinery.http_client import TlsOptions
from podward.machinery.selectors import LabelSelector, Operator, Requirement


@dataclass(frozen=True, slots=True)
class Rule:
    operations: frozenset[str]
    groups: frozenset[str]
    versions: frozenset[str]
    resources: frozenset[tuple[str, str]]
    """(resource, subresource); the subresource is empty for the resource itself."""
    scope: str


@dataclass(frozen=True, slots=True)
class Webhook:
    """One of a configuration's; the configuration was checked when it was stored."""

    uid: str
    """Configuration, name and place: what it is known by from one round to the next."""
    name: str
    rules: tuple[Rule, ...]
    namespace_selector: LabelSelector
    object_selector: LabelSelector
    conditions: tuple[Expression, ...]
    fails_open: bool
    """failurePolicy Ignore."""
    reinvoked: bool
    """reinvocationPolicy IfNeeded."""
    timeout: int
    """Seconds."""
    url: str
    unreachable: str
    """Why nobody can be asked at `url`, if so."""
    tls: TlsOptions


def webhooks_of(configurations: Sequence[Any]) -> tuple[Webhook, ...]:
    """In the order in which they are asked: by the name of the configuration, then as they are listed."""
    return tuple(
        _webhook(f"{configuration.metadata.name}/{webhook.name}/{index}", webhook)
        for configuration in sorted(configurations, key=lambda c: str(c.metadata.name))
        for index, webhook in enumerate(configuration.webhooks or ())
    )


def _webhook(uid: str, webhook: v1.MutatingWebhook | v1.ValidatingWebhook) -> Webhook:
    url, unreachable = _place(webhook.clientConfig)
    conditions: tuple[Expression, ...] = ()
    try:
        conditions = tuple(
            compile_expression(condition.expression, CONDITION_VARIABLES)
            for condition in webhook.matchConditions or ()
        )
    except CelError as error:  # stored by another Podward, which could read it
        unreachable = f"its matchConditions cannot be read: {error}"
    return Webhook(
        uid=uid,
        name=webhook.name,
        rules=tuple(map(_rule, webhook.rules or ())),
        namespace_selector=selector_of(webhook.namespaceSelector),
        object_selector=selector_of(webhook.objectSelector),
        conditions=conditions,
        fails_open=webhook.failurePolicy == "Ignore",
        reinvoked=getattr(webhook, "reinvocationPolicy", None) == "IfNeeded",
        timeout=webhook.timeoutSeconds or 10,
        url=url,
        unreachable=unreachable,
        tls=TlsOptions(ca_pem(webhook.clientConfig.caBundle or "")),
    )


def _place(client: v1.WebhookClientConfig) -> tuple[str, str]:
    service = client.service
    if service is None:
        return client.url or "", ""
    host = f"{service.name}.{service.namespace}.svc:{service.port or 443}"
    path = (service.path or "").removeprefix("/")
    why = f'service "{service.name}" not found: Podward serves no Services, give a url'
    return f"https://{host}/{path}", why


def _rule(rule: v1.RuleWithOperations) -> Rule:
    resources = (resource.partition("/") for resource in rule.resources or ())
    return Rule(
        operations=frozenset(rule.operations or ()),
        groups=frozenset(rule.apiGroups or ()),
        versions=frozenset(rule.apiVersions or ()),
        resources=frozenset((main, sub) for main, _, sub in resources),
        scope=rule.scope or "*",
    )


_OPERATORS: dict[str, Operator] = {
    "In": "in",
    "NotIn": "notin",
    "Exists": "exists",
    "DoesNotExist": "!",
}


def selector_of(selector: meta_v1.LabelSelector | None) -> LabelSelector:
    """An absent one selects everything."""
    if selector is None:
        return LabelSelector()
    labels: dict[str, str] = selector.matchLabels or {}
    wanted = [Requirement(key, "in", frozenset({value})) for key, value in labels.items()]
    wanted += [
        Requirement(e.key, _OPERATORS[e.operator], frozenset(e.values or ()))
        for e in selector.matchExpressions or ()
    ]
    return LabelSelector(tuple(wanted))
