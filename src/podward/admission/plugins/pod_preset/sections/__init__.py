"""One module a section; `SECTIONS` is the order in which a preset's sections are merged.

Containers that the Pod gets come before what goes into containers (spec/podpreset.md R11), volumes before their
mounts.
"""

from podward.admission.plugins.pod_preset.sections.base import Section
from podward.admission.plugins.pod_preset.sections.lists import (
    ENV,
    ENV_FROM,
    VOLUME_MOUNTS,
    VOLUMES,
)

SECTIONS: tuple[Section, ...] = (VOLUMES, ENV, ENV_FROM, VOLUME_MOUNTS)
