"""Reading the golden traces, and comparing a simulation with one (tests/golden/README.md has the rules)."""

import re
from dataclasses import dataclass
from pathlib import Path

from lightkube.models import core_v1

from podward.simulate.simulation import Recording
from podward.simulate.trace import container_state

TRACES = Path(__file__).parent / "traces"


@dataclass(frozen=True)
class Step:
    """One state of a Pod: what is compared, without the time."""

    phase: str
    ready: bool
    containers: tuple[tuple[str, str, int, str], ...]
    """(name, state, restarts, last termination) of each container, init containers first."""
    deleting: bool


@dataclass(frozen=True)
class Timed:
    at: float
    step: Step


@dataclass(frozen=True)
class Event:
    first: float
    """Seconds since creation; whole ones in a record."""
    type: str
    reason: str
    message: str


_CONTAINER = re.compile(
    r"(?:init:)?(?P<name>\S+) (?P<state>\S+?)(?P<text>: command .*?)? ready=(?P<ready>\w+) started=\w+ "
    r"restarts=(?P<restarts>\d+)(?: last=(?P<last>\S+))?$"
)
_EVENT = re.compile(
    r"\s*(?P<first>\d+)\s+\d+ x\d+ (?P<type>\w+) (?P<reason>\w+) .*?(?P<message>'.*'|\".*\")$"
)


def recorded(name: str) -> tuple[list[Timed], list[Event]]:
    """States with their times, equal neighbours folded, and the events."""
    states, _, events = (TRACES / f"{name}.trace").read_text().partition("--- events")
    steps: list[Timed] = []
    for line in states.splitlines():
        at, rest = line.split(None, 1)
        if rest == "DELETED":
            continue
        phase, *parts = [part.strip() for part in rest.split(" | ")]
        conditions = parts.pop(0).split() if parts else []
        deleting = bool(parts) and parts[-1].startswith("deleting")
        containers = parts[:-1] if deleting else parts
        matches = [_CONTAINER.match(part) for part in containers]
        held = tuple(
            (m["name"], m["state"], int(m["restarts"]), m["last"] or "") for m in matches if m
        )
        assert len(held) == len(containers), containers
        steps.append(Timed(float(at), Step(phase, "Ready=T" in conditions, held, deleting)))
    found = [_EVENT.match(line) for line in events.splitlines()[1:]]
    # The message was written as Python writes a text.
    told = [
        Event(float(m["first"]), m["type"], m["reason"], str(eval(m["message"], {})))
        for m in found
        if m
    ]
    return fold(steps), told


def simulated(recording: Recording) -> tuple[list[Timed], list[Event]]:
    steps = [
        Timed(change.at, step_of(change.pod))
        for change in recording.changes
        if change.type != "DELETED"
    ]
    events = []
    for e in recording.events.values():
        moment = e.firstTimestamp or e.eventTime
        assert moment is not None
        at = recording.seconds_of(moment)
        events.append(Event(at, e.type or "", e.reason or "", e.message or ""))
    return fold(steps), events


def step_of(pod: core_v1.Pod) -> Step:
    status = pod.status or core_v1.PodStatus()
    listed = (*(status.initContainerStatuses or ()), *(status.containerStatuses or ()))
    ready = any(c.type == "Ready" and c.status == "True" for c in status.conditions or ())
    containers = []
    for one in listed:
        last = one.lastState.terminated if one.lastState else None
        ended = f"{last.reason}({last.exitCode})" if last is not None else ""
        containers.append((one.name, container_state(one), one.restartCount, ended))
    deleting = pod.metadata is not None and pod.metadata.deletionTimestamp is not None
    return Step(status.phase or "", ready, tuple(containers), deleting)


def fold(steps: list[Timed]) -> list[Timed]:
    out: list[Timed] = []
    for timed in steps:
        if not out or out[-1].step != timed.step:
            out.append(timed)
    return out


def first_start(events: list[Event]) -> float:
    """When the first container was started: both records count from there. Whole seconds: a cluster's clock."""
    return min(event.first for event in events if event.reason == "Started")
