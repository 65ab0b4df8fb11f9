"""What is said of a recording is what happened in it: measured, explained, and no advice where all was well."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from lightkube.models import core_v1

from podward.cluster import Cluster
from podward.simulate.behaviour import load
from podward.simulate.lives import stories
from podward.simulate.simulation import Recording, Script, simulate
from podward.simulate.verdict import ContainerJudgement, PodJudgement, judge, verdict, words
from podward.simulate.wording import between, duration, share
from podward.simulate.world import World

TERM = "trap 'exit 0' TERM; "
FOR_EVER = "while true; do sleep 1; done"
ILL_AFTER_20 = "touch /tmp/up; sleep 20; rm /tmp/up; "


def sh(script: str) -> list[str]:
    return ["sh", "-c", script]


def ask(script: str = "cat /tmp/up", **fields: Any) -> dict[str, Any]:
    return {"exec": {"command": sh(script)}, "periodSeconds": 2, "failureThreshold": 2, **fields}


def recording(
    container: dict[str, Any],
    seconds: float = 300,
    *,
    prepare: Callable[[World], None] | None = None,
    script: Script | None = None,
    **spec: Any,
) -> Recording:
    document = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "p"},
        "spec": {
            "terminationGracePeriodSeconds": 5,
            "containers": [{"name": "app", "image": "i", **container}],
            **spec,
        },
    }
    return simulate([document], seconds, prepare=prepare, script=script)


def judged(*args: Any, **kwargs: Any) -> PodJudgement:
    (judgement,) = judge(recording(*args, **kwargs))
    return judgement


def app(judgement: PodJudgement) -> ContainerJudgement:
    return next(c for c in judgement.containers if c.name == "app")


def advice(judgement: PodJudgement) -> list[str]:
    return [one.id for one in judgement.advice]


def text_of(judgement: PodJudgement, id: str) -> str:
    return next(one.text for one in judgement.advice if one.id == id)


# ------------------------------------------------------------------------------------------- measured


def test_a_restart_is_measured_in_its_parts() -> None:
    judgement = judged({"command": sh(ILL_AFTER_20 + "sleep 99"), "livenessProbe": ask()}, 50)
    measured = app(judgement)
    assert measured.restarts == 1
    assert measured.causes == (("its liveness probe failed", 1),)
    assert measured.noticed is not None
    assert measured.noticed.median == pytest.approx(2, abs=0.1)
    assert measured.ending is not None
    assert measured.ending.median == pytest.approx(5, abs=0.1)
    assert measured.backing_off is not None
    assert measured.backing_off.median == pytest.approx(0, abs=0.1)
    assert measured.away is not None
    assert measured.away.median == pytest.approx(5, abs=0.2)


def test_back_off_is_a_part_of_what_a_restart_takes() -> None:
    judgement = judged({"command": sh("sleep 1; exit 3")}, 40)
    measured = app(judgement)
    assert measured.causes == (("exit code 3", 4),)
    assert measured.backing_off is not None
    assert measured.backing_off.most == pytest.approx(20, abs=0.1)
    assert measured.backed_off == pytest.approx(10 + 20 + (40 - 34.7), abs=0.5)
    assert measured.now.startswith("waits in CrashLoopBackOff (40 s), 3")
    assert advice(judgement) == []


def test_what_the_events_no_longer_tell_is_read_from_the_status() -> None:
    """Events are budgeted; after them a restart by liveness still is one, and the kill has its time."""
    held = recording({"command": sh(ILL_AFTER_20 + "sleep 99"), "livenessProbe": ask()}, 3600)
    (story,) = stories(held)
    ended = [life for life in story.containers[0].lives if life.ended is not None]
    silent = [life for life in ended if life.failed is None]
    assert len(silent) >= 3
    assert {life.cause for life in ended} == {"liveness"}
    assert all(life.killed is not None for life in ended)
    assert [round(life.ended - life.killed) for life in silent if life.ended and life.killed] == [
        5
    ] * len(silent)


def test_who_ends_by_itself_was_not_killed_although_it_has_a_probe() -> None:
    judgement = judged({"command": sh("sleep 3; exit 137"), "livenessProbe": ask("true")}, 400)
    assert app(judgement).causes[0][0] == "exit code 137"
    assert len(app(judgement).causes) == 1
    assert "handle-term" not in advice(judgement)


def test_the_time_out_of_service_is_counted_and_its_longest_is_named() -> None:
    judgement = judged({"command": sh("sleep 1; exit 3")}, 40)
    assert judgement.gaps is not None
    assert judgement.gaps.longest == pytest.approx(20, abs=0.2)
    assert judgement.gaps.longest_began == pytest.approx(13.6, abs=0.2)
    assert judgement.ready == pytest.approx(4, abs=0.3)


def test_readiness_out_of_service_is_no_restart_and_no_mistake() -> None:
    judgement = judged(
        {"command": sh("while true; do touch /tmp/up; sleep 20; rm /tmp/up; sleep 20; done"),
         "readinessProbe": ask()}, 100,
    )  # fmt: skip
    assert app(judgement).unready is not None
    assert "out of service 2 times by its readiness probe" in words(judgement)
    assert advice(judgement) == []


def test_a_start_is_measured_against_its_startup_probe() -> None:
    slow = sh(TERM + "sleep 5; touch /tmp/up; " + FOR_EVER)
    judgement = judged({"command": slow, "startupProbe": ask(failureThreshold=10)}, 60)
    assert "its startupProbe allows 18-20 s" in app(judgement).startup
    assert words(judgement).endswith("Nothing to improve.")


def test_a_pod_that_ends_is_judged_until_its_end_only() -> None:
    judgement = judged({"command": sh("sleep 5")}, restartPolicy="OnFailure")
    assert words(judgement).splitlines()[0] == "p: Succeeded after 5.5 s, 0 restarts."
    assert judgement.gaps is None
    assert words(judgement).endswith("Nothing to improve.")


def test_a_deletion_is_no_outage() -> None:
    async def delete(cluster: Cluster) -> None:
        await asyncio.sleep(10)
        await cluster.client.delete(core_v1.Pod, "p", "default")

    judgement = judged({"command": sh("sleep 99")}, 60, script=delete)
    assert words(judgement).splitlines()[0] == "p: 0 restarts, deleted after 10 s, gone 5 s later."
    assert judgement.gaps is None
    assert "ignores SIGTERM, so each stop costs 5 s more" in text_of(judgement, "handle-term")


# --------------------------------------------------------------------------------------------- advice


def init(script: str, **fields: Any) -> dict[str, Any]:
    return {"name": "first", "image": "i", "command": sh(script), **fields}


CASES: list[tuple[str, dict[str, Any], dict[str, Any], str]] = [
    ("handle-term", {"command": sh(ILL_AFTER_20 + "sleep 99"), "livenessProbe": ask()}, {},
     "app ignores SIGTERM, so each restart costs 5 s more"),
    ("handle-term",
     {"command": sh("trap 'sleep 9; exit 0' TERM; " + ILL_AFTER_20 + FOR_EVER), "livenessProbe": ask()}, {},
     "app needs longer than its grace of 5 s"),
    ("ready-while-ill", {"command": sh(ILL_AFTER_20 + "sleep 99"), "livenessProbe": ask()}, {},
     "counted as ready for 7 s of each failure"),
    ("time-to-start", {"command": sh("sleep 12; touch /tmp/up; sleep 99"), "livenessProbe": ask()}, {},
     "a startupProbe gives it longer than the 4 s that liveness does"),
    ("time-to-start", {"command": sh("sleep 12; touch /tmp/up; sleep 99"), "startupProbe": ask()}, {},
     "raise its failureThreshold, now 2"),
    ("ends-well-and-again", {"command": sh("sleep 5")}, {}, "OnFailure would leave it ended"),
    ("never-again", {"command": sh(ILL_AFTER_20 + "sleep 99"), "livenessProbe": ask()},
     {"restartPolicy": "Never"}, "restartPolicy Never starts nothing again"),
    ("completed-by-its-probe", {"command": sh(TERM + ILL_AFTER_20 + FOR_EVER), "livenessProbe": ask()},
     {"restartPolicy": "OnFailure"}, "under OnFailure that is success"),
    ("probe-without-answer", {"command": sh("sleep 999"), "livenessProbe": {"tcpSocket": {"port": "web"}}},
     {}, 'cannot be asked by its liveness probe (strconv.Atoi: parsing "web": invalid syntax)'),
    ("never-ready", {"command": sh("sleep 999"), "readinessProbe": ask("echo busy; false")}, {},
     'at last "busy"'),
    ("holds-up-the-rest", {"command": sh("sleep 999")}, {"initContainers": [init("exit 3")]},
     "first holds up the rest: nothing after it starts until it ends with exit code 0"),
    ("holds-up-the-rest", {"command": sh("sleep 999")},
     {"initContainers": [init("sleep 999", restartPolicy="Always", startupProbe=ask("false"))]},
     "until it has started"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("id", "container", "spec", "said"), CASES, ids=[f"{c[0]}: {c[3]}" for c in CASES]
)
def test_advice_is_given_for_what_happened(
    id: str, container: dict[str, Any], spec: dict[str, Any], said: str
) -> None:
    assert said in text_of(judged(container, **spec), id)


def test_the_start_that_was_seen_once_is_the_measure_of_a_startup_probe() -> None:
    """By luck liveness comes late to the first start; it kills all that follow a second before they are up."""
    judgement = judged(
        {"command": sh("sleep 14; touch /tmp/up; sleep 20; rm /tmp/up; sleep 999"),
         "readinessProbe": ask(periodSeconds=1), "livenessProbe": ask(periodSeconds=10)},
        200, terminationGracePeriodSeconds=7,
    )  # fmt: skip
    said = text_of(judgement, "time-to-start")
    assert "took 14 s to start when it was not killed first" in said
    assert "periodSeconds 10 and failureThreshold 3 covers that" in said


def test_an_instance_that_is_ill_from_its_start_is_not_said_to_need_time() -> None:
    """It is up at once, as its readiness shows: patience would not help."""
    judgement = judged(
        {"command": sh("sleep 999"), "readinessProbe": ask("true"), "livenessProbe": ask("false")}
    )
    assert "time-to-start" not in advice(judgement)
    assert "handle-term" in advice(judgement)


def test_an_attempt_that_its_containers_end_interrupts_is_no_mistake() -> None:
    judgement = judged(
        {"command": sh("sleep 3; exit 1"), "livenessProbe": ask("sleep 2", timeoutSeconds=5)}
    )
    assert "probe-without-answer" not in advice(judgement)


def test_a_container_that_has_ended_is_why_the_pod_is_not_ready() -> None:
    second = {"name": "second", "image": "i", "command": sh("sleep 999")}
    documents = {
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"},
        "spec": {"restartPolicy": "OnFailure",
                 "containers": [{"name": "app", "image": "i", "command": sh("sleep 5")}, second]},
    }  # fmt: skip
    told = verdict(simulate([documents], 60))
    assert "app: At the end it has ended (Completed), and a Pod is not ready without all" in told


def test_out_of_memory_names_the_limit(tmp_path: Any) -> None:
    file = tmp_path / "is.yaml"
    file.write_text("commands: {leaks: {memory: {grows: 16Mi, every: 1s, limit: 128Mi}}}\n")
    limited = {"command": ["leaks"], "resources": {"limits": {"memory": "128Mi"}}}
    judgement = judged(limited, 60, prepare=load([file]))
    assert app(judgement).causes[0][0] == "OOMKilled"
    assert "reached its memory limit of 128Mi after 8 s" in text_of(judgement, "out-of-memory")


WELL: Sequence[dict[str, Any]] = (
    {"command": sh(TERM + FOR_EVER)},
    {"command": sh("sleep 9999")},
    {
        "command": sh(TERM + "touch /tmp/up; " + FOR_EVER),
        "livenessProbe": ask(),
        "readinessProbe": ask(),
        "startupProbe": ask(),
    },
)


@pytest.mark.parametrize("container", WELL)
def test_where_all_is_well_there_is_no_advice(container: dict[str, Any]) -> None:
    judgement = judged(container)
    assert judgement.advice == ()
    assert words(judgement).endswith("Nothing to improve.")


def test_each_pod_is_told_apart() -> None:
    documents = [
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
         "spec": {"containers": [{"name": "c", "image": "i", "command": sh(script)}]}}
        for name, script in (("good", "sleep 999"), ("bad", "exit 1"))
    ]  # fmt: skip
    told = verdict(simulate(documents, 20))
    bad, _, good = told.partition("good: ")
    assert bad.startswith("bad: ")
    assert "exit code 1" in bad
    assert "Nothing to improve." not in bad
    assert "exit code 1" not in good
    assert good.endswith("Nothing to improve.")


# --------------------------------------------------------------------------------------------- numbers


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (0.5, "0.5 s"), (9.04, "9 s"), (40, "40 s"), (119, "119 s"), (133, "2m13s"), (840, "14m")],
)  # fmt: skip
def test_durations_have_the_precision_that_they_need(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_shares_and_ranges_do_not_exaggerate() -> None:
    assert share(1, 1) == "100%"
    assert share(0.9999, 1) == "99.9%"
    assert share(0.001, 1) == "under 1%"
    assert share(0, 1) == "0%"
    assert between(30, 30.4) == "30 s"
    assert between(30, 330) == "30 s to 5m30s"
