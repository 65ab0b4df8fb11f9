"""What a Pod may ask for, on real processes: environment, volumes, gRPC probes, restarts, deadlines, logs."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.support import Podward, eventually

PODS = (
    (Path(__file__).parent / "pods.yaml")
    .read_text()
    .replace("PYTHON", sys.executable)
    .replace("VENV", sys.prefix)
)


@pytest.fixture(scope="module")
def pods(podward: Podward) -> Iterator[Podward]:
    podward.cli("apply", "-f", "-", "-n", "default", input=PODS)
    yield podward
    podward.cli("delete", "-f", "-", input=PODS, check=False)


def status(podward: Podward, name: str) -> Any:
    import json

    return json.loads(podward.cli("get", "pod", name, "-o", "json"))["status"]


def test_environment_volumes_and_init_containers(pods: Podward) -> None:
    eventually(lambda: status(pods, "world").get("phase") == "Succeeded", what="world succeeds")
    assert pods.cli("logs", "world").splitlines() == [
        "plain=a $(COLOUR) one expanded=blue $(COLOUR) $(NONE) word=hush pod=world label=world "
        "node=node-1 millis=500 p=blue",
        "arg=world",
        "order=first second ",
        "file=from a config map",
        'secret=hush labels=app="world"',
        "one=from a config map missing=0",
        "read-only",
    ]


def test_grpc_probes_judge_each_service_by_itself(pods: Podward) -> None:
    def ready() -> dict[str, bool]:
        statuses = status(pods, "grpc").get("containerStatuses") or ()
        return {one["name"]: one["ready"] for one in statuses}

    eventually(lambda: ready() == {"well": True, "ill": False}, what="only one is ready")
    said = 'Readiness probe failed: service unhealthy (responded with "NOT_SERVING")'
    selector = ("--field-selector", "involvedObject.name=grpc")
    # It is not ready before it was ever asked, too.
    eventually(lambda: said in pods.cli("get", "events", *selector), what="the event that says why")


def test_a_deadline_ends_the_pod(pods: Podward) -> None:
    eventually(lambda: status(pods, "deadline").get("phase") == "Failed", what="deadline exceeded")
    ended = status(pods, "deadline")
    assert ended["reason"] == "DeadlineExceeded"
    assert ended["message"] == "Pod was active on the node longer than the specified deadline"


def test_on_failure_restarts_until_it_succeeds(pods: Podward) -> None:
    eventually(
        lambda: status(pods, "second-try").get("phase") == "Succeeded", timeout=30, what="succeeds"
    )
    (container,) = status(pods, "second-try")["containerStatuses"]
    assert container["restartCount"] == 1
    last = container["lastState"]["terminated"]
    assert (last["exitCode"], last["reason"], last["message"]) == (4, "Error", "why\n")
    assert pods.cli("logs", "second-try", "--previous") == "try\n"


def test_an_image_that_nobody_imported_needs_a_command(pods: Podward) -> None:
    def waiting() -> Any:
        statuses = status(pods, "nothing").get("containerStatuses") or [{}]
        return statuses[0].get("state", {}).get("waiting", {})

    eventually(lambda: waiting().get("reason") == "CreateContainerError", what="an error")
    assert "podward image import" in waiting()["message"]


def test_what_is_not_configured_is_waited_for(pods: Podward) -> None:
    def reason() -> str:
        statuses = status(pods, "no-settings").get("containerStatuses") or [{}]
        return str(statuses[0].get("state", {}).get("waiting", {}).get("reason"))

    eventually(lambda: reason() == "CreateContainerConfigError", what="a config error")


def test_logs_by_age_number_and_with_times(pods: Podward) -> None:
    manifest = """
apiVersion: v1
kind: Pod
metadata: {name: talks}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - name: main
    image: host
    command: [sh, -c, "for i in 1 2 3; do echo line $i; done; sleep 3; echo late; sleep 600"]
"""
    pods.cli("apply", "-f", "-", input=manifest)
    eventually(lambda: "late" in pods.cli("logs", "talks", check=False), what="the late line")
    assert pods.cli("logs", "talks", "--tail", "2") == "line 3\nlate\n"
    assert pods.cli("logs", "talks", "--since", "2s") == "late\n"
    stamped = pods.cli("logs", "talks", "--timestamps", "--tail", "1")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z late\n", stamped)
    pods.cli("delete", "pod", "talks")
