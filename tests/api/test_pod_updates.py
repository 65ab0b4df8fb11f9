"""What of a Pod may still change (spec/health.md 1.2), and what may not."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lightkube.models import core_v1
from tests.api.support import made, pod, update_causes

from podward.api.scheme import SCHEME
from podward.api.validation import validate_status_update

PODS = SCHEME.of_type(core_v1.Pod)
EXEC = {"exec": {"command": ["true"]}}
BEGINS = "Forbidden: pod updates may not change fields other than `spec.containers[*].image`,"
MUTABLE = [
    "`spec.containers[*].image`",
    "`spec.initContainers[*].image`",
    "`spec.activeDeadlineSeconds`",
    "`spec.tolerations` (only additions to existing tolerations)",
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)",
]
SICK = {"key": "sick", "operator": "Exists", "effect": "NoExecute"}
TIRED = {"key": "tired", "operator": "Exists"}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (pod({"image": "a"}), pod({"image": "b"})),
        (
            pod(initContainers=[{"name": "i", "image": "a"}]),
            pod(initContainers=[{"name": "i", "image": "b"}]),
        ),
        (pod(), pod(activeDeadlineSeconds=5)),
        (pod(activeDeadlineSeconds=5), pod(activeDeadlineSeconds=5)),
        (pod(activeDeadlineSeconds=5), pod(activeDeadlineSeconds=1)),
        (pod(), pod(tolerations=[SICK])),
        (pod(tolerations=[SICK]), pod(tolerations=[TIRED, SICK])),
        (pod(terminationGracePeriodSeconds=-1), pod(terminationGracePeriodSeconds=1)),
    ],
    ids=[
        "an image", "an init container's image", "a deadline is set", "it stays", "it comes nearer",
        "a first toleration", "one more toleration", "a negative grace becomes one",
    ],
)  # fmt: skip
def test_this_may_change(old: core_v1.Pod, new: core_v1.Pod) -> None:
    assert update_causes(new, old) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (pod({"livenessProbe": EXEC}), pod({"livenessProbe": EXEC | {"periodSeconds": 5}})),
        (pod({"readinessProbe": EXEC}), pod()),
        (pod(), pod({"startupProbe": EXEC})),
        (pod({"command": ["a"]}), pod({"command": ["b"]})),
        (pod({"env": [{"name": "A"}]}), pod({"env": [{"name": "B"}]})),
        (pod({"name": "a"}), pod({"name": "b"})),
        (pod({"imagePullPolicy": "Never"}), pod({"imagePullPolicy": "Always"})),
        (pod(restartPolicy="Always"), pod(restartPolicy="Never")),
        (pod(nodeName="a"), pod(nodeName="b")),
        (pod(), pod(volumes=[{"name": "v"}])),
        (pod(), pod(terminationGracePeriodSeconds=5)),
        (pod(terminationGracePeriodSeconds=-1), pod(terminationGracePeriodSeconds=2)),
        (pod(), pod({"image": "other", "command": ["and this"]})),
    ],
    ids=[
        "a probe's period", "a probe is taken away", "a probe is added", "a command", "a variable",
        "a container's name", "a pull policy", "the restart policy", "the node", "a volume",
        "the grace", "a negative grace becomes two", "a command with its image",
    ],
)  # fmt: skip
def test_anything_else_may_not_change(old: core_v1.Pod, new: core_v1.Pod) -> None:
    [(path, message)] = update_causes(new, old)
    assert path == "spec"
    assert message.startswith(BEGINS)


@pytest.mark.parametrize("field", MUTABLE)
def test_a_refusal_lists_what_may_change(field: str) -> None:
    [(_, message)] = update_causes(pod(restartPolicy="Never"), pod())
    assert field in message


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (5, 6, "Invalid value: 6: must be less than or equal to previous value"),
        (5, 2**31, "must be between"),
        (5, -1, "must be between"),
        (5, None, "must not update from a positive integer to nil value"),
    ],
    ids=["later", "out of range", "negative", "never"],
)
def test_a_deadline_may_not_move_away(old: int, new: int | None, message: str) -> None:
    later = pod(**({} if new is None else {"activeDeadlineSeconds": new}))
    found = update_causes(later, pod(activeDeadlineSeconds=old))
    assert {path for path, _ in found} == {"spec.activeDeadlineSeconds"}
    assert any(message in text for _, text in found)


def test_an_image_may_not_be_taken_away() -> None:
    found = update_causes(pod({"image": ""}), pod())
    assert ("spec.containers[0].image", "Required value") in found


@pytest.mark.parametrize(
    "metadata",
    [{"labels": {"a": "b"}}, {"annotations": {"a": "b"}}, {"finalizers": ["example.com/x"]}],
    ids=["labels", "annotations", "finalizers"],
)
def test_metadata_may_change(metadata: dict[str, Any]) -> None:
    spec = {"containers": [{"name": "c", "image": "i"}]}
    old, new = ({"metadata": m, "spec": spec} for m in ({}, metadata))
    assert update_causes(made(core_v1.Pod, new), made(core_v1.Pod, old)) == []


def test_labels_are_checked_in_an_update() -> None:
    spec = {"containers": [{"name": "c", "image": "i"}]}
    new = made(core_v1.Pod, {"metadata": {"labels": {"a": "-"}}, "spec": spec})
    [(path, message)] = update_causes(new, made(core_v1.Pod, {"spec": spec}))
    assert path == "metadata.labels"
    assert message.startswith(
        'Invalid value: "-": a valid label must be an empty string or consist'
    )


@given(st.integers(1, 2**31 - 1), st.integers(1, 2**31 - 1))
def test_a_deadline_moves_only_nearer(old: int, new: int) -> None:
    found = update_causes(pod(activeDeadlineSeconds=new), pod(activeDeadlineSeconds=old))
    assert (found == []) is (new <= old)


def test_a_status_may_say_anything() -> None:
    old, new = pod(), pod()
    new.status = core_v1.PodStatus(phase="Imagined")
    validate_status_update(new, old, PODS)


def test_a_pod_may_be_left_as_it_is() -> None:
    same = pod({"livenessProbe": EXEC}, volumes=[{"name": "v"}], tolerations=[SICK])
    assert update_causes(same, same) == []
