"""READY, STATUS and RESTARTS of Pods (spec/health.md 8.2)."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from lightkube.models import core_v1

from podward.apiserver.printers.pod import POD_PRINTER, summarize

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def waiting(reason: str) -> dict[str, Any]:
    return {"state": {"waiting": {"reason": reason}}}


def ended(code: int, reason: str = "", signal: int = 0) -> dict[str, Any]:
    return {"state": {"terminated": {"exitCode": code, "reason": reason or None, "signal": signal}}}


RUNNING: dict[str, Any] = {"ready": True, "state": {"running": {}}}
UNREADY: dict[str, Any] = {"ready": False, "state": {"running": {}}}


def pod(
    *statuses: dict[str, Any], inits: list[dict[str, Any]] | None = None, **status: Any
) -> core_v1.Pod:
    sidecars = [bool(i.get("sidecar")) for i in inits or []]
    document = {
        "metadata": {"name": "web", "creationTimestamp": "2025-12-31T23:24:00Z"},
        "spec": {
            "containers": [{"name": f"c{i}"} for i in range(len(statuses))],
            "initContainers": [
                {"name": f"i{n}", "restartPolicy": "Always" if sidecar else None}
                for n, sidecar in enumerate(sidecars)
            ],
        },
        "status": {
            "containerStatuses": [_status(f"c{i}", s) for i, s in enumerate(statuses)],
            "initContainerStatuses": [_status(f"i{n}", s) for n, s in enumerate(inits or [])],
        }
        | status,
    }
    return msgspec.convert(document, core_v1.Pod)


def _status(name: str, given: dict[str, Any]) -> dict[str, Any]:
    base = {"name": name, "image": "i", "imageID": "", "ready": False, "restartCount": 0}
    return base | {k: v for k, v in given.items() if k != "sidecar"}


@pytest.mark.parametrize(
    ("given", "ready", "reason"),
    [
        (pod({}, phase="Pending"), "0/1", "Pending"),
        (pod(waiting("ContainerCreating"), phase="Pending"), "0/1", "ContainerCreating"),
        (pod(RUNNING, phase="Running"), "1/1", "Running"),
        (pod(UNREADY, phase="Running"), "0/1", "Running"),
        (pod(ended(1, "Error"), phase="Running"), "0/1", "Error"),
        (pod(ended(1), phase="Running"), "0/1", "ExitCode:1"),
        (pod(ended(137, signal=9), phase="Running"), "0/1", "Signal:9"),
        (pod(ended(0, "Completed"), phase="Succeeded"), "0/1", "Completed"),
        (pod(waiting("CrashLoopBackOff"), phase="Running"), "0/1", "CrashLoopBackOff"),
        (pod(waiting("A"), waiting("B"), phase="Pending"), "0/2", "A"),
        (pod(ended(0, "Completed"), RUNNING, phase="Running"), "1/2", "NotReady"),
        (pod(ended(0, "Completed"), ended(2, "Error"), phase="Running"), "0/2", "Error"),
        (pod({}, inits=[{}, {}], phase="Pending"), "0/1", "Init:0/2"),
        (pod({}, inits=[ended(0), {}], phase="Pending"), "0/1", "Init:1/2"),
        (pod({}, inits=[ended(1, "Error")], phase="Pending"), "0/1", "Init:Error"),
        (
            pod({}, inits=[waiting("CrashLoopBackOff")], phase="Pending"),
            "0/1",
            "Init:CrashLoopBackOff",
        ),
        (
            pod(RUNNING, inits=[RUNNING | {"sidecar": True, "started": True}], phase="Running"),
            "2/2",
            "Running",
        ),
        (pod(phase="Failed", reason="Evicted"), "0/0", "Evicted"),
    ],
)
def test_ready_and_status(given: core_v1.Pod, ready: str, reason: str) -> None:
    summary = summarize(given, NOW)
    assert (f"{summary.ready}/{summary.total}", summary.reason) == (ready, reason)


def test_a_pod_that_is_being_deleted_is_terminating_until_it_has_ended() -> None:
    running, done = pod(RUNNING, phase="Running"), pod(ended(0, "Completed"), phase="Succeeded")
    for each, reason in ((running, "Terminating"), (done, "Completed")):
        assert each.metadata
        each.metadata.deletionTimestamp = NOW
        assert summarize(each, NOW).reason == reason


def test_restarts_tell_when_the_last_one_was() -> None:
    last = {"terminated": {"exitCode": 1, "finishedAt": (NOW - timedelta(seconds=80)).isoformat()}}
    given = pod(RUNNING | {"restartCount": 13, "lastState": last}, phase="Running")
    assert POD_PRINTER.cells(given, NOW)[:5] == ["web", "1/1", "Running", "13 (80s ago)", "36m"]
    given = pod(RUNNING | {"restartCount": 2}, phase="Running")
    assert summarize(given, NOW).restarts == "2"
