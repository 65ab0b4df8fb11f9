"""What a probe promises, in numbers; and that the kubelet keeps it, whenever the container falls ill."""

from dataclasses import dataclass
from typing import Any

import pytest

from podward.lint.promises import Promise
from podward.lint.report import report
from podward.machinery.entropy import Entropy
from podward.simulate.lives import Life, stories
from podward.simulate.simulation import simulate

EXEC = {"exec": {"command": ["cat", "/tmp/ok"]}}


def document(container: dict[str, Any], **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "p"},
        "spec": {"terminationGracePeriodSeconds": 2, **spec,
                 "containers": [{"name": "c", "image": "i", **container}]},
    }  # fmt: skip


def promise(**probes: Any) -> Promise:
    (one,) = report(document(probes, terminationGracePeriodSeconds=30)).promises
    return one


def test_the_notes_pod_promises_what_it_keeps() -> None:
    told = promise(livenessProbe={**EXEC, "initialDelaySeconds": 5, "periodSeconds": 5})
    assert told.path == "spec.containers[0].livenessProbe"
    assert (told.earliest, told.latest) == (10, 15)
    assert (told.hang_earliest, told.hang_latest) == (11, 16)
    assert "noticed after 10-15 s" in told.text
    assert "up to 30 s later" in told.text
    assert "15-20 s to start" in told.text


def test_a_startup_probe_is_a_budget_of_which_one_period_is_luck() -> None:
    told = promise(startupProbe={**EXEC, "periodSeconds": 10, "failureThreshold": 30})
    assert told.text == "c has 290-300 s to start, then it is killed"


def test_a_hang_longer_than_the_period_makes_attempts_follow_each_other() -> None:
    told = promise(livenessProbe={**EXEC, "periodSeconds": 5, "timeoutSeconds": 8})
    assert (told.earliest, told.latest) == (10, 15)
    assert (told.hang_earliest, told.hang_latest) == (24, 29)


def test_the_probes_own_grace_comes_before_the_pods() -> None:
    told = promise(livenessProbe={**EXEC, "terminationGracePeriodSeconds": 7})
    assert "up to 7 s later" in told.text


def test_every_probe_of_every_container_promises() -> None:
    spec = document(
        {"startupProbe": EXEC, "readinessProbe": EXEC, "livenessProbe": EXEC},
        initContainers=[
            {"name": "s", "image": "i", "restartPolicy": "Always", "startupProbe": EXEC}
        ],
    )
    assert [p.path for p in report(spec).promises] == [
        "spec.initContainers[0].startupProbe",
        "spec.containers[0].startupProbe",
        "spec.containers[0].readinessProbe",
        "spec.containers[0].livenessProbe",
    ]


# ------------------------------------------------------------------------------- kept, in virtual time


@dataclass(frozen=True, slots=True)
class Illness:
    """The moment that it happens is by the dice; what it does is not."""

    period: int
    threshold: int
    timeout: int
    delay: int
    after: float


def illnesses() -> list[Illness]:
    dice = Entropy(20260101)
    return [
        Illness(
            period=1 + int(dice.uniform(0, 12)),
            threshold=1 + int(dice.uniform(0, 4)),
            timeout=1 + int(dice.uniform(0, 5)),
            delay=int(dice.uniform(0, 20)),
            after=round(dice.uniform(30, 70), 2),
        )
        for _ in range(24)
    ]


SLACK = 0.1
"""What starting a process takes in the simulation."""


@pytest.mark.parametrize("ill", illnesses(), ids=str)
@pytest.mark.parametrize("hangs", [False, True], ids=["fails", "hangs"])
def test_an_illness_is_noticed_between_the_earliest_and_the_latest(
    ill: Illness, hangs: bool
) -> None:
    answer = "test -e /tmp/up" + (" || sleep 600" if hangs else "")
    probe = {
        "exec": {"command": ["sh", "-c", answer]},
        "periodSeconds": ill.period,
        "failureThreshold": ill.threshold,
        "timeoutSeconds": ill.timeout,
        "initialDelaySeconds": ill.delay,
    }
    script = f"touch /tmp/up; sleep {ill.after}; rm /tmp/up; sleep 600"
    pod = document({"command": ["sh", "-c", script], "livenessProbe": probe})
    (told,) = report(pod).promises
    earliest, latest = (
        (told.hang_earliest, told.hang_latest) if hangs else (told.earliest, told.latest)
    )
    first = life_of(pod, ill.after + latest + 10, seed=int(ill.after * 100))
    assert first.cause == "liveness"
    assert first.killed is not None
    noticed = first.killed - (first.began + ill.after)
    assert earliest - SLACK <= noticed <= latest + SLACK


@pytest.mark.parametrize("kind", ["startupProbe", "livenessProbe"])
@pytest.mark.parametrize("seed", range(6))
def test_a_start_is_killed_neither_before_nor_after_it_was_allowed(kind: str, seed: int) -> None:
    dice = Entropy(seed)
    period, threshold = 1 + int(dice.uniform(0, 9)), 1 + int(dice.uniform(0, 5))
    delay = int(dice.uniform(0, 15))
    probe = {
        "exec": {"command": ["false"]},
        "periodSeconds": period,
        "failureThreshold": threshold,
        "initialDelaySeconds": delay,
    }
    most = delay + period * threshold
    pod = document({"command": ["sleep", "600"], kind: probe})
    (told,) = report(pod).promises
    assert f"{most - period}-{most} s to start" in told.text
    first = life_of(pod, most + 20.0, seed=seed)
    assert first.killed is not None
    # The delay is counted in whole seconds from a start that is told in whole seconds (spec/health.md 2.3, 8).
    assert most - period - 1 <= first.killed - first.began <= most + SLACK


def life_of(pod: dict[str, Any], seconds: float, seed: int) -> Life:
    (story,) = stories(simulate([pod], seconds, seed=seed))
    return story.containers[0].lives[0]
