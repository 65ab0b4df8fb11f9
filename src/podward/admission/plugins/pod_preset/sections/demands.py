"""What presets ask of one value that they do not put in whole: to be it, to be no lower, no higher. Pure.

A preset whose floor the author's 90 fulfils has written nothing, and yet its word stands: if a later one could
lower the value beneath it, a second admission would raise it again. So every preset notes what it asks
(`Proposal.also`), under the key of the value: `/spec/terminationGracePeriodSeconds#floor=60`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

from podward.admission.plugins.pod_preset.model import Preset
from podward.admission.plugins.pod_preset.sections.base import Draft, Proposal, Verdict
from podward.admission.plugins.pod_preset.sections.places import Bar, Place, Write
from podward.admission.plugins.pod_preset.sections.whole import contradiction

Value = Decimal | str
Asks = Literal["is", "isNot", "floor", "ceiling"]


@dataclass(frozen=True, slots=True)
class Demand:
    asks: Asks
    value: Value

    def met(self, value: Value) -> bool:
        match self.asks:
            case "is":
                return value == self.value
            case "isNot":
                return value != self.value
            case "floor":
                return Decimal(value) >= Decimal(self.value)
            case "ceiling":
                return Decimal(value) <= Decimal(self.value)

    def key(self, of: str) -> str:
        return f"{of}#{self.asks}={_spelled(self.value)}"


def noted(draft: Draft, key: str) -> Iterator[tuple[str, Demand]]:
    """Every demand on the value that `key` names, with its claim."""
    for claim in draft.claims:
        if claim.startswith(f"{key}#"):
            asks, _, text = claim[len(key) + 1 :].partition("=")
            yield claim, _demand(asks, text)


def noted_below(draft: Draft, key: str) -> Iterator[tuple[str, str, Demand]]:
    """The same of the values within: the rest of their key, the claim, the demand."""
    for claim in draft.claims:
        rest, sign, demand = claim.removeprefix(f"{key}/").partition("#")
        if sign and claim.startswith(f"{key}/"):
            asks, _, text = demand.partition("=")
            yield rest, claim, _demand(asks, text)


@dataclass(frozen=True, slots=True)
class Change:
    """One value as it is and as one preset wants it."""

    mode: str
    """Empty: ifDefault."""
    wanted: Value
    current: Value
    """The default if the Pod says nothing."""
    default: Value | None
    """None: it has none, and the mode is no ifDefault."""
    there: bool
    """Whether the Pod says it."""

    @property
    def target(self) -> Value:
        match self.mode:
            case "floor":
                return max(Decimal(self.current), Decimal(self.wanted))
            case "ceiling":
                return min(Decimal(self.current), Decimal(self.wanted))
            case "override":
                return self.wanted
            case _:
                return self.wanted if self.current == self.default else self.current

    @property
    def verdict(self) -> Verdict:
        modes: dict[str, Verdict] = {"floor": "raise", "ceiling": "lower"}
        return modes.get(self.mode) or ("replace" if self.there else "add")

    @property
    def demand(self) -> Demand | None:
        """What the preset relies on from now on."""
        if self.mode in _KEPT:
            return Demand("floor" if self.mode == "floor" else "ceiling", self.wanted)
        if self.target == self.wanted or self.default is None:
            return Demand("is", self.wanted)
        return Demand("isNot", self.default) if self.wanted != self.default else None


_KEPT = {
    "floor": ("aboveFloor", "it is no lower than the floor of {}"),
    "ceiling": ("belowCeiling", "it is no higher than the ceiling of {}"),
}
_NOT_DEFAULT = ("notDefault", "the Pod has another value than the default")
_WAS_DEFAULT = ("wasDefault", "it was the default, said or filled in: the two cannot be told apart")


def weigh(
    place: Place,
    preset: Preset,
    draft: Draft,
    change: Change,
    *,
    spelled: object,
    shown: object,
    write: Write,
    held: str | None = None,
    late_bar: Bar | None = None,
) -> Proposal:
    """`spelled`, `shown`: the wanted and the existing value as they were written. `held`: key of a claim on
    something that holds this value. `late_bar` is asked last, as in `whole.weigh`."""
    values: dict[str, Any] = {"wanted": spelled, "existing": shown}
    also = (change.demand.key(place.key),) if change.demand is not None else ()
    if change.current == change.wanted:
        return place.says("identical", also=also, **values)
    claim = held or _in_the_way(draft, place.key, change)
    if claim is not None and change.target != change.current:
        return contradiction(place, preset, draft, claim, **values)
    if change.target == change.current:
        if change.mode in _KEPT:
            reason, text = _KEPT[change.mode]
            return place.says("keep", reason, text.format(spelled), also=also, **values)
        rival = _other_word(draft, place.key, preset)
        if rival is not None:
            return contradiction(place, preset, draft, rival, **values)
        return place.says("keep", *_NOT_DEFAULT, also=also, **values)
    if late_bar is not None:
        return place.says("skip", *late_bar, **values)
    was = _spelled(change.current) if shown is None else shown
    moved = ("", f"from {was} to {spelled}")
    why = moved if change.mode in ("override", *_KEPT) else _WAS_DEFAULT
    return place.says(change.verdict, *why, also=also, write=write, **values)


def _in_the_way(draft: Draft, key: str, change: Change) -> str | None:
    """The claim that forbids the change."""
    found = list(noted(draft, key))
    for claim, demand in found:
        if not demand.met(change.target):
            return claim
    # Claimed and nothing noted: the value is a part of something whole (an injected container).
    return key if not found and draft.holder(key) is not None else None


def _other_word(draft: Draft, key: str, preset: Preset) -> str | None:
    """The claim of a preset by which the value is what it is."""
    for claim, demand in noted(draft, key):
        if demand.asks == "is" and draft.holder(claim) != preset.id:
            return claim
    return None


def _demand(asks: str, text: str) -> Demand:
    match asks:
        case "floor":
            return Demand("floor", Decimal(text))
        case "ceiling":
            return Demand("ceiling", Decimal(text))
        case _:
            return Demand("is" if asks == "is" else "isNot", _value(text))


def _value(text: str) -> Value:
    return Decimal(text) if text[:1].isdigit() or text[:1] == "-" else text


def _spelled(value: Value) -> str:
    return format(value.normalize(), "f") if isinstance(value, Decimal) else value
