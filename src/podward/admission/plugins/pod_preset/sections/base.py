"""What a section is: it weighs what a preset wants in one kind of place against what is there. Pure.

`merge.py` asks every section for its proposals, preset by preset in the order of merging, and does with
them what the preset's `onConflict` says. A section never changes the Pod: a proposal's `write` does, if and
when the engine lets it.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from podward.admission.plugins.pod_preset.model import Document, Preset

Verdict = Literal["add", "replace", "raise", "lower", "identical", "keep", "skip", "clash"]
"""add, replace, raise, lower: `write` is to be called. identical: it is there already, and is claimed.
keep: the author's stays, which is no clash. skip: it cannot or may not go there. clash: `onConflict` decides,
and Override calls `write`."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """One item of one preset in one place of the Pod, weighed."""

    key: str
    """What is claimed, by identity and not by index: `/spec/containers/app/env/TZ`. Two presets that want the
    same thing have the same key. Of a clash between presets: the claim that is in the way."""
    pointer: str
    """JSON pointer of where it is or will be in the Pod."""
    field: str
    """For people: `spec.containers[app].env[TZ]`."""
    section: str
    """env, volumes, livenessProbe, labels ..."""
    container: str
    """Its name; empty for the Pod itself."""
    identity: str
    verdict: Verdict
    wanted: Any = None
    existing: Any = None
    reason: str = ""
    text: str = ""
    write: Callable[[Document], None] | None = None
    also: tuple[str, ...] = ()
    """Further keys to be claimed if it is written, identical or kept: what this preset relies on. A grace
    period of 90 that a floor of 60 let pass must not be lowered to 50 by a preset that comes later, or a
    second admission would raise it. They are no part of the provenance."""


@dataclass(slots=True)
class Draft:
    """The Pod as it is being made: what earlier presets were given is in it."""

    pod: Document
    """A copy of the engine's own; sections only read it."""
    author_labels: Mapping[str, str] = field(default_factory=dict)
    claims: dict[str, str] = field(default_factory=dict)
    """`Proposal.key` -> `Preset.id` of the preset whose value is there: put there, or found identical.

    This is what makes a second admission come to the same as the first: what a preset added in the first
    is found identical, and claimed, in the second. Something there that is claimed by another preset and
    differs is a clash; something there that nobody claims is the author's.
    """
    to_come: Mapping[str, Preset] = field(default_factory=dict)
    """`Preset.id` -> the preset, of those whose turn is still to come in this admission."""

    def holder(self, key: str) -> str | None:
        return self.claims.get(key)


class Section(Protocol):
    def proposals(self, preset: Preset, draft: Draft) -> Iterable[Proposal]:
        """In the order in which the items are written in the preset; nothing if it has none of this section.

        The engine takes them one by one and lets each write before it asks for the next.
        """
