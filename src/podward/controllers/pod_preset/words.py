"""The sentences of Events and conditions. None of them holds a value: an env value may be a secret."""

from collections.abc import Sequence
from typing import Final

from podward.admission.plugins.pod_preset.model import Conflict, Notice, OnConflict

MESSAGE_LIMIT: Final = 1024
"""What Kubernetes lets an Event say."""

OUTCOMES: Final[dict[OnConflict, tuple[str, str]]] = {
    "SkipAll": ("NothingApplied", "the Pod got nothing of any preset"),
    "SkipPreset": ("PresetSkipped", "the Pod got nothing of this preset"),
    "KeepPod": ("PodKept", "what was there stayed, the rest of the preset was applied"),
    "Override": ("Overridden", "the word of the higher held"),
    "Reject": ("PodRejected", "the Pod was refused"),
}
"""onConflict -> a condition's reason, and what it came to."""


def clash(conflicts: Sequence[Conflict]) -> str:
    """What clashed and what it came to; of several the first, and how many more."""
    first = conflicts[0]
    more = f" (and {len(conflicts) - 1} more)" if len(conflicts) > 1 else ""
    said = first.message.rstrip(".")
    return shortened(f"{said}{more}: {OUTCOMES[first.outcome][1]}")


def pod_of(notice: Notice) -> str:
    """`edge/web-`: a generated name is not known yet, which makes one Event of all the Pods of an owner."""
    return f"{notice.namespace}/{notice.pod_name}"


def counted(pods: int) -> str:
    return "1 Pod" if pods == 1 else f"{pods} Pods"


def shortened(text: str) -> str:
    return text if len(text) <= MESSAGE_LIMIT else text[: MESSAGE_LIMIT - 3] + "..."
