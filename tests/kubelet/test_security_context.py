"""The Pod's wishes and the container's own, made one; and what runAsNonRoot forbids."""

from typing import Any

import pytest
from tests.kubelet.pod_support import ROOT_IMAGE, first, made_pod

from podward.kubelet.runtime.base import (
    ImageStatus,
    SecurityContext,
    SecurityProfile,
    SeLinuxOptions,
)
from podward.kubelet.security_context import (
    NonRootError,
    container_security,
    image_user,
    sandbox_security,
    verify_non_root,
)


def effective(
    own: dict[str, Any], image: ImageStatus = ROOT_IMAGE, **of_pod: Any
) -> SecurityContext:
    pod = made_pod({"securityContext": own}, securityContext=of_pod)
    return container_security(pod, first(pod), image, "/var/lib/podward/seccomp")


@pytest.mark.parametrize(
    ("own", "of_pod", "expected"),
    [
        ({}, {}, {}),
        ({}, {"runAsUser": 7, "runAsGroup": 8}, {"run_as_user": 7, "run_as_group": 8}),
        ({"runAsUser": 0}, {"runAsUser": 7}, {"run_as_user": 0}),
        ({"runAsGroup": 0}, {"runAsGroup": 7}, {"run_as_group": 0}),
        (
            {},
            {"fsGroup": 5, "supplementalGroups": [6, 5, 7]},
            {"supplemental_groups": (5, 6, 7)},
        ),
        ({}, {"supplementalGroupsPolicy": "Strict"}, {"strict_groups": True}),
        ({}, {"supplementalGroupsPolicy": "Merge"}, {}),
        ({"privileged": True}, {}, {"privileged": True}),
        ({"readOnlyRootFilesystem": True}, {}, {"read_only_root": True}),
        ({"allowPrivilegeEscalation": False}, {}, {"no_new_privileges": True}),
        ({"allowPrivilegeEscalation": True}, {}, {}),
        (
            {"capabilities": {"add": ["NET_ADMIN"], "drop": ["ALL"]}},
            {},
            {"add_capabilities": ("NET_ADMIN",), "drop_capabilities": ("ALL",)},
        ),
        ({"procMount": "Unmasked"}, {}, {"unmasked_proc": True}),
        (
            {},
            {"seccompProfile": {"type": "RuntimeDefault"}},
            {"seccomp": SecurityProfile("RuntimeDefault")},
        ),
        (
            {"seccompProfile": {"type": "Localhost", "localhostProfile": "p/audit.json"}},
            {"seccompProfile": {"type": "RuntimeDefault"}},
            {"seccomp": SecurityProfile("Localhost", "/var/lib/podward/seccomp/p/audit.json")},
        ),
        (
            {"appArmorProfile": {"type": "Localhost", "localhostProfile": "k8s-deny"}},
            {"appArmorProfile": {"type": "Unconfined"}},
            {"apparmor": SecurityProfile("Localhost", "k8s-deny")},
        ),
        (
            {"seLinuxOptions": {"level": "s0:c1"}},
            {"seLinuxOptions": {"user": "u"}},
            {"selinux": SeLinuxOptions(level="s0:c1")},
        ),
    ],
)
def test_the_containers_word_goes_before_its_pods(
    own: dict[str, Any], of_pod: dict[str, Any], expected: dict[str, Any]
) -> None:
    assert effective(own, **of_pod) == SecurityContext(**{"run_as_user": 0, **expected})


@pytest.mark.parametrize(
    ("user", "number", "name"),
    [
        ("", 0, ""),
        ("0", 0, ""),
        ("1001", 1001, ""),
        ("1001:5", 1001, ""),
        ("web", None, "web"),
        ("web:web", None, "web"),
    ],
)
def test_whom_an_image_names(user: str, number: int | None, name: str) -> None:
    image = ImageStatus("i", "sha256:1", user=user)
    assert image_user(image) == (number, name)
    made = effective({"runAsGroup": 3}, image)
    assert (made.run_as_user, made.run_as_user_name, made.run_as_group) == (number, name, 3)


WHERE = '(pod: "web_default(1-2-3)", container: a)'


@pytest.mark.parametrize(
    ("own", "of_pod", "user", "expected"),
    [
        ({}, {}, "", None),
        ({"runAsNonRoot": False}, {"runAsNonRoot": True}, "", None),
        ({"runAsNonRoot": True}, {}, "1001", None),
        ({"runAsUser": 5}, {"runAsNonRoot": True}, "", None),
        ({}, {"runAsNonRoot": True, "runAsUser": 5}, "web", None),
        (
            {},
            {"runAsNonRoot": True},
            "",
            f"container has runAsNonRoot and image will run as root {WHERE}",
        ),
        (
            {"runAsNonRoot": True},
            {"runAsUser": 0},
            "1001",
            f"container's runAsUser breaks non-root policy {WHERE}",
        ),
        (
            {"runAsNonRoot": True},
            {},
            "web",
            "container has runAsNonRoot and image has non-numeric user (web), cannot verify user is "
            f"non-root {WHERE}",
        ),
    ],
)
def test_run_as_non_root(
    own: dict[str, Any], of_pod: dict[str, Any], user: str, expected: str | None
) -> None:
    pod = made_pod({"securityContext": own}, securityContext=of_pod)
    image = ImageStatus("i", "sha256:1", user=user)
    if expected is None:
        verify_non_root(pod, first(pod), image)
        return
    with pytest.raises(NonRootError) as error:
        verify_non_root(pod, first(pod), image)
    assert str(error.value) == expected


def test_the_sandbox_has_the_pods_user_and_the_engines_seccomp() -> None:
    pod = made_pod(
        {"securityContext": {"runAsUser": 9}},
        {"securityContext": {"privileged": True}},
        securityContext={"runAsUser": 7, "fsGroup": 4, "seccompProfile": {"type": "Unconfined"}},
    )
    assert sandbox_security(pod) == SecurityContext(
        run_as_user=7,
        supplemental_groups=(4,),
        privileged=True,
        seccomp=SecurityProfile("RuntimeDefault"),
    )
