"""The engine: a Pod and presets in, the Pod as it will be and the reasons out. Pure."""

from collections.abc import Mapping, Sequence

from podward.admission.plugins.pod_preset.model import Document, Mode, Preset, Result


def admit(
    pod: Document,
    presets: Sequence[Preset],
    *,
    namespace: str,
    namespace_labels: Mapping[str, str] | None = None,
    mode: Mode = "safe",
) -> Result:
    """What a create of `pod` in `namespace` makes of it. `pod` itself is never changed.

    The request's namespace counts, not the Pod's, which a controller may have left blank (kubernetes#49141).
    """
    raise NotImplementedError
