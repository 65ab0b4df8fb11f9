"""A document becomes a preset."""

from collections.abc import Mapping
from typing import Any

from podward.admission.plugins.pod_preset.model import Preset


def preset_of(document: Mapping[str, Any], *, namespace: str = "") -> Preset:
    """The preset in `document` (apiVersion and kind say which); `namespace` if it names none.

    Raises `InvalidPreset` for what no API server would have stored.
    """
    raise NotImplementedError
