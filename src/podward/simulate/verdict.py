"""What a recording shows: how soon a failure was noticed, what a restart cost, what would change it. Pure.

`judge` measures, `words` says it; both tell only what happened in this recording.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise
from statistics import median

from lightkube.models import core_v1

from podward.simulate.advice import Advice, advice_for
from podward.simulate.lives import (
    ContainerStory,
    Kind,
    Life,
    PodStory,
    status_of,
    stories,
)
from podward.simulate.simulation import Recording
from podward.simulate.wording import between, duration, share, times


@dataclass(frozen=True, slots=True)
class Spread:
    """Seconds, measured `count` times."""

    least: float
    median: float
    most: float
    count: int


@dataclass(frozen=True, slots=True)
class Gaps:
    """When a Pod that had been ready was not."""

    count: int
    seconds: float
    longest: float
    longest_began: float


@dataclass(frozen=True, slots=True)
class ContainerJudgement:
    name: str
    kind: Kind
    restarts: int
    causes: tuple[tuple[str, int], ...]
    """Why its instances ended, and how many of them; the most frequent first."""
    lived: Spread | None
    """From the start of an instance to its end."""
    noticed: Spread | None
    """From the first failed attempt to the kill. Only where the kubelet wrote every attempt down."""
    promise: str
    """What the probe that killed it allows."""
    ending: Spread | None
    """From the kill to the exit."""
    backing_off: Spread | None
    """From the exit to the next start."""
    starting: Spread | None
    """From the start to readiness."""
    away: Spread | None
    """From the kill, or the exit, until it is ready again."""
    unready: Spread | None
    """How long its readiness probe took it out of service, each time that nothing was restarted for it."""
    startup: str
    """How long its start took, of what its startup probe allows; empty without one."""
    backed_off: float
    """Seconds that it waited in back-off."""
    now: str
    """What it waits for at the end; empty if for nothing."""


@dataclass(frozen=True, slots=True)
class PodJudgement:
    name: str
    namespace: str
    phase: str
    """At the end."""
    seconds: float
    """From its creation until it had ended, or the watch was over."""
    over: bool
    """It will never run again."""
    deleted: float | None
    ready: float
    """Seconds."""
    first_ready: float | None
    gaps: Gaps | None
    containers: tuple[ContainerJudgement, ...]
    advice: tuple[Advice, ...]

    @property
    def restarts(self) -> int:
        return sum(container.restarts for container in self.containers)


def judge(recording: Recording) -> list[PodJudgement]:
    return [_pod(recording, story) for story in stories(recording)]


def verdict(recording: Recording) -> str:
    """A few sentences for each Pod."""
    return "\n".join(words(judgement) for judgement in judge(recording))


# ------------------------------------------------------------------------------------------------ the Pod


def is_ready(pod: core_v1.Pod) -> bool:
    conditions = (pod.status and pod.status.conditions) or ()
    return any(c.type == "Ready" and c.status == "True" for c in conditions)


def _pod(recording: Recording, story: PodStory) -> PodJudgement:
    phase = (story.last.status and story.last.status.phase) or ""
    began = story.changes[0].at
    ended = next(
        (c.at for c in story.changes if c.pod.status and c.pod.status.phase in _TERMINAL), None
    )
    until = story.end if ended is None else ended
    spans = list(_readiness(story, until))
    ready = [(begin, end) for is_up, begin, end in spans if is_up]
    deleted = next(
        (c.at for c in story.changes if c.pod.metadata and c.pod.metadata.deletionTimestamp), None
    )
    over = ended is not None or story.changes[-1].type == "DELETED"
    if over and spans and not spans[-1][0]:
        spans.pop()  # nobody misses it while it ends
    return PodJudgement(
        story.name,
        story.namespace,
        phase,
        until - began,
        over,
        deleted,
        sum(end - begin for begin, end in ready),
        ready[0][0] - began if ready else None,
        _gaps(spans, deleted),
        tuple(_container(recording, story, container) for container in story.containers),
        tuple(advice_for(story)),
    )


_TERMINAL = ("Succeeded", "Failed")


def _readiness(story: PodStory, until: float) -> Iterator[tuple[bool, float, float]]:
    """(ready, from, to), each as long as possible."""
    since, state = story.changes[0].at, is_ready(story.changes[0].pod)
    for change in story.changes[1:]:
        now = is_ready(change.pod)
        if now != state and change.at < until and change.type != "DELETED":
            yield state, since, change.at
            since, state = change.at, now
    if until > since:
        yield state, since, until


def _gaps(spans: Sequence[tuple[bool, float, float]], deleted: float | None) -> Gaps | None:
    """A Pod that was told to end is not missed."""
    was_ready = False
    found: list[tuple[float, float]] = []
    for is_up, begin, end in spans:
        if was_ready and not is_up and (deleted is None or begin < deleted):
            found.append((begin, end))
        was_ready = was_ready or is_up
    if not found:
        return None
    begin, end = max(found, key=lambda gap: gap[1] - gap[0])
    return Gaps(len(found), sum(e - b for b, e in found), end - begin, begin)


# ------------------------------------------------------------------------------------------ one container


def _container(recording: Recording, story: PodStory, own: ContainerStory) -> ContainerJudgement:
    ended = [life for life in own.lives if life.ended is not None and life.cause != "stopped"]
    # The success of the last one caused nothing.
    causes = Counter(
        _cause(life) for life in ended if life.followed is not None or _cause(life) != _SUCCESS
    )
    status = status_of(story.last, own.name)
    back = [(life, after.ready) for life, after in pairwise(own.lives) if after.ready is not None]
    return ContainerJudgement(
        own.name,
        own.kind,
        status.restartCount if status is not None else 0,
        tuple(causes.most_common()),
        _spread(life.ended - life.began for life in ended if life.ended is not None),
        _spread(
            life.killed - life.failed
            for life in ended
            if life.killed is not None and life.failed is not None
        ),
        _promise(own, ended),
        _spread(
            life.ended - life.killed
            for life in ended
            if life.ended is not None and life.killed is not None
        ),
        _spread(
            max(life.followed - life.ended, 0.0)
            for life in ended
            if life.ended is not None and life.followed is not None
        ),
        _spread(life.ready - life.began for life in own.lives[1:] if life.ready is not None),
        _spread(ready - gone for life, ready in back if (gone := _gone(life)) is not None),
        _spread(_unready(own)),
        _startup(own),
        sum(s.end - s.begin for s in own.stretches if s.state == "back-off"),
        _now(recording, story, own),
    )


def _gone(life: Life) -> float | None:
    """Since when an instance was of no use to anybody, as far as it is known."""
    if life.by_probe:
        return life.killed
    return life.ended


_CAUSES = {
    "liveness": "its liveness probe failed",
    "startup": "its startup probe failed",
    "hook": "its postStart hook failed",
    "changed": "its definition changed",
    "StartError": "it could not be started",
    "OOMKilled": "OOMKilled",
}


_SUCCESS = "exit code 0"


def _cause(life: Life) -> str:
    return _CAUSES.get(life.cause or "", f"exit code {life.exit_code}")


def _promise(own: ContainerStory, ended: Sequence[Life]) -> str:
    """Of the probe that kills most: from the failure itself, which nobody sees, to the kill (2.2)."""
    killers = Counter(life.cause for life in ended if life.by_probe)
    if not killers:
        return ""
    name = killers.most_common(1)[0][0]
    probe = own.container.livenessProbe if name == "liveness" else own.container.startupProbe
    if probe is None:
        return ""
    period, threshold = probe.periodSeconds or 10, probe.failureThreshold or 3
    least, most = (threshold - 1) * period, threshold * period
    return (
        f"periodSeconds {period} x failureThreshold {threshold} notices a failure after "
        f"{least}-{most} s"
    )


def _unready(own: ContainerStory) -> Iterator[float]:
    for before, stretch in pairwise(own.stretches):
        if before.state == "ready" and stretch.state == "running" and before.life == stretch.life:
            yield stretch.end - stretch.begin


def _startup(own: ContainerStory) -> str:
    probe = own.container.startupProbe
    took = _spread(life.started - life.began for life in own.lives if life.started is not None)
    if probe is None or took is None:
        return ""
    period, threshold = probe.periodSeconds or 10, probe.failureThreshold or 3
    most = (probe.initialDelaySeconds or 0) + threshold * period
    return f"started after {_range(took)}, its startupProbe allows {most - period}-{most} s"


def _now(recording: Recording, story: PodStory, own: ContainerStory) -> str:
    """What it waits for, at the end of the watch."""
    status = status_of(story.last, own.name)
    state = (status and status.state) or core_v1.ContainerState()
    phase = story.last.status and story.last.status.phase
    if state.terminated is not None and own.kind == "container" and phase == "Running":
        return f"has ended ({state.terminated.reason}), and a Pod is not ready without all its containers"
    waiting = state.waiting
    if waiting is None or story.changes[-1].type == "DELETED":
        return ""
    if waiting.reason in (None, "PodInitializing"):
        return ""  # it waits for others, of which more is said
    last = status.lastState.terminated if status is not None and status.lastState else None
    wait = _wait_of(waiting.message or "")
    if waiting.reason == "CrashLoopBackOff" and last is not None and last.finishedAt and wait:
        at = recording.seconds_of(last.finishedAt + timedelta(seconds=wait))
        left = max(at - recording.seconds, 0.0)
        return f"waits in CrashLoopBackOff ({duration(wait)}), {duration(left)} are left"
    return f"waits: {waiting.reason}" + (f": {waiting.message}" if waiting.message else "")


def _wait_of(message: str) -> float:
    """The seconds in `back-off 1m20s restarting failed container=...`."""
    word = message.removeprefix("back-off ").partition(" ")[0]
    minutes, found, seconds = word.rpartition("m")
    try:
        return float(minutes or 0) * 60 + float((seconds if found else word).rstrip("s") or 0)
    except ValueError:
        return 0.0


def _spread(measured: Iterable[float]) -> Spread | None:
    values = sorted(measured)
    if not values:
        return None
    return Spread(values[0], median(values), values[-1], len(values))


# -------------------------------------------------------------------------------------------------- words


def words(judgement: PodJudgement) -> str:
    lines = [_headline(judgement), *(f"  {line}" for line in _service(judgement))]
    for container in judgement.containers:
        lines += [f"  {line}" for line in _life_and_death(container, judgement)]
    lines += [f"  - {advice.text}" for advice in judgement.advice]
    if _is_well(judgement):
        lines.append("  Nothing to improve.")
    return "\n".join(lines)


def _is_well(judgement: PodJudgement) -> bool:
    served = judgement.first_ready is not None and judgement.gaps is None
    ended_well = judgement.phase == "Succeeded"
    troubled = judgement.advice or judgement.restarts or any(c.now for c in judgement.containers)
    return (served or ended_well) and not troubled


def _headline(judgement: PodJudgement) -> str:
    restarts = times(judgement.restarts, "restart")
    if judgement.deleted is not None:
        took = judgement.seconds - judgement.deleted
        went = f"gone {duration(took)} later" if judgement.over else "not gone yet"
        return f"{judgement.name}: {restarts}, deleted after {duration(judgement.deleted)}, {went}."
    if judgement.over:
        return (
            f"{judgement.name}: {judgement.phase} after {duration(judgement.seconds)}, {restarts}."
        )
    part = share(judgement.ready, judgement.seconds)
    return (
        f"{judgement.name}: ready {part} of {duration(judgement.seconds)}, {restarts}, "
        f"{judgement.phase} at the end."
    )


def _service(judgement: PodJudgement) -> Iterator[str]:
    if judgement.first_ready is None:
        if not judgement.over:
            yield "It was never ready."
        return
    line = f"First ready after {duration(judgement.first_ready)}."
    gaps = judgement.gaps
    if gaps is not None and gaps.count == 1:
        line += f" Not ready for {duration(gaps.longest)}, from {duration(gaps.longest_began)} on."
    elif gaps is not None:
        line += (
            f" Not ready {gaps.count} times, {duration(gaps.seconds)} in all; the longest, "
            f"{duration(gaps.longest)}, from {duration(gaps.longest_began)} on."
        )
    yield line


def _life_and_death(container: ContainerJudgement, pod: PodJudgement) -> Iterator[str]:
    lines = list(_facts(container, pod))
    if not lines:
        return
    name = (
        container.name if container.kind == "container" else f"{container.name} ({container.kind})"
    )
    yield f"{name}: {lines[0]}"
    yield from (f"  {line}" for line in lines[1:])


def _facts(container: ContainerJudgement, pod: PodJudgement) -> Iterator[str]:
    if container.restarts:
        yield _restarts(container)
    elif container.causes:
        lived = f" after {_range(container.lived)}" if container.lived is not None else ""
        yield f"ended{lived}: {container.causes[0][0]}."
    if container.promise:
        noticed = container.noticed
        measured = f", measured {_range(noticed)} after the first failed attempt" if noticed else ""
        yield f"{container.promise}{measured}."
    if container.startup:
        yield f"{container.startup}."
    if container.unready is not None:
        count = container.unready.count
        often, each = ("once", "") if count == 1 else (f"{count} times", " each")
        yield (
            f"out of service {often} by its readiness probe, for {_range(container.unready)}{each}, "
            "without a restart."
        )
    if container.restarts and container.away is not None:
        yield _away(container, container.away)
    if container.backed_off >= 1:
        part = share(container.backed_off, pod.seconds)
        yield f"In back-off for {duration(container.backed_off)}, {part} of the time."
    if container.now:
        yield f"At the end it {container.now.rstrip('.')}."


def _away(container: ContainerJudgement, away: Spread) -> str:
    parts = (
        (container.ending, "to end"),
        (container.backing_off, "of back-off"),
        (container.starting, "until ready"),
    )
    shown = [f"{_range(part)} {what}" for part, what in parts if part and part.most >= 0.5]
    consists = f": {', '.join(shown)}" if len(shown) > 1 else ""
    typical = f", {duration(away.median)} in the median" if away.most - away.least > 1 else ""
    return f"A restart takes {_range(away)}{typical}{consists}."


def _restarts(container: ContainerJudgement) -> str:
    if len(container.causes) == 1:
        each = ", each time" if container.restarts > 1 else ""
        why = f"{container.causes[0][0]}{each}"
    else:
        why = ", ".join(f"{cause} ({count}x)" for cause, count in container.causes)
    lived = f" It lived {_range(container.lived)}." if container.lived is not None else ""
    return f"{times(container.restarts, 'restart')}: {why}.{lived}"


def _range(spread: Spread) -> str:
    return between(spread.least, spread.most)
