"""`settings.k8s.io/v1alpha1`: PodPreset as Kubernetes had it from 1.6 to 1.19 (spec/podpreset.md 1)."""

from lightkube.core.schema import DictMixin
from lightkube.models import core_v1, meta_v1


class PodPresetSpec(DictMixin):
    r"""What is put into the Pods that the selector selects, when they are created.

    **parameters**

    * **env** ``List[core_v1.EnvVar]`` - Variables for every container and init container.
    * **envFrom** ``List[core_v1.EnvFromSource]`` - Sources of variables for every container and init container.
    * **selector** ``meta_v1.LabelSelector`` - The Pods of this namespace that get the preset; an empty one is
      all.
    * **volumeMounts** ``List[core_v1.VolumeMount]`` - Mounts, of this preset's volumes, for every container
      and init container.
    * **volumes** ``List[core_v1.Volume]`` - Volumes for the Pod.
    """

    env: list[core_v1.EnvVar] | None = None
    envFrom: list[core_v1.EnvFromSource] | None = None
    selector: meta_v1.LabelSelector | None = None
    volumeMounts: list[core_v1.VolumeMount] | None = None
    volumes: list[core_v1.Volume] | None = None


class PodPreset(DictMixin):
    r"""PodPreset puts variables, volumes and mounts into Pods when they are created.

    **parameters**

    * **apiVersion** ``str`` - The group and version of this object.
    * **kind** ``str`` - The kind of this object.
    * **metadata** ``meta_v1.ObjectMeta`` - Standard object's metadata.
    * **spec** ``PodPresetSpec`` - What is put where.
    """

    apiVersion: str | None = None
    kind: str | None = None
    metadata: meta_v1.ObjectMeta | None = None
    spec: PodPresetSpec | None = None
