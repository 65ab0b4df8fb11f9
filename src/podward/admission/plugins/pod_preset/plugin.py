"""The preset engine in the API server's admission chain (spec/podpreset.md 2, 4): its shell, no decisions.

Kubernetes had it before ServiceAccount: what a preset mounts is there before the account's token would be.
"""

import logging
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal, Protocol

import msgspec
from lightkube.models import core_v1, meta_v1

from podward.admission.base import AdmissionPlugin, AdmissionRequest
from podward.admission.plugins.pod_preset import merge, parse
from podward.admission.plugins.pod_preset.model import (
    Document,
    InvalidPreset,
    Mode,
    Notice,
    Preset,
    Result,
)
from podward.api import codec, errors
from podward.api.defaults import set_defaults
from podward.api.kinds import podward_v1alpha1, settings_v1alpha1
from podward.api.validation.pod_preset import settings_problems

log = logging.getLogger(__name__)

_WARNING_LIMIT: Final = 256
"""Characters of a warning; API servers cut longer ones."""
_COMPILED_LIMIT: Final = 4096


class Admit(Protocol):
    """`merge.admit`."""

    def __call__(
        self,
        pod: Document,
        presets: Sequence[Preset],
        *,
        namespace: str,
        namespace_labels: Mapping[str, str] | None,
        mode: Mode,
    ) -> Result: ...


class Read(Protocol):
    """`parse.preset_of`."""

    def __call__(self, document: Mapping[str, Any], *, namespace: str) -> Preset: ...


def say(notice: Notice) -> None:
    """What is done with a notice where nobody makes Events of it."""
    for conflict in notice.result.conflicts:
        log.info("pod %s/%s: %s", notice.namespace, notice.pod_name, conflict.message)


class PodPreset(AdmissionPlugin):
    """`notice` is called for every Pod that presets match or cannot be used for, before the Pod is stored."""

    def __init__(
        self,
        mode: Literal["safe", "compat"] = "safe",
        notice: Callable[[Notice], None] = say,
        *,
        admit: Admit = merge.admit,
        read: Read = parse.preset_of,
    ) -> None:
        self._mode: Mode = mode
        self._notice = notice
        self._admit = admit
        self._read = read
        self._compiled: OrderedDict[tuple[str, str], Preset | None] = OrderedDict()

    async def mutate(self, request: AdmissionRequest) -> Any:
        pod = request.object
        if not request.is_pod_creation() or pod.spec is None:
            return pod
        presets, of_cluster = await self._presets(request)
        if not presets:
            return pod
        document = msgspec.json.decode(codec.encode(pod))
        result = self._admit(
            document,
            presets,
            namespace=request.namespace,
            namespace_labels=await _namespace_labels(request) if of_cluster else None,
            mode=self._mode,
        )
        self._tell(request, result)
        if result.error:
            raise errors.status_error(500, "", result.error)
        if result.rejected:
            raise errors.forbidden(request.resource, request.name, result.rejected)
        if result.pod is document:
            return pod
        changed, _ = codec.decode_builtins(result.pod, request.resource, "Ignore")
        return set_defaults(changed)

    async def validate(self, request: AdmissionRequest) -> None:
        """Safe mode refuses what a server of 1.19 stored to its sorrow; what is on its way out may go."""
        preset = request.object
        if (
            self._mode != "safe"
            or request.subresource
            or request.operation not in ("CREATE", "UPDATE")
            or not isinstance(preset, settings_v1alpha1.PodPreset)
            or (preset.metadata and preset.metadata.deletionTimestamp)
        ):
            return
        problems = settings_problems(preset)
        if problems:
            raise errors.invalid(request.resource, request.name, problems)

    async def _presets(self, request: AdmissionRequest) -> tuple[list[Preset], bool]:
        """All that could reach a Pod of this namespace, and whether presets of the cluster are among them."""
        objects, namespace = request.objects, request.namespace
        of_cluster = await objects.list(podward_v1alpha1.ClusterPodPreset)
        stored: list[Any] = [
            *of_cluster,
            *await objects.list(settings_v1alpha1.PodPreset, namespace),
            *await objects.list(podward_v1alpha1.PodPreset, namespace),
        ]
        found = (self._preset(obj) for obj in stored)
        return [preset for preset in found if preset is not None], bool(of_cluster)

    def _preset(self, obj: Any) -> Preset | None:
        """Read once for each form that it is stored in; None if it cannot be read at all."""
        metadata: meta_v1.ObjectMeta = obj.metadata
        key = (metadata.uid or "", metadata.resourceVersion or "")
        if key not in self._compiled:
            self._compiled[key] = self._compile(obj, metadata.namespace or "")
            if len(self._compiled) > _COMPILED_LIMIT:
                self._compiled.popitem(last=False)
        return self._compiled[key]

    def _compile(self, obj: Any, namespace: str) -> Preset | None:
        try:
            return self._read(msgspec.json.decode(codec.encode(obj)), namespace=namespace)
        except InvalidPreset as error:
            # Stored when the rules were others. No Pod may suffer for it.
            log.warning("preset %s/%s is left out: %s", namespace, error.name, error)
            return None

    def _tell(self, request: AdmissionRequest, result: Result) -> None:
        request.warnings.extend(_warning(conflict.message) for conflict in result.conflicts)
        if not (result.matched or result.invalid or result.error):
            return
        metadata: meta_v1.ObjectMeta = request.object.metadata or meta_v1.ObjectMeta()
        owners = [owner for owner in metadata.ownerReferences or () if owner.controller]
        self._notice(
            Notice(
                result=result,
                namespace=request.namespace,
                pod_name=metadata.name or metadata.generateName or "",
                owner=msgspec.to_builtins(owners[0]) if owners else None,
                dry_run=request.dry_run,
            )
        )


async def _namespace_labels(request: AdmissionRequest) -> Mapping[str, str]:
    namespace = await request.objects.get(core_v1.Namespace, request.namespace)
    metadata = namespace.metadata if namespace is not None else None
    return (metadata.labels if metadata is not None else None) or {}


def _warning(message: str) -> str:
    text = f"PodPreset: {message}"
    return text if len(text) <= _WARNING_LIMIT else f"{text[: _WARNING_LIMIT - 3]}..."
