"""One module a section; `SECTIONS` is the order in which a preset's sections are merged."""

from podward.admission.plugins.pod_preset.sections.base import Section

SECTIONS: tuple[Section, ...] = ()
