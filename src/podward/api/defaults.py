"""What the API server fills in when a client leaves it out (spec/health.md 1.1). Pure.

`set_defaults` works on a freshly decoded object, which nobody else holds, in place, and hands it back.
"""

import base64
import copy
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import msgspec
from lightkube.models import admissionregistration_v1, core_v1, meta_v1, rbac_v1

from podward.api.kinds import podward_v1alpha1, settings_v1alpha1
from podward.machinery.image_reference import InvalidReference, parse

_DEFAULT_FILE_MODE = 0o644
AnyPreset = TypeVar(
    "AnyPreset", bound=podward_v1alpha1.PodPreset | podward_v1alpha1.ClusterPodPreset
)


def set_defaults(obj: Any) -> Any:
    """`obj`, completed. Doing it twice is doing it once."""
    default = DEFAULTERS.get(type(obj))
    if default is not None:
        default(obj)
    return obj


def _pod(pod: core_v1.Pod) -> None:
    if pod.status is None:
        pod.status = core_v1.PodStatus()
    if pod.spec is None:
        pod.spec = core_v1.PodSpec(containers=[])
    pod_spec(pod.spec)


def pod_spec(spec: core_v1.PodSpec) -> None:
    spec.restartPolicy = spec.restartPolicy or "Always"
    spec.dnsPolicy = spec.dnsPolicy or "ClusterFirst"
    spec.schedulerName = spec.schedulerName or "default-scheduler"
    if spec.terminationGracePeriodSeconds is None:
        spec.terminationGracePeriodSeconds = 30
    if spec.enableServiceLinks is None:
        spec.enableServiceLinks = True
    if spec.securityContext is None:
        spec.securityContext = core_v1.PodSecurityContext()
    # Two names for one thing, the older of which old clients still read.
    account = spec.serviceAccountName or spec.serviceAccount
    spec.serviceAccountName = spec.serviceAccount = account
    for container in [*(spec.initContainers or ()), *spec.containers]:
        _container(container, host_network=bool(spec.hostNetwork))
    for ephemeral in spec.ephemeralContainers or ():
        _container(ephemeral, host_network=False)
    for volume in spec.volumes or ():
        _volume(volume)


def _service(service: core_v1.Service) -> None:
    """But for an address: none is given out, for nothing here would answer at it."""
    if service.status is None:
        service.status = core_v1.ServiceStatus(loadBalancer=core_v1.LoadBalancerStatus())
    if service.spec is None:
        service.spec = core_v1.ServiceSpec()
    spec = service.spec
    spec.type = spec.type or "ClusterIP"
    spec.sessionAffinity = spec.sessionAffinity or "None"
    for port in spec.ports or ():
        port.protocol = port.protocol or "TCP"
        if port.targetPort is None or port.targetPort in (0, ""):
            port.targetPort = port.port
    if spec.type == "ExternalName":
        return
    spec.internalTrafficPolicy = spec.internalTrafficPolicy or "Cluster"
    if spec.type in ("NodePort", "LoadBalancer"):
        spec.externalTrafficPolicy = spec.externalTrafficPolicy or "Cluster"
    if spec.clusterIP or spec.clusterIPs:
        spec.clusterIPs = spec.clusterIPs or [spec.clusterIP or ""]
        spec.clusterIP = spec.clusterIP or spec.clusterIPs[0]
    spec.ipFamilies = spec.ipFamilies or ["IPv4"]
    spec.ipFamilyPolicy = spec.ipFamilyPolicy or "SingleStack"


def _pod_template(template: core_v1.PodTemplate) -> None:
    if template.template is None:
        template.template = core_v1.PodTemplateSpec()
    if template.template.spec is None:
        template.template.spec = core_v1.PodSpec(containers=[])
    pod_spec(template.template.spec)


def _container(
    container: core_v1.Container | core_v1.EphemeralContainer, *, host_network: bool
) -> None:
    container.terminationMessagePath = container.terminationMessagePath or "/dev/termination-log"
    container.terminationMessagePolicy = container.terminationMessagePolicy or "File"
    if not container.imagePullPolicy:
        container.imagePullPolicy = default_pull_policy(container.image or "")
    if container.resources is None:
        container.resources = core_v1.ResourceRequirements()
    _resources(container.resources)
    for port in container.ports or ():
        port.protocol = port.protocol or "TCP"
        if host_network and not port.hostPort:
            port.hostPort = port.containerPort
    _environment(container.env or ())
    for probe in (container.livenessProbe, container.readinessProbe, container.startupProbe):
        if probe is not None:
            _probe(probe)
    if container.lifecycle is not None:
        _lifecycle(container.lifecycle)


def _environment(variables: Sequence[core_v1.EnvVar]) -> None:
    for variable in variables:
        if variable.valueFrom is not None and variable.valueFrom.fieldRef is not None:
            _field_ref(variable.valueFrom.fieldRef)


def _lifecycle(lifecycle: core_v1.Lifecycle) -> None:
    for handler in (lifecycle.postStart, lifecycle.preStop):
        if handler is not None and handler.httpGet is not None:
            _http_get(handler.httpGet)


def default_pull_policy(image: str) -> str:
    """Always for `latest`, said or meant; another tag, a digest without one, or no name at all makes it
    IfNotPresent."""
    try:
        reference = parse(image)
    except InvalidReference:
        return "IfNotPresent"
    meant = not reference.tag and not reference.digest
    return "Always" if meant or reference.tag == "latest" else "IfNotPresent"


def _resources(resources: core_v1.ResourceRequirements) -> None:
    """A limit without a request is a request as well."""
    if resources.limits:
        resources.requests = {**resources.limits, **(resources.requests or {})}


def _probe(probe: core_v1.Probe) -> None:
    """Zero is absent: a stored probe never has it in these fields."""
    probe.timeoutSeconds = probe.timeoutSeconds or 1
    probe.periodSeconds = probe.periodSeconds or 10
    probe.successThreshold = probe.successThreshold or 1
    probe.failureThreshold = probe.failureThreshold or 3
    if not probe.initialDelaySeconds:
        probe.initialDelaySeconds = None
    if probe.httpGet is not None:
        _http_get(probe.httpGet)
    if probe.grpc is not None and probe.grpc.service is None:
        probe.grpc.service = ""


def _http_get(action: core_v1.HTTPGetAction) -> None:
    action.path = action.path or "/"
    action.scheme = action.scheme or "HTTP"


def _field_ref(reference: core_v1.ObjectFieldSelector) -> None:
    reference.apiVersion = reference.apiVersion or "v1"


_VOLUME_SOURCES = tuple(name for name in core_v1.Volume.__struct_fields__ if name != "name")


def volume_sources(volume: core_v1.Volume) -> list[str]:
    """The names of the sources that are set; exactly one is right."""
    return [name for name in _VOLUME_SOURCES if getattr(volume, name) is not None]


def _volume(volume: core_v1.Volume) -> None:
    if not volume_sources(volume):
        volume.emptyDir = core_v1.EmptyDirVolumeSource()
    for source in (volume.secret, volume.configMap, volume.downwardAPI, volume.projected):
        if source is not None and source.defaultMode is None:
            source.defaultMode = _DEFAULT_FILE_MODE
    if volume.hostPath is not None and volume.hostPath.type is None:
        volume.hostPath.type = ""
    if volume.downwardAPI is not None:
        _downward_files(volume.downwardAPI.items)
    for projection in (volume.projected.sources or ()) if volume.projected else ():
        if projection.downwardAPI is not None:
            _downward_files(projection.downwardAPI.items)
        token = projection.serviceAccountToken
        if token is not None and token.expirationSeconds is None:
            token.expirationSeconds = 3600
    for name, defaults in _SOURCE_DEFAULTS.items():
        source = getattr(volume, name)
        for field, value in defaults.items() if source is not None else ():
            if getattr(source, field) is None:
                setattr(source, field, value)
    claim = volume.ephemeral.volumeClaimTemplate if volume.ephemeral is not None else None
    if claim is not None:
        claim.spec.volumeMode = claim.spec.volumeMode or "Filesystem"


_SOURCE_DEFAULTS: dict[str, dict[str, Any]] = {
    "iscsi": {"iscsiInterface": "default"},
    "rbd": {"pool": "rbd", "user": "admin", "keyring": "/etc/ceph/keyring"},
    "azureDisk": {
        "cachingMode": "ReadWrite", "kind": "Shared", "fsType": "ext4", "readOnly": False,
    },
    "scaleIO": {"storageMode": "ThinProvisioned", "fsType": "xfs"},
}  # fmt: skip
"""Of sources that no node of ours mounts, but in which presets and Pods are compared (spec/podpreset.md 1)."""


def _downward_files(files: Iterable[core_v1.DownwardAPIVolumeFile] | None) -> None:
    for file in files or ():
        if file.fieldRef is not None:
            _field_ref(file.fieldRef)


def _secret(secret: core_v1.Secret) -> None:
    secret.type = secret.type or "Opaque"
    if secret.stringData:
        encoded = {
            name: base64.b64encode(text.encode()).decode()
            for name, text in secret.stringData.items()
        }
        secret.data = {**(secret.data or {}), **encoded}
        secret.stringData = None


def _namespace(namespace: core_v1.Namespace) -> None:
    if namespace.status is None:
        namespace.status = core_v1.NamespaceStatus()
    namespace.status.phase = namespace.status.phase or "Active"
    meta = namespace.metadata
    if meta is not None and meta.name:
        namespace.metadata = msgspec.structs.replace(
            meta, labels={**(meta.labels or {}), "kubernetes.io/metadata.name": meta.name}
        )


def _node(node: core_v1.Node) -> None:
    node.spec = node.spec or core_v1.NodeSpec()
    node.status = node.status or core_v1.NodeStatus()


# ---- webhooks


def _webhook_configuration(
    configuration: admissionregistration_v1.MutatingWebhookConfiguration
    | admissionregistration_v1.ValidatingWebhookConfiguration,
) -> None:
    for webhook in configuration.webhooks or ():
        webhook.failurePolicy = webhook.failurePolicy or "Fail"
        webhook.matchPolicy = webhook.matchPolicy or "Equivalent"
        webhook.namespaceSelector = webhook.namespaceSelector or meta_v1.LabelSelector()
        webhook.objectSelector = webhook.objectSelector or meta_v1.LabelSelector()
        if webhook.timeoutSeconds is None:
            webhook.timeoutSeconds = 10
        if isinstance(webhook, admissionregistration_v1.MutatingWebhook):
            webhook.reinvocationPolicy = webhook.reinvocationPolicy or "Never"
        for rule in webhook.rules or ():
            rule.scope = rule.scope or "*"
        service = webhook.clientConfig.service
        if service is not None and service.port is None:
            service.port = 443


# ---- roles

_RBAC = "rbac.authorization.k8s.io"


def _binding(binding: rbac_v1.RoleBinding | rbac_v1.ClusterRoleBinding) -> None:
    binding.roleRef.apiGroup = binding.roleRef.apiGroup or _RBAC
    for subject in binding.subjects or ():
        if subject.kind in ("User", "Group"):
            subject.apiGroup = subject.apiGroup or _RBAC


# ---- presets


def _settings_preset(preset: settings_v1alpha1.PodPreset) -> None:
    """Stored presets of this kind are completed as Pods are. The selector is a struct in Go: always there."""
    if preset.spec is None:
        preset.spec = settings_v1alpha1.PodPresetSpec()
    if preset.spec.selector is None:
        preset.spec.selector = meta_v1.LabelSelector()
    _environment(preset.spec.env or ())
    for volume in preset.spec.volumes or ():
        _volume(volume)


def completed_preset(preset: AnyPreset) -> AnyPreset:
    """A copy in which everything that a preset carries is completed as in a Pod: to compare and to check.

    What is stored stays as it was written: a preset's lists are atomic to `kubectl apply`, which would take
    every default in them for somebody else's change.
    """
    preset = copy.deepcopy(preset)
    spec = preset.spec
    if spec is None:
        return preset
    _environment(spec.env or ())
    for volume in spec.volumes or ():
        _volume(volume)
    for section in spec.containers or ():
        _environment(section.env or ())
        for probe in (section.livenessProbe, section.readinessProbe, section.startupProbe):
            if probe is not None and probe.value is not None:
                _probe(probe.value)
        if section.lifecycle is not None and section.lifecycle.value is not None:
            _lifecycle(section.lifecycle.value)
    injected = [entry.container for entry in spec.initContainers or ()]
    for container in [*injected, *(spec.sidecars or ())]:
        if container is not None:
            _container(container, host_network=False)
    return preset


DEFAULTERS: dict[type[Any], Callable[[Any], None]] = {
    core_v1.Pod: _pod,
    core_v1.PodTemplate: _pod_template,
    core_v1.Service: _service,
    core_v1.Secret: _secret,
    core_v1.Namespace: _namespace,
    core_v1.Node: _node,
    settings_v1alpha1.PodPreset: _settings_preset,
    admissionregistration_v1.MutatingWebhookConfiguration: _webhook_configuration,
    admissionregistration_v1.ValidatingWebhookConfiguration: _webhook_configuration,
    rbac_v1.RoleBinding: _binding,
    rbac_v1.ClusterRoleBinding: _binding,
}
