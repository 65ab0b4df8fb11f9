"""`podward.dev/v1alpha1`: presets that reach further than PodPreset did, and say what they did.

Every section of a preset is optional. A field that is preset as a whole carries a `mode`:

    ifAbsent   added if the Pod's author has none (probes, lifecycle, resources, affinity)
    ifDefault  set if the field has the platform's default, said or filled in: the two cannot be told apart
    override   set in any case
    floor      raised to the value if it is lower (numbers)
    ceiling    lowered to the value if it is higher (numbers)
"""

from datetime import datetime

import msgspec
from lightkube.core.schema import DictMixin
from lightkube.models import core_v1, meta_v1


class ProbePreset(DictMixin):
    r"""A probe, put in whole.

    **parameters**

    * **mode** ``str`` - ifAbsent (the default) or override.
    * **value** ``core_v1.Probe`` - The probe.
    """

    mode: str | None = None
    value: core_v1.Probe | None = None


class LifecyclePreset(DictMixin):
    r"""Lifecycle hooks, put in whole.

    **parameters**

    * **mode** ``str`` - ifAbsent (the default) or override.
    * **value** ``core_v1.Lifecycle`` - The hooks.
    """

    mode: str | None = None
    value: core_v1.Lifecycle | None = None


class ResourcesPreset(DictMixin):
    r"""Requests and limits.

    **parameters**

    * **mode** ``str`` - ifAbsent (the default: only where neither requests nor limits are given), override,
      floor or ceiling (quantity by quantity, of those that are given on both sides).
    * **value** ``core_v1.ResourceRequirements`` - The requests and limits.
    """

    mode: str | None = None
    value: core_v1.ResourceRequirements | None = None


class TextPreset(DictMixin):
    r"""One word.

    **parameters**

    * **mode** ``str`` - ifDefault (the default) or override.
    * **value** ``str`` - The word.
    """

    mode: str | None = None
    value: str | None = None


class NumberPreset(DictMixin):
    r"""One number.

    **parameters**

    * **mode** ``str`` - ifDefault (the default), override, floor or ceiling.
    * **value** ``int`` - The number.
    """

    mode: str | None = None
    value: int | None = None


class AffinityPreset(DictMixin):
    r"""Scheduling affinity, put in whole.

    **parameters**

    * **mode** ``str`` - ifAbsent (the default) or override.
    * **value** ``core_v1.Affinity`` - The affinity.
    """

    mode: str | None = None
    value: core_v1.Affinity | None = None


class ContainerMatch(DictMixin):
    r"""Which containers of a Pod; all of what is given must hold, nothing given is every container.

    **parameters**

    * **class_** ``str`` - app, init (an init container that ends) or sidecar (one with restartPolicy Always).
    * **images** ``List[str]`` - Patterns (`*`, `?`) of the image. An exec probe or hook is only put into
      containers that are chosen by image: a command exists in an image or it does not.
    * **names** ``List[str]`` - Patterns (`*`, `?`) of the container's name.
    * **ports** ``List[str]`` - Names or numbers of declared ports; the container must have each of them.
    """

    class_: str | None = msgspec.field(name="class", default=None)
    images: list[str] | None = None
    names: list[str] | None = None
    ports: list[int | str] | None = None


class ContainerSection(DictMixin):
    r"""What is put into the containers that `match` chooses.

    **parameters**

    * **env** ``List[core_v1.EnvVar]`` - Variables.
    * **envFrom** ``List[core_v1.EnvFromSource]`` - Sources of variables.
    * **lifecycle** ``LifecyclePreset`` - Hooks.
    * **livenessProbe** ``ProbePreset`` - The liveness probe.
    * **match** ``ContainerMatch`` - Which containers.
    * **readinessProbe** ``ProbePreset`` - The readiness probe.
    * **resources** ``ResourcesPreset`` - Requests and limits.
    * **startupProbe** ``ProbePreset`` - The startup probe.
    * **terminationMessagePolicy** ``TextPreset`` - File or FallbackToLogsOnError.
    * **volumeMounts** ``List[core_v1.VolumeMount]`` - Mounts of this preset's volumes.
    """

    env: list[core_v1.EnvVar] | None = None
    envFrom: list[core_v1.EnvFromSource] | None = None
    lifecycle: LifecyclePreset | None = None
    livenessProbe: ProbePreset | None = None
    match: ContainerMatch | None = None
    readinessProbe: ProbePreset | None = None
    resources: ResourcesPreset | None = None
    startupProbe: ProbePreset | None = None
    terminationMessagePolicy: TextPreset | None = None
    volumeMounts: list[core_v1.VolumeMount] | None = None


class InjectedInitContainer(DictMixin):
    r"""An init container that the Pod gets.

    **parameters**

    * **container** ``core_v1.Container`` - The container; its name must be free in the Pod.
    * **position** ``str`` - first (the default) or last among the init containers; their order is their
      meaning.
    """

    container: core_v1.Container | None = None
    position: str | None = None


class PodPresetSpec(DictMixin):
    r"""Which Pods, and what they get when they are created.

    **parameters**

    * **affinity** ``AffinityPreset`` - Scheduling affinity.
    * **annotations** ``dict`` - Annotations of the Pod.
    * **containers** ``List[ContainerSection]`` - What chosen containers get.
    * **env** ``List[core_v1.EnvVar]`` - Variables for every container and init container.
    * **envFrom** ``List[core_v1.EnvFromSource]`` - Sources of variables for every container and init container.
    * **includeJobs** ``bool`` - Put liveness probes also into Pods whose restartPolicy is not Always.
    * **initContainers** ``List[InjectedInitContainer]`` - Init containers that the Pod gets.
    * **labels** ``dict`` - Labels of the Pod. They do not make other presets match.
    * **namespaceSelector** ``meta_v1.LabelSelector`` - ClusterPodPreset only: in which namespaces; an empty
      one is all.
    * **onConflict** ``str`` - What a clash leads to: SkipAll (the default: the Pod gets nothing of any preset),
      SkipPreset (nothing of this one), KeepPod (all of this one but what clashes), Override (this preset's
      word holds, except against a preset of higher priority) or Reject (the Pod is refused).
    * **priority** ``int`` - Presets are merged from the highest to the lowest; 0 if absent.
    * **selector** ``meta_v1.LabelSelector`` - Which Pods; an empty one is all, an absent one is refused.
    * **sidecars** ``List[core_v1.Container]`` - Sidecars that the Pod gets, after its init containers.
    * **terminationGracePeriodSeconds** ``NumberPreset`` - How long the Pod may take to end.
    * **tolerations** ``List[core_v1.Toleration]`` - Tolerations of the Pod.
    * **volumeMounts** ``List[core_v1.VolumeMount]`` - Mounts, of this preset's volumes, for every container
      and init container.
    * **volumes** ``List[core_v1.Volume]`` - Volumes for the Pod.
    """

    affinity: AffinityPreset | None = None
    annotations: dict[str, str] | None = None
    containers: list[ContainerSection] | None = None
    env: list[core_v1.EnvVar] | None = None
    envFrom: list[core_v1.EnvFromSource] | None = None
    includeJobs: bool | None = None
    initContainers: list[InjectedInitContainer] | None = None
    labels: dict[str, str] | None = None
    namespaceSelector: meta_v1.LabelSelector | None = None
    onConflict: str | None = None
    priority: int | None = None
    selector: meta_v1.LabelSelector | None = None
    sidecars: list[core_v1.Container] | None = None
    terminationGracePeriodSeconds: NumberPreset | None = None
    tolerations: list[core_v1.Toleration] | None = None
    volumeMounts: list[core_v1.VolumeMount] | None = None
    volumes: list[core_v1.Volume] | None = None


class PresetCondition(DictMixin):
    r"""One thing that is true, false or unknown of a preset.

    **parameters**

    * **lastTransitionTime** ``datetime`` - When the status last changed.
    * **message** ``str`` - The reason in words.
    * **observedGeneration** ``int`` - The generation of the preset that it speaks of.
    * **reason** ``str`` - The reason in one word.
    * **status** ``str`` - True, False or Unknown.
    * **type** ``str`` - Valid, Conflicting or Effective.
    """

    type: str
    status: str
    lastTransitionTime: datetime | None = None
    message: str | None = None
    observedGeneration: int | None = None
    reason: str | None = None


class PodPresetStatus(DictMixin):
    r"""What has become of a preset.

    **parameters**

    * **conditions** ``List[PresetCondition]`` - Valid, Conflicting, Effective.
    * **currentPods** ``int`` - Pods that carry this preset as it is now.
    * **matchedPods** ``int`` - Pods that the selectors choose.
    * **observedGeneration** ``int`` - The generation of the preset that this speaks of.
    * **stalePods** ``int`` - Pods that carry an earlier form of this preset, or matched and never got it.
    """

    conditions: list[PresetCondition] | None = None
    currentPods: int | None = None
    matchedPods: int | None = None
    observedGeneration: int | None = None
    stalePods: int | None = None


class PodPreset(DictMixin):
    r"""PodPreset says what operations want in the Pods of a namespace, health checks included.

    **parameters**

    * **apiVersion** ``str`` - The group and version of this object.
    * **kind** ``str`` - The kind of this object.
    * **metadata** ``meta_v1.ObjectMeta`` - Standard object's metadata.
    * **spec** ``PodPresetSpec`` - Which Pods, and what they get.
    * **status** ``PodPresetStatus`` - What has become of it.
    """

    apiVersion: str | None = None
    kind: str | None = None
    metadata: meta_v1.ObjectMeta | None = None
    spec: PodPresetSpec | None = None
    status: PodPresetStatus | None = None


class ClusterPodPreset(DictMixin):
    r"""ClusterPodPreset is a PodPreset for the Pods of many namespaces; those of a namespace come after it.

    **parameters**

    * **apiVersion** ``str`` - The group and version of this object.
    * **kind** ``str`` - The kind of this object.
    * **metadata** ``meta_v1.ObjectMeta`` - Standard object's metadata.
    * **spec** ``PodPresetSpec`` - Which Pods, and what they get.
    * **status** ``PodPresetStatus`` - What has become of it.
    """

    apiVersion: str | None = None
    kind: str | None = None
    metadata: meta_v1.ObjectMeta | None = None
    spec: PodPresetSpec | None = None
    status: PodPresetStatus | None = None
