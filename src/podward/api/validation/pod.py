"""Pods: what a spec may say, and what of it may still change (spec/health.md 1.1 to 1.3). Pure.

The order of the rules is the order in which a real server lists the errors.
"""

from collections.abc import Sequence

import msgspec
from lightkube.models import core_v1, meta_v1

from podward.api.errors import (
    FieldError,
    field_duplicate,
    field_forbidden,
    field_invalid,
    field_not_supported,
    field_required,
)
from podward.api.validation.environment import env_errors, env_from_errors
from podward.api.validation.names import (
    dns_label,
    dns_subdomain,
    label_value,
    labels_errors,
    port_name,
    qualified_name,
)
from podward.api.validation.pod_network import (
    dns_config_errors,
    host_aliases_errors,
    host_network_errors,
    host_ports_errors,
)
from podward.api.validation.probes import ProbeField, handler_errors, probe_errors
from podward.api.validation.security import (
    container_security_errors,
    pod_security_errors,
    stop_signal_errors,
)
from podward.api.validation.volumes import mounts_errors, volumes_errors
from podward.machinery.quantity import QuantityError, parse_quantity

RESTART_POLICIES = ("Always", "OnFailure", "Never")
PULL_POLICIES = ("Always", "IfNotPresent", "Never")
PROBES: tuple[ProbeField, ...] = ("livenessProbe", "readinessProbe", "startupProbe")

AnyContainer = core_v1.Container | core_v1.EphemeralContainer


def pod_errors(pod: core_v1.Pod) -> list[FieldError]:
    if pod.spec is None:
        return [field_required("spec")]
    return spec_errors(pod.spec, "spec")


def pod_template_errors(template: core_v1.PodTemplate) -> list[FieldError]:
    found = template.template or core_v1.PodTemplateSpec()
    meta = found.metadata or meta_v1.ObjectMeta()
    errors = labels_errors(meta.labels, "template.labels")
    for key in meta.annotations or {}:
        problems = qualified_name(key.lower())
        errors += [field_invalid("template.annotations", key, problem) for problem in problems]
    if found.spec is None:
        return [*errors, field_required("template.spec.containers")]
    errors += spec_errors(found.spec, "template.spec", template=True)
    if found.spec.ephemeralContainers:
        detail = "ephemeral containers not allowed in pod template"
        errors.append(field_forbidden("template.spec.ephemeralContainers", detail))
    return errors


def spec_errors(spec: core_v1.PodSpec, path: str, *, template: bool = False) -> list[FieldError]:
    """`template`: of something that Pods will be made from."""
    found, volumes = volumes_errors(spec.volumes or (), f"{path}.volumes")
    seen: set[str] = set()
    grace = spec.terminationGracePeriodSeconds
    if not spec.containers:
        found.append(field_required(f"{path}.containers"))
    for index, container in enumerate(spec.containers):
        where = f"{path}.containers[{index}]"
        found += container_errors(container, where, volumes, seen, grace, spec=spec)
        found += _restart_rule_errors(container, where)
    found += host_ports_errors(spec.containers, f"{path}.containers")
    for index, container in enumerate(spec.initContainers or ()):
        where = f"{path}.initContainers[{index}]"
        plain = container.restartPolicy != "Always"
        found += container_errors(
            container, where, volumes, seen, grace, plain_init=plain, spec=spec
        )
        found += _restart_rule_errors(container, where)
        # One runs after another: each for itself, which a server always calls the first.
        found += host_ports_errors([container], f"{path}.initContainers")
    for index, ephemeral in enumerate(spec.ephemeralContainers or ()):
        where = f"{path}.ephemeralContainers[{index}]"
        found += container_errors(ephemeral, where, volumes, seen, grace, ephemeral=True, spec=spec)
    found += host_network_errors(spec, path, template=template)
    if spec.restartPolicy not in RESTART_POLICIES:
        found.append(
            field_not_supported(f"{path}.restartPolicy", spec.restartPolicy, RESTART_POLICIES)
        )
    dns = ("ClusterFirstWithHostNet", "ClusterFirst", "Default", "None")
    if spec.dnsPolicy not in dns:
        found.append(field_not_supported(f"{path}.dnsPolicy", spec.dnsPolicy, dns))
    found += labels_errors(spec.nodeSelector, f"{path}.nodeSelector")
    found += pod_security_errors(spec, f"{path}.securityContext")
    found += dns_config_errors(spec, f"{path}.dnsConfig")
    if spec.serviceAccountName:
        for problem in dns_subdomain(spec.serviceAccountName):
            where = f"{path}.serviceAccountName"
            found.append(field_invalid(where, spec.serviceAccountName, problem))
    if spec.nodeName:
        for problem in dns_subdomain(spec.nodeName):
            found.append(field_invalid(f"{path}.nodeName", spec.nodeName, problem))
    for name in ("hostname", "subdomain"):
        label = getattr(spec, name)
        if label:
            found += [field_invalid(f"{path}.{name}", label, p) for p in dns_label(label)]
    deadline = spec.activeDeadlineSeconds
    if deadline is not None and not 1 <= deadline <= 2**31 - 1:
        detail = "must be between 1 and 2147483647, inclusive"
        found.append(field_invalid(f"{path}.activeDeadlineSeconds", deadline, detail))
    found += tolerations_errors(spec.tolerations or (), f"{path}.tolerations")
    found += host_aliases_errors(spec.hostAliases or (), f"{path}.hostAliases")
    if spec.runtimeClassName is not None:
        name, where = spec.runtimeClassName, f"{path}.runtimeClassName"
        found += [field_invalid(where, name, problem) for problem in dns_subdomain(name)]
    if spec.os is not None:
        found += _os_errors(spec.os, f"{path}.os")
    return found


def _os_errors(os: core_v1.PodOS, path: str) -> list[FieldError]:
    if not os.name:
        return [field_required(f"{path}.name", "cannot be empty")]
    known = ("linux", "windows")
    return [] if os.name in known else [field_not_supported(f"{path}.name", os.name, known)]


# ---- containers


def container_errors(
    container: AnyContainer,
    path: str,
    volumes: set[str],
    seen: set[str],
    grace: int | None,
    *,
    plain_init: bool = False,
    ephemeral: bool = False,
    spec: core_v1.PodSpec | None = None,
) -> list[FieldError]:
    """`seen`: the names of containers before it, to which its own is added. `grace`: the Pod's, if it is known.
    `plain_init`: an init container that ends. `spec`: the Pod's, if it is known."""
    found: list[FieldError] = []
    if not container.name:
        found.append(field_required(f"{path}.name"))
    else:
        found += [
            field_invalid(f"{path}.name", container.name, p) for p in dns_label(container.name)
        ]
        if container.name in seen:
            found.append(field_duplicate(f"{path}.name", container.name))
        seen.add(container.name)
    if not container.image:
        found.append(field_required(f"{path}.image"))
    elif container.image != container.image.strip():
        detail = "must not have leading or trailing whitespace"
        found.append(field_invalid(f"{path}.image", container.image, detail))
    found += _handlers_errors(container, path, grace, plain_init=plain_init, ephemeral=ephemeral)
    signal = container.lifecycle and container.lifecycle.stopSignal
    if signal and spec is not None and not (plain_init or ephemeral):
        found += stop_signal_errors(signal, spec.os, f"{path}.lifecycle.stopSignal")
    if container.terminationMessagePolicy not in ("File", "FallbackToLogsOnError"):
        found.append(
            field_invalid(
                f"{path}.terminationMessagePolicy",
                container.terminationMessagePolicy,
                "must be 'File' or 'FallbackToLogsOnError'",
            )
        )
    found += _ports_errors(container.ports or (), f"{path}.ports")
    found += env_errors(container.env or (), f"{path}.env")
    found += env_from_errors(container.envFrom or (), f"{path}.envFrom")
    found += mounts_errors(
        container.volumeMounts or (),
        volumes,
        f"{path}.volumeMounts",
        devices=[device.devicePath for device in container.volumeDevices or ()],
        privileged=bool(container.securityContext and container.securityContext.privileged),
    )
    if container.imagePullPolicy not in PULL_POLICIES:
        where = f"{path}.imagePullPolicy"
        found.append(field_not_supported(where, container.imagePullPolicy, PULL_POLICIES))
    if container.resources is not None:
        found += resources_errors(container.resources, f"{path}.resources")
    return found + container_security_errors(
        container.securityContext,
        f"{path}.securityContext",
        host_users=spec is None or spec.hostUsers is not False,
    )


def _handlers_errors(
    container: AnyContainer,
    path: str,
    grace: int | None,
    *,
    plain_init: bool,
    ephemeral: bool,
) -> list[FieldError]:
    forbidden = ""
    if plain_init:
        forbidden = "may not be set for init containers without restartPolicy=Always"
    elif ephemeral:
        forbidden = "cannot be set for an Ephemeral Container"
    if forbidden:
        return [
            field_forbidden(f"{path}.{name}", forbidden)
            for name in ("lifecycle", *PROBES)
            if getattr(container, name) is not None
        ]
    found: list[FieldError] = []
    lifecycle = container.lifecycle
    if lifecycle is not None:
        for name in ("postStart", "preStop"):
            handler = getattr(lifecycle, name)
            if handler is not None:
                found += handler_errors(handler, f"{path}.lifecycle.{name}", grace=grace)
    for kind in PROBES:
        probe = getattr(container, kind)
        if probe is not None:
            found += probe_errors(probe, kind, f"{path}.{kind}")
    return found


def _restart_rule_errors(container: core_v1.Container, path: str) -> list[FieldError]:
    found = []
    policy, rules = container.restartPolicy, container.restartPolicyRules or ()
    if policy is not None and policy not in RESTART_POLICIES:
        found.append(field_not_supported(f"{path}.restartPolicy", policy, RESTART_POLICIES))
    if rules and policy is None:
        detail = "must specify restartPolicy when restart rules are used"
        found.append(field_required(f"{path}.restartPolicy", detail))
    if len(rules) > 20:
        where = f"{path}.restartPolicyRules"
        found.append(
            FieldError("FieldValueTooMany", where, len(rules), "must have at most 20 items")
        )
    for index, rule in enumerate(rules):
        where = f"{path}.restartPolicyRules[{index}]"
        if rule.action not in ("Restart", "RestartAllContainers"):
            actions = ("Restart", "RestartAllContainers")
            found.append(field_not_supported(f"{where}.action", rule.action, actions))
        if rule.exitCodes is None:
            found.append(field_required(f"{where}.exitCodes", "must be specified"))
        else:
            if rule.exitCodes.operator not in ("In", "NotIn"):
                operator = rule.exitCodes.operator
                found.append(
                    field_not_supported(f"{where}.exitCodes.operator", operator, ("In", "NotIn"))
                )
            if len(rule.exitCodes.values or ()) > 255:
                count = len(rule.exitCodes.values or ())
                detail = "must have at most 255 items"
                where = f"{where}.exitCodes.values"
                found.append(FieldError("FieldValueTooMany", where, count, detail))
    return found


def _ports_errors(ports: Sequence[core_v1.ContainerPort], path: str) -> list[FieldError]:
    found = []
    names: set[str] = set()
    for index, port in enumerate(ports):
        where = f"{path}[{index}]"
        if port.name:
            problems = port_name(port.name)
            found += [field_invalid(f"{where}.name", port.name, problem) for problem in problems]
            if not problems and port.name in names:
                found.append(field_duplicate(f"{where}.name", port.name))
            names.add(port.name)
        between = "must be between 1 and 65535, inclusive"
        if not port.containerPort:
            found.append(field_required(f"{where}.containerPort"))
        elif not 1 <= port.containerPort <= 65535:
            found.append(field_invalid(f"{where}.containerPort", port.containerPort, between))
        if port.hostPort and not 1 <= port.hostPort <= 65535:
            found.append(field_invalid(f"{where}.hostPort", port.hostPort, between))
        if port.protocol not in ("TCP", "UDP", "SCTP"):
            protocols = ("SCTP", "TCP", "UDP")
            found.append(field_not_supported(f"{where}.protocol", port.protocol, protocols))
    return found


def resources_errors(resources: core_v1.ResourceRequirements, path: str) -> list[FieldError]:
    found = []
    amounts = {}
    for group in ("limits", "requests"):
        for name, text in (getattr(resources, group) or {}).items():
            where = f"{path}.{group}[{name}]"
            try:
                amount = amounts[group, name] = parse_quantity(text)
            except QuantityError as error:
                found.append(field_invalid(where, text, str(error)))
                continue
            if amount < 0:
                detail = "must be greater than or equal to 0"
                found.append(field_invalid(where, text, detail))
    for (group, name), amount in amounts.items():
        limit = amounts.get(("limits", name))
        if group == "requests" and limit is not None and amount > limit:
            text = (resources.requests or {})[name]
            limit_text = (resources.limits or {})[name]
            detail = f"must be less than or equal to {name} limit of {limit_text}"
            found.append(field_invalid(f"{path}.requests", text, detail))
    return found


# ---- tolerations

_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")


def tolerations_errors(tolerations: Sequence[core_v1.Toleration], path: str) -> list[FieldError]:
    found = []
    for index, toleration in enumerate(tolerations):
        where = f"{path}[{index}]"
        key, operator, effect = toleration.key or "", toleration.operator or "", toleration.effect
        if key:
            found += [field_invalid(f"{where}.key", key, p) for p in qualified_name(key)]
        elif operator != "Exists":
            detail = (
                "operator must be Exists when `key` is empty, which means "
                '"match all values and all keys"'
            )
            found.append(field_invalid(f"{where}.operator", operator, detail))
        if toleration.tolerationSeconds is not None and effect != "NoExecute":
            detail = "effect must be 'NoExecute' when `tolerationSeconds` is set"
            found.append(field_invalid(f"{where}.effect", effect or "", detail))
        if operator in ("Equal", ""):
            problems = label_value(toleration.value or "")
            if problems:
                detail = ";".join(problems)
                found.append(field_invalid(f"{where}.operator", toleration.value, detail))
        elif operator == "Exists":
            if toleration.value:
                detail = "value must be empty when `operator` is 'Exists'"
                found.append(field_invalid(f"{where}.operator", toleration.value, detail))
        else:
            found.append(field_not_supported(f"{where}.operator", operator, ("Equal", "Exists")))
        if effect and effect not in _EFFECTS:
            found.append(field_not_supported(f"{where}.effect", effect, _EFFECTS))
    return found


# ---- updates

_ALLOWED = (
    "`spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,"
    "`spec.tolerations` (only additions to existing tolerations),"
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
)


def pod_update_errors(new: core_v1.Pod, old: core_v1.Pod) -> list[FieldError]:
    if new.spec is None or old.spec is None:
        return [field_required("spec")]
    found = _deadline_update_errors(new.spec, old.spec)
    for index, container in enumerate(new.spec.containers):
        if not container.image:
            found.append(field_required(f"spec.containers[{index}].image"))
    if _frozen(new.spec, old.spec) != _frozen(old.spec, old.spec):
        detail = f"pod updates may not change fields other than {_ALLOWED}\n{_difference(new, old)}"
        found.append(field_forbidden("spec", detail))
    return found


def _deadline_update_errors(new: core_v1.PodSpec, old: core_v1.PodSpec) -> list[FieldError]:
    after, before = new.activeDeadlineSeconds, old.activeDeadlineSeconds
    path = "spec.activeDeadlineSeconds"
    if after is not None and not 1 <= after <= 2**31 - 1:
        return [field_invalid(path, after, "must be between 1 and 2147483647, inclusive")]
    if before is not None and after is None:
        return [field_invalid(path, before, "must not update from a positive integer to nil value")]
    if before is not None and after is not None and after > before:
        return [field_invalid(path, after, "must be less than or equal to previous value")]
    return []


def _frozen(spec: core_v1.PodSpec, old: core_v1.PodSpec) -> core_v1.PodSpec:
    """`spec` with everything that may change set to what it was."""
    tolerations = spec.tolerations or []
    kept = all(toleration in tolerations for toleration in old.tolerations or ())
    grace = spec.terminationGracePeriodSeconds
    if old.terminationGracePeriodSeconds is not None and old.terminationGracePeriodSeconds < 0:
        grace = old.terminationGracePeriodSeconds if grace == 1 else grace
    return msgspec.structs.replace(
        spec,
        containers=_with_images_of(spec.containers, old.containers),
        initContainers=_with_images_of(spec.initContainers or [], old.initContainers or []),
        activeDeadlineSeconds=old.activeDeadlineSeconds,
        tolerations=old.tolerations if kept else spec.tolerations,
        terminationGracePeriodSeconds=grace,
    )


def _with_images_of(
    containers: Sequence[core_v1.Container], old: Sequence[core_v1.Container]
) -> list[core_v1.Container]:
    if len(containers) != len(old):
        return list(containers)
    return [
        msgspec.structs.replace(container, image=before.image)
        for container, before in zip(containers, old, strict=True)
    ]


def _difference(new: core_v1.Pod, old: core_v1.Pod) -> str:
    """A short diff, one line a changed field, as the error's tail shows it."""
    before, after = msgspec.to_builtins(old.spec), msgspec.to_builtins(new.spec)
    lines = []
    for name in sorted({*before, *after}):
        if before.get(name) != after.get(name):
            lines.append(f"- {name}: {msgspec.json.encode(before.get(name)).decode()}")
            lines.append(f"+ {name}: {msgspec.json.encode(after.get(name)).decode()}")
    return "\n".join(lines)
