"""What a container runs as: words resolved, and what is kept with it."""

import json
from typing import Any

import pytest
from tests.kubelet.pod_support import ROOT_IMAGE, first, made_pod

from podward.kubelet.container_config import container_config
from podward.kubelet.restart_policy import container_hash
from podward.kubelet.runtime.base import ContainerConfig, Mount
from podward.kubelet.security_context import NonRootError


def config(
    container: dict[str, Any], env: dict[str, str] | None = None, *, users: bool = True, **spec: Any
) -> ContainerConfig:
    pod = made_pod(container, **spec)
    return container_config(
        pod,
        first(pod),
        ROOT_IMAGE,
        attempt=2,
        env=env or {},
        mounts=[Mount("/h", "/c")],
        message_file="/pod/message",
        logs="/logs/a",
        memory_capacity=2**30,
        seccomp_root="/seccomp",
        users=users,
    )


def test_words_are_expanded_and_the_images_are_left_to_it() -> None:
    found = config(
        {"command": ["$(A)", "$$(A)"], "args": ["$(NOPE)", "x$(A)y"], "workingDir": "/w"},
        {"A": "1"},
    )
    assert (found.command, found.args) == (["1", "$(A)"], ["$(NOPE)", "x1y"])
    assert (found.working_dir, found.env) == ("/w", {"A": "1"})
    bare = config({})
    assert (bare.command, bare.args, bare.working_dir) == ([], [], "")


def test_where_its_log_and_its_last_words_go() -> None:
    found = config({"terminationMessagePath": "/tmp/last"})
    assert found.log_path == "/logs/a/2.log"
    assert found.mounts == [Mount("/h", "/c"), Mount("/pod/message", "/tmp/last")]


def test_what_is_kept_with_it() -> None:
    container = {
        "ports": [{"containerPort": 80, "name": "web"}],
        "lifecycle": {"preStop": {"exec": {"command": ["true"]}}},
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }
    found = config(container, terminationGracePeriodSeconds=7)
    kept = dict(found.annotations)
    prefix = "io.kubernetes.container."
    assert json.loads(kept.pop(f"{prefix}ports")) == [
        {"containerPort": 80, "name": "web", "protocol": "TCP"}
    ]
    assert json.loads(kept.pop(f"{prefix}preStopHandler")) == {"exec": {"command": ["true"]}}
    assert kept == {
        f"{prefix}hash": container_hash(first(made_pod(container))),
        f"{prefix}restartCount": "2",
        f"{prefix}terminationMessagePath": "/dev/termination-log",
        f"{prefix}terminationMessagePolicy": "FallbackToLogsOnError",
        "io.kubernetes.pod.terminationGracePeriod": "7",
        "podward.dev/termination-message-file": "/pod/message",
    }
    assert found.labels == {
        "io.kubernetes.container.name": "a",
        "io.kubernetes.pod.name": "web",
        "io.kubernetes.pod.namespace": "default",
        "io.kubernetes.pod.uid": "1-2-3",
    }


def test_how_it_is_talked_to_and_stopped() -> None:
    found = config(
        {"stdin": True, "stdinOnce": True, "tty": True, "lifecycle": {"stopSignal": "SIGUSR1"}},
        os={"name": "linux"},
    )
    assert (found.stdin, found.stdin_once, found.tty) == (True, True, True)
    assert found.stop_signal == "SIGUSR1"


def test_who_may_not_be_root_is_not_started_as_root_where_anyone_looks() -> None:
    container = {"securityContext": {"runAsNonRoot": True}}
    with pytest.raises(NonRootError):
        config(container)
    assert config(container, users=False).name == "a"
