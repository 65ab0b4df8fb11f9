"""What a real cluster did, done again in virtual time: the same states, reasons, codes, counts and messages."""

import asyncio
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from lightkube.models import core_v1
from tests.golden.records import TRACES, Event, Step, Timed, first_start, recorded, simulated

from podward.api.yaml_loader import load_all
from podward.cluster import Cluster
from podward.simulate.simulation import Recording, simulate

SECONDS = 420.0
NAMES = sorted(path.stem for path in TRACES.glob("*.yaml"))
LATE_SECONDS = 3.0
EARLY_SECONDS_A_WAIT = 16.0
KILLED_BY_A_PROBE = ("liveness-ladder", "liveness-never-policy")
DELETED_AT = {"graceful-delete": 15.0, "prestop-delete": 15.0, "ungraceful-delete": 15.0}


def delete_after(seconds: float) -> Callable[[Cluster], Any]:
    async def script(cluster: Cluster) -> None:
        await asyncio.sleep(seconds)
        await cluster.client.delete(core_v1.Pod, "p", "default")

    return script


def run(name: str) -> Recording:
    documents = list(load_all((TRACES / f"{name}.yaml").read_bytes()))
    script = delete_after(DELETED_AT[name]) if name in DELETED_AT else None
    return simulate(documents, SECONDS, script=script)


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


DEFECTS_OF_1_19 = ("ungraceful-delete", "startup-fails")
"""Pending while being deleted; a failed startup probe noticed only when the Pod is looked at anyway."""


@pytest.mark.parametrize("name", [name for name in NAMES if name not in DEFECTS_OF_1_19])
def test_the_states_of_a_real_cluster_in_their_order_and_time(name: str) -> None:
    golden, golden_events = recorded(name)
    ours, our_events = simulated(run(name))
    start, began = first_start(golden_events), first_start(our_events)
    killed = name in KILLED_BY_A_PROBE
    if name in DELETED_AT:
        golden = [ended_today(timed) for timed in golden]
    if killed:
        counts = [
            max((r for _, _, r, _ in t.step.containers), default=0)
            for t in (*golden[-1:], *ours[-1:])
        ]
        assert abs(counts[0] - counts[1]) <= 2
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


def today(event: Event) -> tuple[str, str, str]:
    """Where 1.19 spoke otherwise, today's words; names and UIDs of the record taken out."""
    message = event.message
    if event.reason in ("Created", "Started"):
        message = f"Container {event.reason.lower()}"
    elif event.reason in ("BackOff", "FailedPostStartHook", "Scheduled"):
        message = ""
    return event.type, event.reason, message


@pytest.mark.parametrize("name", [name for name in NAMES if name != "startup-fails"])
def test_the_events_of_a_real_cluster(name: str) -> None:
    _, golden = recorded(name)
    _, ours = simulated(run(name))
    ours_of_type = {today(event) for event in ours}
    # A cluster's own troubles with its token volume are not the Pod's.
    wanted = {today(event) for event in golden if event.reason not in ("FailedMount", "FailedSync")}
    assert ours_of_type == wanted


def test_a_startup_probe_kills_at_once_and_climbs_the_ladder() -> None:
    """Where 1.19 took up to 90 s to notice; the record says so, today's kubelet does not."""
    ours, events = simulated(run("startup-fails"))
    began = first_start(events)
    restarts = [t.at - began for t in ours for c in t.step.containers if c[1] == "running" and c[2]]
    # The worker ticks since before the start: failures at 3, 6 and 9 s, two seconds of grace; then the ladder.
    assert restarts[0] == pytest.approx(11.0, abs=1.0)
    assert {today(e)[1] for e in events} >= {"Unhealthy", "Killing", "BackOff"}


def test_the_notes_pod_restarts_in_pairs_over_44_minutes() -> None:
    documents = list(load_all((TRACES.parent / "kubectl" / "seed-liveness.yaml").read_bytes()))
    ours, events = simulated(simulate(documents, 44 * 60.0))
    began = first_start(events)
    restarts: list[float] = []
    for timed in ours:
        ((_, state, count, _),) = timed.step.containers or (("", "", 0, ""),)
        if state == "running" and count == len(restarts) + 1:
            restarts.append(timed.at - began)
    # The ninth follows the eighth at once: its wait was longer than what forgets a run.
    assert restarts[:10] == pytest.approx(
        [75, 150, 225, 300, 375, 530, 765, 1140, 1215, 1590], abs=2.0
    )
    watched = (TRACES / "seed-liveness.watch").read_text().splitlines()
    last = re.search(
        r"\s(\d+)(?: \(|\s)", watched[-1].partition("test-liveness-exec")[2].partition("/")[2]
    )
    assert last is not None
    assert abs(len(restarts) - int(last[1])) <= 2
