"""A container's environment, command and arguments, from its spec and the objects it refers to. Pure.

Explicit `env` beats `envFrom`, later beats earlier; `$(NAME)` stands for what was defined before, `$$` for a
dollar, and an unknown name is left as it is.
"""

import base64
import re
from collections.abc import Callable, Mapping, Sequence
from decimal import ROUND_CEILING, Decimal

from lightkube.models import core_v1

from podward.machinery.gotext import quote
from podward.machinery.quantity import parse_quantity
from podward.probes.exec import expand


class ConfigError(Exception):
    """What the spec refers to is not there (waiting reason `CreateContainerConfigError`)."""


Lookup = Callable[[str, str], Mapping[str, str] | None]
"""(`configmap` or `secret`, name) -> its data as text, or None if there is no such object."""


def expand_all(texts: Sequence[str] | None, known: Mapping[str, str]) -> list[str]:
    return [expand(text, known) for text in texts or ()]


def environment(
    pod: core_v1.Pod,
    container: core_v1.Container,
    lookup: Lookup,
    *,
    pod_ips: Sequence[str],
    node_ip: str,
    capacity: Mapping[str, str],
    services: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Raises `ConfigError`, worded as the kubelet words it. `services`: what every container is told first."""
    result: dict[str, str] = dict(services or {})
    for source in container.envFrom or ():
        kind, reference = _reference(source)
        data = lookup(kind, reference.name or "")
        if data is None:
            if reference.optional:
                continue
            raise ConfigError(f'{kind} "{reference.name}" not found')
        result |= {f"{source.prefix or ''}{key}": value for key, value in data.items()}
    for variable in container.env or ():
        if variable.valueFrom is None:
            result[variable.name] = expand(variable.value or "", result)
            continue
        value = _value_from(variable.valueFrom, pod, container, lookup, pod_ips, node_ip, capacity)
        if value is not None:
            result[variable.name] = value
    return result


def _reference(
    source: core_v1.EnvFromSource,
) -> tuple[str, core_v1.ConfigMapEnvSource | core_v1.SecretEnvSource]:
    if source.configMapRef is not None:
        return "configmap", source.configMapRef
    if source.secretRef is not None:
        return "secret", source.secretRef
    raise ConfigError("envFrom names no source")


def _value_from(
    source: core_v1.EnvVarSource,
    pod: core_v1.Pod,
    container: core_v1.Container,
    lookup: Lookup,
    pod_ips: Sequence[str],
    node_ip: str,
    capacity: Mapping[str, str],
) -> str | None:
    """None for an optional key that is not there: the variable is left out."""
    if source.fieldRef is not None:
        path = source.fieldRef.fieldPath
        if path == "status.podIPs":
            return ",".join(pod_ips)
        pod_ip = next(iter(pod_ips), "")
        return field_value(pod, path, pod_ip=pod_ip, node_ip=node_ip)
    if source.resourceFieldRef is not None:
        return resource_value(pod, container, source.resourceFieldRef, capacity)
    keyed = source.configMapKeyRef or source.secretKeyRef
    if keyed is None:
        raise ConfigError("valueFrom names no source that is served here")
    kind = "configmap" if source.configMapKeyRef is not None else "secret"
    data = lookup(kind, keyed.name or "")
    if data is not None and keyed.key in data:
        return data[keyed.key]
    if keyed.optional:
        return None
    if data is None:
        raise ConfigError(f'{kind} "{keyed.name}" not found')
    namespace = (pod.metadata and pod.metadata.namespace) or ""
    word = "ConfigMap" if kind == "configmap" else "Secret"
    raise ConfigError(f"couldn't find key {keyed.key} in {word} {namespace}/{keyed.name}")


def field_value(pod: core_v1.Pod, path: str, *, pod_ip: str, node_ip: str) -> str:
    """The downward API's fields, for variables and files alike."""
    meta, spec = pod.metadata, pod.spec
    assert meta is not None
    assert spec is not None
    plain = {
        "metadata.name": meta.name,
        "metadata.namespace": meta.namespace,
        "metadata.uid": meta.uid,
        "spec.nodeName": spec.nodeName,
        "spec.serviceAccountName": spec.serviceAccountName,
        "status.podIP": pod_ip,
        "status.podIPs": pod_ip,
        "status.hostIP": node_ip,
        "status.hostIPs": node_ip,
    }
    if path in plain:
        return str(plain[path] or "")
    for name, entries in (("labels", meta.labels), ("annotations", meta.annotations)):
        if path == f"metadata.{name}":
            lines = (f"{k}={quote(v)}" for k, v in sorted((entries or {}).items()))
            return "\n".join(lines)
        match = re.fullmatch(rf"metadata\.{name}\['(.*)'\]", path)
        if match is not None:
            value: str = (entries or {}).get(match[1], "")
            return value
    raise ConfigError(f"unsupported fieldPath: {path}")


def resource_value(
    pod: core_v1.Pod,
    container: core_v1.Container,
    selector: core_v1.ResourceFieldSelector,
    capacity: Mapping[str, str],
) -> str:
    """A limit or request in units of `divisor`, rounded up; a limit that is not set is the node's."""
    if selector.containerName:
        spec = pod.spec
        assert spec is not None
        named = [*(spec.initContainers or ()), *spec.containers]
        container = next((c for c in named if c.name == selector.containerName), container)
    group, _, name = selector.resource.partition(".")
    held = container.resources
    amounts = (held.limits if group == "limits" else held.requests) if held else None
    text = (amounts or {}).get(name) or (capacity.get(name, "0") if group == "limits" else "0")
    divisor = parse_quantity(selector.divisor or "1") or Decimal(1)
    return str(int((parse_quantity(text) / divisor).to_integral_value(ROUND_CEILING)))


def secret_text(secret: core_v1.Secret) -> dict[str, str]:
    return {
        key: base64.b64decode(value).decode(errors="replace")
        for key, value in (secret.data or {}).items()
    }
