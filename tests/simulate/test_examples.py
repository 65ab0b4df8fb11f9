"""Every example in virtual time: what its README says, and the picture that stands in it."""

import re
from itertools import pairwise
from pathlib import Path

import pytest
from lightkube.models import core_v1

from podward.api.yaml_loader import load_all
from podward.apiserver.printers.pod import summarize
from podward.simulate.faults.schedule import load
from podward.simulate.picture import svg
from podward.simulate.simulation import Recording, simulate

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
SECONDS = {
    "01-liveness": 1800,
    "05-init": 30,
    "06-sidecar": 30,
    "07-graceful-shutdown": 30,
    "08-crash-loop": 900,
    "10-health-preset": 120,
}


def run(name: str) -> Recording:
    """The example's Pod, its preset, and what happens to it, if the example has them."""
    files = list((EXAMPLES / name).glob("preset*.yaml"))
    files += (EXAMPLES / name).glob("pod*.yaml")
    documents = [document for path in files for document in load_all(path.read_bytes())]
    faults = load([path]) if (path := EXAMPLES / name / "faults.yaml").exists() else []
    return simulate(documents, SECONDS.get(name, 60), faults=faults)


def words(recording: Recording) -> list[str]:
    """STATUS as kubectl shows it, each new one once."""
    out: list[str] = []
    for change in recording.changes:
        if change.type != "DELETED":
            status = summarize(change.pod, recording.began).reason
            if out[-1:] != [status]:
                out.append(status)
    return out


def restarts(recording: Recording) -> int:
    statuses = recording.changes[-1].pod.status
    return sum(c.restartCount for c in (statuses and statuses.containerStatuses) or ())


def test_a_slow_start_gets_its_time() -> None:
    recording = run("03-startup")
    assert restarts(recording) == 0
    ready = [c.at for c in recording.changes if "1/1" in _ready(c.pod, recording)]
    assert 12 <= ready[0] <= 16


def _ready(pod: core_v1.Pod, recording: Recording) -> str:
    summary = summarize(pod, recording.began)
    return f"{summary.ready}/{summary.total}"


def test_a_busy_container_is_taken_out_and_put_back_and_never_restarted() -> None:
    recording = run("04-readiness")
    seen = [_ready(c.pod, recording) for c in recording.changes]
    folded = [s for i, s in enumerate(seen) if i == 0 or s != seen[i - 1]]
    assert folded[:5] == ["0/1", "1/1", "0/1", "1/1", "0/1"]
    assert restarts(recording) == 0


def test_init_containers_come_first_and_are_tried_again() -> None:
    assert words(run("05-init")) == [
        "Pending", "Init:0/2", "Init:1/2", "Init:Error", "Init:1/2", "PodInitializing", "Running",
    ]  # fmt: skip


def test_a_sidecar_starts_first_and_ends_last() -> None:
    recording = run("06-sidecar")
    assert words(recording)[-1] == "Completed"
    last = recording.changes[-1].pod.status
    assert last is not None
    assert last.phase == "Succeeded"


def test_a_polite_container_is_gone_before_its_grace() -> None:
    gone = next(c.at for c in run("07-graceful-shutdown").changes if c.type == "DELETED")
    assert 15 <= gone <= 17  # deleted at 10 s, with 15 s of grace


def test_the_waits_of_a_crash_loop_double() -> None:
    recording = run("08-crash-loop")
    starts, count = [0.0], 0
    for change in recording.changes:
        if restarts_of(change.pod) > count:
            count = restarts_of(change.pod)
            starts.append(change.at)
    gaps = [round(b - a) for a, b in pairwise(starts[1:])]
    assert gaps[:6] == [11, 21, 41, 81, 161, 301]


def test_a_preset_gives_the_notes_container_the_probe_that_heals_it() -> None:
    recording = run("10-health-preset")
    starts, count = [], 0
    for change in recording.changes:
        if restarts_of(change.pod) > count:
            count = restarts_of(change.pod)
            starts.append(round(change.at))
    assert starts == [14, 28, 42, 76]


def test_a_cluster_preset_brings_a_sidecar_and_time_to_end() -> None:
    recording = run("11-cluster-preset")
    last = recording.changes[-1].pod
    assert last.spec is not None
    assert last.spec.terminationGracePeriodSeconds == 60
    assert _ready(last, recording) == "2/2"


def test_of_two_presets_in_conflict_one_gives_nothing_and_one_what_it_can() -> None:
    recording = run("12-preset-conflict")
    variables = {}
    for change in recording.changes:
        assert change.pod.metadata is not None
        assert change.pod.spec is not None
        env = change.pod.spec.containers[0].env or []
        variables[change.pod.metadata.name] = {v.name: v.value for v in env}
    assert variables == {
        "chatty": {"LOG_LEVEL": "debug"},
        "modern": {"LOG_LEVEL": "debug", "LOG_FORMAT": "json"},
    }


def restarts_of(pod: core_v1.Pod) -> int:
    return sum(c.restartCount for c in (pod.status and pod.status.containerStatuses) or ())


PICTURES = sorted(path.parent.name for path in EXAMPLES.glob("*/timeline.svg"))


@pytest.mark.parametrize("name", PICTURES)
def test_the_picture_in_the_example_is_the_one_that_is_drawn(name: str) -> None:
    """`scripts/pictures` draws them anew."""
    assert svg(run(name)) == (EXAMPLES / name / "timeline.svg").read_text()


NOTES_TABLE = {
    35: 13,
    39: 14,
    40: 15,
    42: 15,
    47: 16,
    48: 17,
    49: 17,
    54: 18,
    56: 19,
    57: 19,
    62: 20,
    63: 21,
    64: 21,
}
"""Minutes since creation -> RESTARTS, as the field note's own `kubectl get --watch` shows."""


def test_the_notes_own_table_is_reproduced() -> None:
    documents = list(load_all((EXAMPLES / "01-liveness" / "pod.yaml").read_bytes()))
    recording = simulate(documents, 64 * 60 + 30)
    for minute, noted in NOTES_TABLE.items():
        before = [c for c in recording.changes if c.at <= minute * 60 + 30]
        assert abs(restarts_of(before[-1].pod) - noted) <= 2, minute
    shown = [summarize(c.pod, recording.began).reason for c in recording.changes if c.at > 600]
    pattern = "".join("R" if status == "Running" else "C" for status in shown)
    # A pair of restarts, then a wait, and again.
    assert re.search(r"(?:RRC){5,}", pattern), pattern
