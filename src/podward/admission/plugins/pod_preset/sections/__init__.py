"""One module a section; `SECTIONS` is the order in which a preset's sections are merged.

Containers that the Pod gets come before what goes into containers (spec/podpreset.md R11), volumes before their
mounts, the grace period before the hooks that must fit into it.
"""

from podward.admission.plugins.pod_preset.sections.affinity import AffinitySection
from podward.admission.plugins.pod_preset.sections.base import Section
from podward.admission.plugins.pod_preset.sections.injected import (
    InitContainerSection,
    SidecarSection,
)
from podward.admission.plugins.pod_preset.sections.labels import MetadataSection
from podward.admission.plugins.pod_preset.sections.lifecycle import LifecycleSection
from podward.admission.plugins.pod_preset.sections.lists import (
    ENV,
    ENV_FROM,
    VOLUME_MOUNTS,
    VOLUMES,
)
from podward.admission.plugins.pod_preset.sections.probes import ProbeSection
from podward.admission.plugins.pod_preset.sections.resources import ResourcesSection
from podward.admission.plugins.pod_preset.sections.scalars import (
    GracePeriodSection,
    MessagePolicySection,
)
from podward.admission.plugins.pod_preset.sections.tolerations import TolerationSection

SECTIONS: tuple[Section, ...] = (
    MetadataSection("labels"),
    MetadataSection("annotations"),
    GracePeriodSection(),
    VOLUMES,
    InitContainerSection(),
    SidecarSection(),
    ENV,
    ENV_FROM,
    VOLUME_MOUNTS,
    ResourcesSection(),
    MessagePolicySection(),
    ProbeSection("startupProbe"),
    ProbeSection("readinessProbe"),
    ProbeSection("livenessProbe"),
    LifecycleSection(),
    TolerationSection(),
    AffinitySection(),
)
