"""Pods as the kubelet gets them: decoded, completed, with a UID."""

from typing import Any

from lightkube.models import core_v1

from podward.api import codec
from podward.api.defaults import set_defaults
from podward.api.scheme import SCHEME
from podward.kubelet.runtime.base import ImageStatus

ROOT_IMAGE = ImageStatus("docker.io/library/busybox:latest", "sha256:1")


def made_pod(*containers: dict[str, Any], name: str = "web", **spec: Any) -> core_v1.Pod:
    """Containers get an image, and names a, b, c ... where they have none."""
    named = [
        {"name": chr(97 + i), "image": "busybox", **c} for i, c in enumerate(containers or [{}])
    ]
    document = {
        "metadata": {"name": name, "namespace": "default", "uid": "1-2-3"},
        "spec": {"containers": named, **spec},
    }
    found, _ = codec.decode_builtins(document, SCHEME.of_type(core_v1.Pod), "Strict")
    made = set_defaults(found)
    assert isinstance(made, core_v1.Pod)
    return made


def first(pod: core_v1.Pod) -> core_v1.Container:
    assert pod.spec is not None
    return pod.spec.containers[0]
