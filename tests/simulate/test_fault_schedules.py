"""`podward simulate --faults`: what the file may say, how its mistakes are told, what each fault does."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from podward.simulate.faults.schedule import (
    DeletePod,
    Disturb,
    JumpClock,
    KillContainer,
    KillPodward,
    LoseSandbox,
    load,
    read,
)
from podward.simulate.faults.trouble import Rates
from podward.simulate.reading import DescriptionError
from podward.simulate.simulation import Recording, simulate
from podward.simulate.trace import state


def test_a_schedule_is_read(tmp_path: Path) -> None:
    file = tmp_path / "faults.yaml"
    file.write_text(
        "faults:\n"
        "- {at: 60s, kill: podward, for: 20s}\n"
        "- {at: 1m, steps: 17, kill: podward}\n"
        "- {at: 90, kill: web/app}\n"
        "- {at: 2m, oom: web/app}\n"
        "- {at: 3m, lose_sandbox: web}\n"
        "- {at: 4m, delete: web}\n"
        "- {at: 4m, delete: web, grace: 0s}\n"
        "- {at: 100s, clock: +1h}\n"
        "- {at: 100s, clock: -90s}\n"
        "- {from: 2m, to: 3m, api: unavailable}\n"
        "- {from: 2m, to: 3m, runtime: {errors: 10%, lost: 5, slow: 20%, up_to: 2s}}\n"
    )
    assert load([file]) == [
        KillPodward(60, 20),
        KillPodward(60, 1, steps=17),
        KillContainer(90, "web", "app"),
        KillContainer(120, "web", "app", out_of_memory=True),
        LoseSandbox(180, "web"),
        DeletePod(240, "web", None),
        DeletePod(240, "web", 0),
        JumpClock(100, 3600),
        JumpClock(100, -90),
        Disturb(120, 180, "api", Rates(unavailable=True)),
        Disturb(120, 180, "runtime", Rates(errors=10, lost=5, slow=20, up_to=2)),
    ]


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("{kill: podward}", "faults[0]: 'at' is missing"),
        ("{at: soon, kill: podward}", "faults[0].at: 'soon' is no duration"),
        ("{at: 1s, kill: web}", "faults[0].kill: 'web' is no POD/CONTAINER"),
        ("{at: 1s, kill: web/app, for: 1s}", "faults[0]: unknown field 'for'; known: at, kill"),
        ("{at: 1s, steps: -1, kill: podward}", "faults[0].steps: -1 is no number of steps"),
        ("{at: 1s, clock: 1h}", "faults[0].clock: '1h' is no jump"),
        ("{at: 1s, delete: web/app}", "faults[0].delete: 'web/app' is no name of a Pod"),
        ("{at: 1s, api: unavailable}", "faults[0]: unknown field 'at'; known: from, to, api"),
        ("{from: 2s, to: 1s, api: unavailable}", "faults[0].to: must come after `from`"),
        ("{from: 1s, to: 2s, api: gone}", "faults[0].api: expected `unavailable` or"),
        ("{from: 1s, to: 2s, store: {errors: 200%}}", "faults[0].store.errors: '200%' is no share"),
        ("{from: 1s, to: 2s, store: {error: 2%}}", "faults[0].store: unknown field 'error'"),
        ("{at: 1s, kill: podward, oom: web/app}", "expected one of kill, oom"),
        ("{at: 1s, explode: web}", "expected one of kill, oom"),
        ("podward", "faults[0]: expected an object"),
    ],
)
def test_a_mistake_is_told_with_its_place(fault: str, said: str) -> None:
    with pytest.raises(DescriptionError) as raised:
        read(yaml.safe_load(f"faults:\n- {fault}\n"), "f.yaml")
    assert str(raised.value).startswith("f.yaml: faults[0]")
    assert said in str(raised.value)


@pytest.mark.parametrize("document", [{}, {"fault": []}, {"faults": {}}, [], None])
def test_a_file_that_is_no_schedule_is_refused(document: Any) -> None:
    with pytest.raises(DescriptionError, match="faults"):
        read(document, "f.yaml")


def pod(script: str, **more: Any) -> dict[str, Any]:
    container = {"name": "app", "image": "busybox", "command": ["sh", "-c", script], **more}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "web"},
        "spec": {"containers": [container], "terminationGracePeriodSeconds": 3},
    }


SERVER = "trap 'exit 0' TERM; while true; do sleep 1; done"
SICK_LATER = {
    "livenessProbe": {
        "exec": {"command": ["cat", "/tmp/ok"]}, "periodSeconds": 5, "failureThreshold": 1,
    }
}  # fmt: skip


def run(manifest: dict[str, Any], seconds: float, *faults: str, seed: int = 0) -> Recording:
    schedule = read({"faults": [yaml.safe_load(fault) for fault in faults]}, "faults")
    return simulate([manifest], seconds, seed=seed, faults=schedule)


def told(recording: Recording) -> list[str]:
    return [f"{c.at:.1f} {c.type} {state(c.pod)}" for c in recording.changes]


def test_podward_dies_its_container_lives_and_is_judged_again() -> None:
    script = "touch /tmp/ok; sleep 20; rm /tmp/ok; sleep 1000"
    recording = run(pod(script, **SICK_LATER), 60, "{at: 10s, kill: podward, for: 25s}")
    quiet = [change.at for change in recording.changes if 10.5 < change.at < 35]
    assert quiet == []
    last = recording.changes[-1].pod.status
    assert last is not None
    assert last.containerStatuses is not None
    assert last.containerStatuses[0].restartCount == 1
    assert recording.remarks == []


def test_a_killed_container_and_one_out_of_memory_are_told_apart() -> None:
    lines = told(run(pod(SERVER), 60, "{at: 10s, kill: web/app}", "{at: 20s, oom: web/app}"))
    assert any("10.0 MODIFIED" in line and "terminated:Error(137)" in line for line in lines)
    assert any("20.0 MODIFIED" in line and "terminated:OOMKilled(137)" in line for line in lines)


def test_a_lost_sandbox_is_made_anew() -> None:
    recording = run(pod(SERVER), 30, "{at: 10s, lose_sandbox: web}")
    reasons = [event.reason for event in recording.events.values()]
    assert "SandboxChanged" in reasons
    assert "restarts=1" in told(recording)[-1]


def test_a_deletion_is_done_while_podward_is_dead_and_heeded_when_it_is_back() -> None:
    recording = run(pod(SERVER), 60, "{at: 10s, kill: podward, for: 20s}", "{at: 15s, delete: web}")
    assert next(line.split()[0] for line in told(recording) if "deleting" in line) == "15.0"
    assert recording.changes[-1].type == "DELETED"
    assert recording.changes[-1].at > 30


def test_the_wall_clock_jumps_and_waiting_does_not() -> None:
    recording = run(pod("sleep 20; exit 1"), 30, "{at: 10s, clock: +1h}")
    at, status = next((c.at, c.pod.status) for c in recording.changes if "Error(1)" in state(c.pod))
    assert status is not None
    assert status.containerStatuses is not None
    ended = status.containerStatuses[0].state
    assert ended is not None
    assert ended.terminated is not None
    finished = ended.terminated.finishedAt
    assert finished is not None
    assert at == pytest.approx(20.5, abs=0.2)
    assert (finished - recording.began).total_seconds() == pytest.approx(3620, abs=1)
    assert recording.seconds_of(finished) == pytest.approx(20, abs=1)
    assert recording.moment_of(recording.seconds_of(finished)) == finished


def test_an_absent_api_delays_what_is_told_and_loses_nothing() -> None:
    lines = told(run(pod("sleep 12; exit 1"), 90, "{from: 10s, to: 40s, api: unavailable}"))
    during = [line for line in lines if 10 < float(line.split()[0]) < 40]
    assert during == []
    assert any("terminated:Error(1)" in line for line in lines)


def test_a_fault_that_meets_nothing_is_named() -> None:
    recording = run(
        pod(SERVER), 20, "{at: 5s, kill: web/other}", "{at: 6s, oom: x/app}", "{at: 7s, delete: x}",
        "{at: 8s, lose_sandbox: x}", "{at: 9s, kill: podward, for: 3s}", "{at: 10s, kill: podward}",
    )  # fmt: skip
    assert [remark.split(":")[0] for remark in recording.remarks] == [
        "kill web/other at 5s", "oom x/app at 6s", "delete x at 7s", "lose_sandbox x at 8s",
        "kill podward at 10s",
    ]  # fmt: skip


def test_the_same_seed_gives_the_same_trouble_and_another_gives_other() -> None:
    def lines(seed: int) -> list[str]:
        faults = "{from: 0s, to: 60s, runtime: {errors: 30%, lost: 10%, slow: 30%}}"
        return told(run(pod("sleep 3; exit 1"), 60, faults, seed=seed))

    assert lines(7) == lines(7)
    assert lines(7) != lines(8)


def test_a_user_gives_the_file_to_simulate(tmp_path: Path) -> None:
    manifest, faults = tmp_path / "pod.yaml", tmp_path / "faults.yaml"
    manifest.write_text(yaml.safe_dump(pod(SERVER)))
    faults.write_text("faults:\n- {at: 10s, oom: web/app}\n- {at: 15s, oom: web/other}\n")

    def podward(*more: str) -> "subprocess.CompletedProcess[str]":
        words = ["simulate", str(manifest), "--for", "30s", "-o", "trace", *more]
        return subprocess.run(
            [sys.executable, "-m", "podward", *words], capture_output=True, text=True, timeout=60
        )

    done = podward("--faults", str(faults))
    assert done.returncode == 0, done.stderr
    assert "last=OOMKilled(137)" in done.stdout
    assert "oom web/other at 15s: it did not run" in done.stderr
    faults.write_text("faults:\n- {at: 10s, oom: web}\n")
    refused = podward("--faults", str(faults))
    assert refused.returncode == 1
    assert refused.stderr.endswith("faults.yaml: faults[0].oom: 'web' is no POD/CONTAINER\n")
