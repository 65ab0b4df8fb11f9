"""Where in a Pod a proposal speaks of, and what all sections of containers have in common. Pure."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from podward.admission.plugins.pod_preset import earlier
from podward.admission.plugins.pod_preset.containers import ContainerRef, chosen, not_chosen
from podward.admission.plugins.pod_preset.model import Document, Preset
from podward.admission.plugins.pod_preset.sections.base import Draft, Proposal, Verdict

Write = Callable[[Document], None]


class Bar(NamedTuple):
    """Why something may not go there."""

    reason: str
    text: str


@dataclass(frozen=True, slots=True)
class Place:
    """One field or item of a Pod."""

    key: str
    pointer: str
    field: str
    section: str
    identity: str
    container: str = ""

    def says(
        self,
        verdict: Verdict,
        reason: str = "",
        text: str = "",
        *,
        wanted: Any = None,
        existing: Any = None,
        key: str = "",
        also: tuple[str, ...] = (),
        write: Write | None = None,
    ) -> Proposal:
        """`key`: what is in the way, if it is not the place itself."""
        return Proposal(
            key=key or self.key,
            pointer=self.pointer,
            field=self.field,
            section=self.section,
            container=self.container,
            identity=self.identity,
            verdict=verdict,
            wanted=wanted,
            existing=existing,
            reason=reason,
            text=text,
            also=also,
            write=write,
        )

    def below(self, *names: str) -> "Place":
        """Of a field within: `below("requests", "cpu")`."""
        path = joined("", *names)
        return replace(
            self,
            key=self.key + path,
            pointer=self.pointer + path,
            field=".".join([self.field, *names]),
            identity=".".join(names),
        )


def joined(path: str, *names: str) -> str:
    """`path`, a JSON pointer, made longer."""
    return "".join([path, *("/" + n.replace("~", "~0").replace("/", "~1") for n in names)])


def in_container(ref: ContainerRef, field: str) -> Place:
    return Place(
        key=f"{ref.key}/{field}",
        pointer=f"{ref.path}/{field}",
        field=f"{ref.field}.{field}",
        section=field,
        identity=field,
        container=ref.name,
    )


@dataclass(frozen=True, slots=True)
class Wish:
    """What one entry of `spec.containers` wants in one field of one container that it chose."""

    place: Place
    ref: ContainerRef
    match: Mapping[str, Any]
    mode: str
    """Empty for the section's own default."""
    value: Any


def wishes(preset: Preset, draft: Draft, field: str) -> Iterator[Wish | Proposal]:
    """A proposal where a container lacks no more than the port (H03): its author may have forgotten to declare
    it. That another entry is for other names, classes or images is no news."""
    for entry in asked(preset, "containers") or ():
        wanted, match = entry.get(field), entry.get("match") or {}
        if not wanted or wanted.get("value") in (None, {}, ""):
            continue
        for other in not_chosen(match, draft.pod):
            if other.reason == "noPort":
                text = f"container {other.container.name} {other.text}"
                place = in_container(other.container, field)
                yield place.says("skip", other.reason, text, wanted=wanted["value"])
        for ref in chosen(match, draft.pod, draft.claims):
            place = in_container(ref, field)
            yield Wish(place, ref, match, wanted.get("mode") or "", wanted["value"])


def asked(preset: Preset, section: str) -> Any:
    """None of a settings.k8s.io preset, which has no such sections, whatever its document says."""
    return None if preset.origin == "settings" else preset.spec.get(section)


def replaced_later(draft: Draft, place: Place) -> Bar | None:
    """Whether it is what a preset to come made of the author's own: at this point of an earlier admission it
    still was the author's, and another. A preset that was left out for that must be left out again."""
    later = draft.to_come.get(earlier.put_by(draft.pod, place.key) or "")
    if later is None or later.on_conflict != "Override":
        return None
    return Bar("replacedLater", f"what the Pod had before {later.id} replaced it")


def object_at(holder: Document, name: str) -> Document:
    """The object `holder[name]`, made if there is none."""
    if holder.get(name) is None:
        holder[name] = {}
    found: Document = holder[name]
    return found


def list_at(holder: Document, name: str) -> list[Any]:
    if holder.get(name) is None:
        holder[name] = []
    found: list[Any] = holder[name]
    return found
