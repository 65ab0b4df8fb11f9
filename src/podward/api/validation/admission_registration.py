"""Configurations of admission webhooks. Pure.

Two rules are ours: a `caBundle` must hold a certificate, for no call could ever succeed, and an expression
may not ask for an `authorizer`, for there is none. A bundle that is blank is none: manifests ship with a
place holder in it.
"""

import base64
import binascii
import ssl
from collections.abc import Iterable, Sequence
from typing import Final
from urllib.parse import SplitResult, urlsplit

from lightkube.models import admissionregistration_v1 as v1

from podward.api.errors import (
    FieldError,
    field_duplicate,
    field_invalid,
    field_not_supported,
    field_required,
)
from podward.api.validation.names import dns_label_1035, dns_subdomain, qualified_name
from podward.api.validation.selectors import selector_errors, selector_value_errors
from podward.machinery.cel import CelError, compile_expression

CONDITION_VARIABLES: Final = ("object", "oldObject", "request")
"""What a `matchConditions` expression may speak of."""
REVIEW_VERSION: Final = "v1"
"""Of admission.k8s.io: the one that is spoken here."""

AnyConfiguration = v1.MutatingWebhookConfiguration | v1.ValidatingWebhookConfiguration
AnyWebhook = v1.MutatingWebhook | v1.ValidatingWebhook

_SIDE_EFFECTS: Final = ("None", "NoneOnDryRun")
_OPERATIONS: Final = ("*", "CONNECT", "CREATE", "DELETE", "UPDATE")
_SCOPES: Final = ("*", "Cluster", "Namespaced")
_CONDITIONS_LIMIT: Final = 64
_FORM: Final = "; desired format: https://host[/path]"


def configuration_errors(configuration: AnyConfiguration) -> list[FieldError]:
    found: list[FieldError] = []
    seen: set[str] = set()
    webhooks: Sequence[AnyWebhook] = configuration.webhooks or ()
    for index, webhook in enumerate(webhooks):
        path = f"webhooks[{index}]"
        found += _webhook_errors(webhook, path)
        if webhook.name and webhook.name in seen:
            found.append(field_duplicate(f"{path}.name", webhook.name))
        seen.add(webhook.name)
    return found


def _webhook_errors(webhook: AnyWebhook, path: str) -> list[FieldError]:
    found = _qualified_name_errors(webhook.name, f"{path}.name")
    for index, rule in enumerate(webhook.rules or ()):
        found += _rule_errors(rule, f"{path}.rules[{index}]")
    found += _choice(webhook.failurePolicy, ("Fail", "Ignore"), f"{path}.failurePolicy")
    found += _choice(webhook.matchPolicy, ("Equivalent", "Exact"), f"{path}.matchPolicy")
    if webhook.sideEffects:
        found += _choice(webhook.sideEffects, _SIDE_EFFECTS, f"{path}.sideEffects")
    else:
        detail = f"must specify one of {', '.join(_SIDE_EFFECTS)}"
        found.append(field_required(f"{path}.sideEffects", detail))
    timeout = webhook.timeoutSeconds
    if timeout is not None and not 1 <= timeout <= 30:
        detail = "the timeout value must be between 1 and 30 seconds"
        found.append(field_invalid(f"{path}.timeoutSeconds", timeout, detail))
    for name in ("namespaceSelector", "objectSelector"):
        selector = getattr(webhook, name)
        if selector is not None:
            found += selector_errors(selector, f"{path}.{name}")
            found += selector_value_errors(selector, f"{path}.{name}")
    if isinstance(webhook, v1.MutatingWebhook):
        policies = ("IfNeeded", "Never")
        found += _choice(webhook.reinvocationPolicy, policies, f"{path}.reinvocationPolicy")
    found += _client_errors(webhook.clientConfig, f"{path}.clientConfig")
    found += _conditions_errors(webhook.matchConditions or (), f"{path}.matchConditions")
    return found + _versions_errors(
        webhook.admissionReviewVersions, f"{path}.admissionReviewVersions"
    )


def _choice(value: str | None, supported: Iterable[str], path: str) -> list[FieldError]:
    if value is None or value in (supported := tuple(supported)):
        return []
    return [field_not_supported(path, value, supported)]


def _qualified_name_errors(name: str, path: str) -> list[FieldError]:
    if not name:
        return [field_required(path)]
    problems = dns_subdomain(name)
    if problems:
        return [field_invalid(path, name, ",".join(problems))]
    if name.count(".") < 2:
        detail = "should be a domain with at least three segments separated by dots"
        return [field_invalid(path, name, detail)]
    return []


# ---- rules


def _rule_errors(rule: v1.RuleWithOperations, path: str) -> list[FieldError]:
    found = _list_errors(rule.operations, f"{path}.operations", "operations")
    for index, operation in enumerate(rule.operations or ()):
        found += _choice(operation, _OPERATIONS, f"{path}.operations[{index}]")
    found += _list_errors(rule.apiGroups, f"{path}.apiGroups", "API groups")
    found += _list_errors(rule.apiVersions, f"{path}.apiVersions", "API versions")
    for index, version in enumerate(rule.apiVersions or ()):
        if not version:
            found.append(field_required(f"{path}.apiVersions[{index}]"))
    found += _resources_errors(rule.resources or [], f"{path}.resources")
    return found + _choice(rule.scope, _SCOPES, f"{path}.scope")


def _list_errors(values: list[str] | None, path: str, what: str) -> list[FieldError]:
    """A list that must have something in it, and nothing beside a `*`."""
    if not values:
        return [field_required(path)]
    if len(values) > 1 and "*" in values:
        return [field_invalid(path, values, f"if '*' is present, must not specify other {what}")]
    return []


def _resources_errors(resources: list[str], path: str) -> list[FieldError]:
    """A wildcard and what it stands for may not be in one list."""
    if not resources:
        return [field_required(path)]
    found = []
    below_resource: set[str] = set()  # x of x/*
    of_any_resource: set[str] = set()  # y of */y
    for index, resource in enumerate(resources):
        where = f"{path}[{index}]"
        if not resource:
            found.append(field_required(where))
            continue
        main, slash, sub = resource.partition("/")
        if not slash:
            continue
        if main in below_resource:
            detail = f"if '{main}/*' is present, must not specify {resource}"
            found.append(field_invalid(where, resource, detail))
        if sub in of_any_resource:
            detail = f"if '*/{sub}' is present, must not specify {resource}"
            found.append(field_invalid(where, resource, detail))
        if sub == "*":
            below_resource.add(main)
        if main == "*":
            of_any_resource.add(sub)
    if len(resources) > 1 and "*/*" in resources:
        detail = "if '*/*' is present, must not specify other resources"
        found.append(field_invalid(path, resources, detail))
    if "*" in resources and any(r != "*" and r and "/" not in r for r in resources):
        detail = "if '*' is present, must not specify other resources without subresources"
        found.append(field_invalid(path, resources, detail))
    return found


# ---- where it is


def _client_errors(client: v1.WebhookClientConfig, path: str) -> list[FieldError]:
    found = []
    if (client.url is None) == (client.service is None):
        found.append(field_required(path, "exactly one of url or service is required"))
    elif client.url is not None:
        found += _url_errors(client.url, f"{path}.url")
    elif client.service is not None:
        found += _service_errors(client.service, f"{path}.service")
    return found + _bundle_errors(client.caBundle or "", f"{path}.caBundle")


def _url_errors(text: str, path: str) -> list[FieldError]:
    try:
        url = urlsplit(text)
        url.port  # noqa: B018  (a port that is no number is found out by asking for it)
    except ValueError as error:
        return [field_required(path, f"url must be a valid URL: {error}{_FORM}")]
    return [*_url_part_errors(url, path)]


def _url_part_errors(url: SplitResult, path: str) -> Iterable[FieldError]:
    if url.scheme != "https":
        detail = f"'https' is the only allowed URL scheme{_FORM}"
        yield field_invalid(path, url.scheme, detail)
    if not url.hostname:
        yield field_invalid(path, "", f"host must be provided{_FORM}")
    if "@" in url.netloc:
        user = url.netloc.rpartition("@")[0].partition(":")[0]
        yield field_invalid(path, user, "user information is not permitted in the URL")
    if url.fragment:
        yield field_invalid(path, url.fragment, "fragments are not permitted in the URL")
    if url.query:
        yield field_invalid(path, url.query, "query parameters are not permitted in the URL")


def _service_errors(service: v1.ServiceReference, path: str) -> list[FieldError]:
    found = []
    if not service.name:
        found.append(field_required(f"{path}.name", "service name is required"))
    if not service.namespace:
        found.append(field_required(f"{path}.namespace", "service namespace is required"))
    if service.port is not None and not 1 <= service.port <= 65535:
        detail = "port is not valid: must be between 1 and 65535, inclusive"
        found.append(field_invalid(f"{path}.port", service.port, detail))
    return found + _path_errors(service.path or "/", f"{path}.path")


def _path_errors(url_path: str, path: str) -> list[FieldError]:
    if url_path == "/":
        return []
    if url_path == "//":
        return [field_invalid(path, url_path, "segment[0] may not be empty")]
    found = []
    if not url_path.startswith("/"):
        found.append(field_invalid(path, url_path, "must start with a '/'"))
    for index, step in enumerate(url_path[1:].removesuffix("/").split("/")):
        if not step:
            found.append(field_invalid(path, url_path, f"segment[{index}] may not be empty"))
            continue
        problems = dns_subdomain(step)
        found += [field_invalid(path, url_path, f"segment[{index}]: {p}") for p in problems]
    return found


def ca_pem(bundle: str) -> bytes:
    """The PEM in a `caBundle`; empty if it is blank. Raises `ValueError` if it is no base64."""
    try:
        return base64.b64decode(bundle, validate=True).strip()
    except binascii.Error:
        raise ValueError("illegal base64 data") from None


def _bundle_errors(bundle: str, path: str) -> list[FieldError]:
    """Who reads the error knows the bundle, and it is long."""
    try:
        pem = ca_pem(bundle)
        if pem:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(
                cadata=pem.decode("ascii")
            )
    except (ssl.SSLError, UnicodeDecodeError):
        detail = "unable to load root certificates: unable to parse bytes as PEM block"
        return [field_invalid(path, "<value>", detail)]
    except ValueError as error:
        return [field_invalid(path, "<value>", str(error))]
    return []


# ---- conditions and versions


def _conditions_errors(conditions: Sequence[v1.MatchCondition], path: str) -> list[FieldError]:
    found = []
    if len(conditions) > _CONDITIONS_LIMIT:
        detail = f"must have at most {_CONDITIONS_LIMIT} items"
        found.append(FieldError("FieldValueTooMany", path, len(conditions), detail))
    seen: set[str] = set()
    for index, condition in enumerate(conditions):
        where = f"{path}[{index}]"
        found += _expression_errors(condition.expression, f"{where}.expression")
        if not condition.name:
            found.append(field_required(f"{where}.name"))
            continue
        problems = qualified_name(condition.name)
        found += [field_invalid(f"{where}.name", condition.name, p) for p in problems]
        if condition.name in seen:
            found.append(field_duplicate(f"{where}.name", condition.name))
        seen.add(condition.name)
    return found


def _expression_errors(expression: str, path: str) -> list[FieldError]:
    if not expression.strip():
        return [field_required(path)]
    try:
        compile_expression(expression, CONDITION_VARIABLES)
    except CelError as error:
        detail = f"compilation failed: {error}"
        if "'authorizer'" in detail:
            detail += ": Podward authorizes nobody, so there is none to ask"
        return [field_invalid(path, expression, detail)]
    return []


def _versions_errors(versions: list[str], path: str) -> list[FieldError]:
    if not versions:
        return [field_required(path, f"must specify one of {REVIEW_VERSION}")]
    found = []
    for index, version in enumerate(versions):
        where = f"{path}[{index}]"
        if version in versions[:index]:
            found.append(field_invalid(where, version, "duplicate version"))
        else:
            found += [field_invalid(where, version, p) for p in dns_label_1035(version)]
    if REVIEW_VERSION not in versions:
        detail = f"must include at least one of {REVIEW_VERSION}"
        found.append(field_invalid(path, versions, detail))
    return found
