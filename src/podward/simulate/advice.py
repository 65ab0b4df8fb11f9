"""What would have changed a recording, with the numbers; nothing where all was well. Pure; a row an advice."""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from statistics import median

from lightkube.models import core_v1

from podward.simulate.lives import SIGKILLED, ContainerStory, Life, PodStory, grace_of
from podward.simulate.wording import duration

_WHOLE_GRACE = 0.5
"""Who ends less than this before its SIGKILL did not end by itself."""
_INTERRUPTED = 1.0
_DEFAULT_PERIOD = 10


@dataclass(frozen=True, slots=True)
class Advice:
    id: str
    container: str
    text: str


def advice_for(story: PodStory) -> Iterator[Advice]:
    for container in story.containers:
        for name, rule in RULES.items():
            for text in rule(story, container):
                yield Advice(name, container.name, f"{container.name} {text}")


Rule = Callable[[PodStory, ContainerStory], Iterator[str]]
"""Sentences whose subject is the container."""


def handle_term(story: PodStory, own: ContainerStory) -> Iterator[str]:
    overran = [life for life in own.lives if _overran(story, own, life)]
    if not overran:
        return
    cost = duration(max(grace_of(story.last, own.container, life.cause) for life in overran))
    stop = "restart" if any(life.by_probe and life.followed for life in overran) else "stop"
    if _has_handler(own.container):
        yield (
            f"needs longer than its grace of {cost} to end, and is killed: let it be quicker, or raise "
            "terminationGracePeriodSeconds."
        )
    else:
        yield (
            f"ignores SIGTERM, so each {stop} costs {cost} more: handle it, or lower "
            "terminationGracePeriodSeconds."
        )


def _overran(story: PodStory, own: ContainerStory, life: Life) -> bool:
    if life.killed is None or life.ended is None or life.exit_code != SIGKILLED:
        return False
    grace = grace_of(story.last, own.container, life.cause)
    return life.ended - life.killed >= grace - _WHOLE_GRACE


def _has_handler(container: core_v1.Container) -> bool:
    """It does something on being told to end, as far as its manifest shows."""
    words = " ".join([*(container.command or ()), *(container.args or ())])
    hook = container.lifecycle is not None and container.lifecycle.preStop is not None
    return hook or "trap " in words


def ready_while_ill(story: PodStory, own: ContainerStory) -> Iterator[str]:
    if own.container.readinessProbe is not None:
        return
    ill = [
        life.ended - life.failed
        for life in own.lives
        if life.cause == "liveness" and life.ended and life.failed and not _never_up(own, life)
    ]
    if ill:
        yield (
            f"counted as ready for {duration(median(ill))} of each failure, from the first failed attempt to "
            "its end: a readinessProbe takes it out of service meanwhile."
        )


def time_to_start(story: PodStory, own: ContainerStory) -> Iterator[str]:
    """Instances that a probe killed while they had not come up once."""
    killed = [life for life in own.lives if life.ended is not None and _never_up(own, life)]
    if not killed:
        return
    startup, readiness = own.container.startupProbe, own.container.readinessProbe
    took = [
        up - life.began
        for life in own.lives
        if (startup or readiness) and (up := life.started if startup else life.ready) is not None
    ]
    gave_up = median((life.killed or life.ended or 0.0) - life.began for life in killed)
    if startup is not None:
        otherwise = f"; when it does start, it takes {duration(median(took))}" if took else ""
        yield (
            f"had not started when its startupProbe gave up after {duration(gave_up)}: raise its "
            f"failureThreshold, now {startup.failureThreshold or 3}{otherwise}."
        )
    elif took and max(took) > gave_up:
        # The first attempt may come at once, and the last is threshold - 1 periods later.
        threshold = math.ceil(max(took) / _DEFAULT_PERIOD) + 1
        yield (
            f"took {duration(max(took))} to start when it was not killed first: a startupProbe with "
            f"periodSeconds {_DEFAULT_PERIOD} and failureThreshold {threshold} covers that."
        )
    elif took:
        return  # it had the time that it needs: something else is wrong with it
    else:
        allowed = duration(_allowed(own.container.livenessProbe))
        yield (
            "failed its liveness probe from the first attempt on: if it was still starting, a startupProbe "
            f"gives it longer than the {allowed} that liveness does."
        )


def _never_up(own: ContainerStory, life: Life) -> bool:
    """Readiness tells, if it is asked; else it is whether liveness failed from the first attempt on."""
    if life.cause == "startup":
        return True
    probe = own.container.livenessProbe
    if life.cause != "liveness" or probe is None or own.container.startupProbe is not None:
        return False
    if own.container.readinessProbe is not None:
        return life.ready is None
    first = (
        (probe.initialDelaySeconds or 0) + (probe.periodSeconds or 10) + (probe.timeoutSeconds or 1)
    )
    return life.failed is not None and life.failed - life.began <= first


def _allowed(probe: core_v1.Probe | None) -> float:
    """The longest start that a probe lets pass."""
    if probe is None:
        return 0.0
    return (probe.initialDelaySeconds or 0) + (probe.failureThreshold or 3) * (
        probe.periodSeconds or 10
    )


def ends_well_and_again(story: PodStory, own: ContainerStory) -> Iterator[str]:
    policy = own.container.restartPolicy or _policy(story)
    if (
        own.kind == "container"
        and policy == "Always"
        and any(_ended_with(life, 0) for life in own.lives)
    ):
        yield (
            "ends with exit code 0 and is started again, for its restartPolicy is Always: OnFailure would "
            "leave it ended."
        )


def _ended_with(life: Life, code: int) -> bool:
    return life.cause == "exit" and life.ended is not None and life.exit_code == code


def never_again(story: PodStory, own: ContainerStory) -> Iterator[str]:
    policy = own.container.restartPolicy or _policy(story)
    if policy == "Never" and any(life.by_probe and life.ended is not None for life in own.lives):
        yield "was ended by its probe, and restartPolicy Never starts nothing again: OnFailure would."


def completed_by_its_probe(story: PodStory, own: ContainerStory) -> Iterator[str]:
    """Exit code 0 on SIGTERM is an end, once a back-off has come between (spec/health.md 10, 33)."""
    policy = own.container.restartPolicy or _policy(story)
    last = own.lives[-1] if own.lives else None
    if (
        policy == "OnFailure"
        and last is not None
        and last.by_probe
        and last.exit_code == 0
        and last.ended
    ):
        yield (
            "failed its probe, ended with 0 on SIGTERM and, being in back-off, was not started again: under "
            "OnFailure that is success; end with another code, or use restartPolicy Always."
        )


def _policy(story: PodStory) -> str:
    return (story.last.spec and story.last.spec.restartPolicy) or "Always"


def out_of_memory(story: PodStory, own: ContainerStory) -> Iterator[str]:
    lived = [
        life.ended - life.began for life in own.lives if life.cause == "OOMKilled" and life.ended
    ]
    if not lived:
        return
    resources = own.container.resources
    limit = ((resources and resources.limits) or {}).get("memory")
    of = f" of {limit}" if limit else ""
    yield (
        f"reached its memory limit{of} after {duration(median(lived))}: raise resources.limits.memory, or mend "
        "what grows."
    )


def probe_without_answer(story: PodStory, own: ContainerStory) -> Iterator[str]:
    """Errors are discarded, whatever the threshold (2.3)."""
    for name in ("startup", "readiness", "liveness"):
        errors = [f for f in own.failures if f.probe == name and f.errored and _lives_on(own, f.at)]
        if errors:
            yield (
                f"cannot be asked by its {name} probe ({errors[-1].message}): an error is no failure, so "
                "nothing ever follows from it; mend the probe."
            )


def _lives_on(own: ContainerStory, at: float) -> bool:
    """An attempt that the container's own end interrupts is an error too, and no mistake."""
    return any(
        life.began <= at and (life.ended is None or life.ended > at + _INTERRUPTED)
        for life in own.lives
    )


def never_ready(story: PodStory, own: ContainerStory) -> Iterator[str]:
    if own.container.readinessProbe is None or any(life.ready is not None for life in own.lives):
        return
    failed = [f for f in own.failures if f.probe == "readiness" and not f.errored]
    if failed:
        yield f'was never ready: its readiness probe failed each time, at last "{failed[-1].message}".'


def holds_up_the_rest(story: PodStory, own: ContainerStory) -> Iterator[str]:
    """An init container that does not end well, a sidecar that does not start (4.9)."""
    later = [c for c in story.containers if c.kind == "container"]
    if own.kind == "container" or any(c.lives for c in later):
        return
    passed = any(
        life.started is not None if own.kind == "sidecar" else _ended_with(life, 0)
        for life in own.lives
    )
    if own.lives and not passed:
        goal = "has started" if own.kind == "sidecar" else "ends with exit code 0"
        yield f"holds up the rest: nothing after it starts until it {goal}."


RULES: Mapping[str, Rule] = {
    "handle-term": handle_term,
    "ready-while-ill": ready_while_ill,
    "time-to-start": time_to_start,
    "ends-well-and-again": ends_well_and_again,
    "never-again": never_again,
    "completed-by-its-probe": completed_by_its_probe,
    "out-of-memory": out_of_memory,
    "probe-without-answer": probe_without_answer,
    "never-ready": never_ready,
    "holds-up-the-rest": holds_up_the_rest,
}
