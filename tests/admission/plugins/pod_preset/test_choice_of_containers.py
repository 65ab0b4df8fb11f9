"""Which containers a `match` chooses, and why not the others."""

from typing import Any

import pytest
from tests.admission.plugins.pod_preset.sections.support import pod

from podward.admission.plugins.pod_preset.containers import (
    ContainerRef,
    chosen,
    named_container,
    not_chosen,
)

POD = pod(
    {"name": "app", "image": "registry/shop:1", "ports": [{"containerPort": 80, "name": "http"}]},
    {"name": "app-db", "image": "postgres", "ports": [{"containerPort": 5432},
                                                     {"containerPort": 81, "name": "http"}]},
    initContainers=[
        {"name": "prep", "image": "busybox"},
        {"name": "proxy", "image": "envoy", "restartPolicy": "Always"},
    ],
    ephemeralContainers=[{"name": "debug", "image": "busybox"}],
)  # fmt: skip


@pytest.mark.parametrize(
    ("match", "names"),
    [
        (None, ["app", "app-db", "prep", "proxy"]),
        ({}, ["app", "app-db", "prep", "proxy"]),
        ({"names": [], "ports": None, "images": [], "class": None}, ["app", "app-db", "prep", "proxy"]),
        ({"names": ["app"]}, ["app"]),
        ({"names": ["app*"]}, ["app", "app-db"]),
        ({"names": ["app?db", "pr*"]}, ["app-db", "prep", "proxy"]),
        ({"names": ["APP"]}, []),
        ({"names": ["[a]pp"]}, []),
        ({"class": "app"}, ["app", "app-db"]),
        ({"class": "init"}, ["prep"]),
        ({"class": "sidecar"}, ["proxy"]),
        ({"images": ["*/shop:*"]}, ["app"]),
        ({"images": ["shop:1"]}, []),
        ({"images": ["postgres", "busy*"]}, ["app-db", "prep"]),
        ({"ports": ["http"]}, ["app", "app-db"]),
        ({"ports": [80]}, ["app"]),
        ({"ports": ["80"]}, ["app"]),
        ({"ports": ["http", 5432]}, ["app-db"]),
        ({"names": ["app*"], "class": "app", "ports": [80]}, ["app"]),
        ({"names": ["proxy"], "class": "app"}, []),
    ],
)  # fmt: skip
def test_all_that_is_given_must_hold(match: Any, names: list[str]) -> None:
    assert [ref.name for ref in chosen(match, POD)] == names
    others = {other.container.name for other in not_chosen(match, POD)}
    assert others == {"app", "app-db", "prep", "proxy"} - set(names)


@pytest.mark.parametrize(
    ("match", "container", "reason", "text"),
    [
        ({"ports": ["http"]}, "prep", "noPort", "has no port named http"),
        ({"ports": ["http", 81]}, "app", "noPort", "has no port 81"),
        ({"names": ["x", "y*"]}, "app", "otherName", "has a name that fits none of x, y*"),
        ({"class": "app"}, "proxy", "otherClass", "is a sidecar, not an app container"),
        ({"class": "sidecar"}, "prep", "otherClass", "is an init container, not a sidecar"),
        ({"images": ["x"]}, "app", "otherImage", "has an image that fits none of x"),
        ({"names": ["x"], "class": "init", "ports": [1]}, "app", "otherName",
         "has a name that fits none of x"),
    ],
)  # fmt: skip
def test_the_first_reason_why_not_is_told(
    match: Any, container: str, reason: str, text: str
) -> None:
    told = {other.container.name: (other.reason, other.text) for other in not_chosen(match, POD)}
    assert told[container] == (reason, text)


def test_a_container_is_known_by_its_place() -> None:
    found = list(chosen({"names": ["proxy"]}, POD))
    assert found == [
        ContainerRef("initContainers", 1, "proxy", "sidecar", "/spec/initContainers/1")
    ]
    assert found[0].key == "/spec/initContainers/proxy"
    assert found[0].field == "spec.initContainers[proxy]"
    assert found[0].of(POD)["image"] == "envoy"


@pytest.mark.parametrize("name", ["app", "proxy", "debug"])
def test_names_are_taken_in_every_list(name: str) -> None:
    found = named_container(POD, name)
    assert found is not None
    assert found.name == name
    assert named_container(POD, "free") is None


@pytest.mark.parametrize("spec", [{}, {"spec": None}, {"spec": {"containers": None}}])
def test_a_pod_without_containers_has_none_to_choose(spec: Any) -> None:
    assert list(chosen(None, spec)) == []
