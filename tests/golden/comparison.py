"""Comparing what we did with what a real cluster did (tests/golden/README.md has the rules)."""

from dataclasses import replace

from tests.golden.records import Event, Step, Timed, first_start, recorded

LATE_SECONDS = 3.0
EARLY_SECONDS_A_WAIT = 16.0
KILLED_BY_A_PROBE = ("liveness-ladder", "liveness-never-policy")
DELETED_AT = {"graceful-delete": 15.0, "prestop-delete": 15.0, "ungraceful-delete": 15.0}
DEFECTS_OF_1_19 = ("ungraceful-delete", "startup-fails")
"""Pending while being deleted; a failed startup probe noticed only when the Pod is looked at anyway."""


def check_states(name: str, ours: list[Timed], our_events: list[Event], seconds: float) -> None:
    """`ours` was watched for `seconds`."""
    golden, golden_events = recorded(name)
    start, began = first_start(golden_events), first_start(our_events)
    killed = name in KILLED_BY_A_PROBE
    if name in DELETED_AT:
        golden = [ended_today(timed) for timed in golden]
    golden = [timed for timed in golden if timed.at - start <= seconds - EARLY_SECONDS_A_WAIT]
    if killed:
        golden, ours = before_second_wait(golden), before_second_wait(ours)
    end = golden[-1].at - start + LATE_SECONDS
    ours = [timed for timed in ours if timed.at - began <= end + EARLY_SECONDS_A_WAIT]
    waits, cycles = 0, 1
    for wanted, seen in match(golden, ours):
        if wanted.at < start:
            continue
        late = (seen.at - began) - (wanted.at - start)
        if any("CrashLoopBackOff" in state for _, state, _, _ in wanted.step.containers):
            waits += 1
        if killed:
            cycles = 1 + max((r for _, _, r, _ in wanted.step.containers), default=0)
        assert late <= LATE_SECONDS * cycles, (wanted, seen)
        assert late >= -EARLY_SECONDS_A_WAIT * (waits + 1) - LATE_SECONDS * cycles, (wanted, seen)


def flickers(step: Step) -> bool:
    """A state that a cluster which looks once a second may not have seen."""
    return any(
        state == "running" or state.startswith("terminated") for _, state, _, _ in step.containers
    )


def match(golden: list[Timed], ours: list[Timed]) -> list[tuple[Timed, Timed]]:
    """Each golden state with ours, in order; what only we saw may only be a flicker."""
    pairs: list[tuple[Timed, Timed]] = []
    position = 0
    for wanted in golden:
        while position < len(ours) and ours[position].step != wanted.step:
            assert flickers(ours[position].step), (
                f"{ours[position]} is not in the record, which has {wanted}"
            )
            position += 1
        assert position < len(ours), f"nothing like {wanted}"
        pairs.append((wanted, ours[position]))
        position += 1
    return pairs


def ended_today(timed: Timed) -> Timed:
    """Since 1.27 a Pod whose containers have ended while it is deleted has a phase that says so."""
    step = timed.step
    ended = [state for _, state, _, _ in step.containers if state.startswith("terminated")]
    if not step.deleting or len(ended) < len(step.containers):
        return timed
    phase = "Succeeded" if all("(0)" in state for state in ended) else "Failed"
    return Timed(timed.at, replace(step, phase=phase))


def before_second_wait(steps: list[Timed]) -> list[Timed]:
    """Up to the first restart after the first CrashLoopBackOff: from there a late poll can tip the ladder."""
    seen_wait = False
    for index, timed in enumerate(steps):
        waits = any("CrashLoopBackOff" in state for _, state, _, _ in timed.step.containers)
        if seen_wait and not waits:
            return steps[: index + 1]
        seen_wait = seen_wait or waits
    return steps


def today(event: Event) -> tuple[str, str, str]:
    """Where 1.19 spoke otherwise, today's words; names and UIDs of the record taken out."""
    message = event.message
    if event.reason in ("Created", "Started"):
        message = f"Container {event.reason.lower()}"
    elif event.reason in ("BackOff", "FailedPostStartHook", "Scheduled"):
        message = ""
    return event.type, event.reason, message
