"""Node conformance, objects that need no container: each is made, read, changed, watched and deleted.

The same life for every kind; what is special about one has a test of its own.
"""

import json
import os
from collections.abc import Iterator
from typing import Any

import pytest
from tests.e2e.conformance import Space, sh, spec
from tests.e2e.support import Kubectl, Podward, component_missing, eventually, kubectl_current

from podward.cli.http_client import StatusError

Json = dict[str, Any]
CORE = "/api/v1"
TEMPLATE = {"metadata": {"labels": {"a": "b"}}, "spec": spec(sh("true"))}
KINDS: dict[str, tuple[str, str, Json, Json]] = {
    # plural -> (path of its group, kind, its fields, a change of them)
    "configmaps": (CORE, "ConfigMap", {"data": {"a": "1"}}, {"data": {"a": "2", "b": "3"}}),
    "secrets": (CORE, "Secret", {"data": {"a": "MQ=="}}, {"data": {"a": "Mg==", "b": "Mw=="}}),
    "podtemplates": (CORE, "PodTemplate", {"template": TEMPLATE},
                     {"template": {"metadata": {"labels": {"a": "c"}}}}),
    "serviceaccounts": (CORE, "ServiceAccount", {}, {"automountServiceAccountToken": False}),
    "events": (CORE, "Event", {"involvedObject": {"kind": "Pod", "name": "p", "namespace": "SPACE"},
                               "reason": "Tried", "message": "one", "type": "Normal",
                               "source": {"component": "test"}}, {"message": "two", "count": 2}),
    "leases": ("/apis/coordination.k8s.io/v1", "Lease",
               {"spec": {"holderIdentity": "a", "leaseDurationSeconds": 30,
                         "acquireTime": "2026-01-02T03:04:05.000006Z", "leaseTransitions": 0}},
               {"spec": {"holderIdentity": "b", "leaseDurationSeconds": 20}}),
    "runtimeclasses": ("/apis/node.k8s.io/v1", "RuntimeClass",
                       {"handler": "one", "scheduling": {"nodeSelector": {"a": "b"}}},
                       {"overhead": {"podFixed": {"cpu": "10m"}}}),
}  # fmt: skip


@pytest.fixture(scope="module")
def space(podward: Podward, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Space]:
    binary = kubectl_current()
    if binary is None:
        component_missing("a recent kubectl on the PATH")
        raise AssertionError
    name = f"objects-{os.getpid()}"
    made = Space(Kubectl(binary, podward, tmp_path_factory.mktemp("home")), name)
    made.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    yield made
    made.leave()


def holds(whole: Any, part: Any) -> bool:
    """Whether `whole` says all that `part` says; defaults may stand beside it."""
    if isinstance(part, dict):
        return all(holds(whole.get(key), value) for key, value in part.items())
    if isinstance(part, list):
        return len(whole) == len(part) and all(map(holds, whole, part))
    return bool(whole == part)


@pytest.mark.parametrize("plural", KINDS)
def test_its_whole_life(space: Space, plural: str) -> None:
    group, kind, fields, change = KINDS[plural]
    fields = json.loads(json.dumps(fields).replace("SPACE", space.name))
    namespaced = kind != "RuntimeClass"
    everywhere = f"{group}/{plural}"
    path = f"{group}/namespaces/{space.name}/{plural}" if namespaced else everywhere
    chosen = f"life={plural}"
    found = space.ask("GET", group)["resources"]
    [row] = [one for one in found if one["name"] == plural]
    assert {
        "create",
        "delete",
        "deletecollection",
        "get",
        "list",
        "patch",
        "update",
        "watch",
    } <= set(row["verbs"])

    def document(name: str) -> Json:
        version = group.removeprefix("/apis/").removeprefix("/api/")
        meta = {"name": name, "labels": {"life": plural}}
        return {"apiVersion": version, "kind": kind, "metadata": meta, **fields}

    made = space.ask("POST", path, document("first"))
    assert holds(made, fields)
    assert space.refused("POST", path, document("first"))["reason"] == "AlreadyExists"
    start = space.ask("GET", path, labelSelector=chosen)["metadata"]["resourceVersion"]
    patched = space.ask("PATCH", f"{path}/first", change, kind="merge")
    assert holds(patched, change)
    assert patched["metadata"]["uid"] == made["metadata"]["uid"]
    old = {**made, "metadata": {**made["metadata"], "labels": {"life": "x"}}}
    assert space.refused("PUT", f"{path}/first", old)["reason"] == "Conflict"
    patched["metadata"]["labels"]["put"] = "yes"
    put = space.ask("PUT", f"{path}/first", patched)
    assert put["metadata"]["labels"]["put"] == "yes"
    assert holds(space.ask("GET", f"{path}/first"), change)
    for number in range(2):
        space.ask("POST", path, document(f"more-{number}"))
    listed = space.ask("GET", everywhere, labelSelector=chosen)["items"]
    assert [one["metadata"]["name"] for one in listed] == ["first", "more-0", "more-1"]
    space.ask("DELETE", f"{path}/first")
    assert space.refused("GET", f"{path}/first")["reason"] == "NotFound"
    space.ask("DELETE", path, labelSelector=chosen)
    assert space.ask("GET", path, labelSelector=chosen)["items"] == []
    seen = []
    for line in space.client.stream(
        path, query={"watch": "true", "resourceVersion": start, "labelSelector": chosen}
    ):
        event = json.loads(line)
        seen.append((event["type"], event["object"]["metadata"]["name"]))
        if [one for one, _ in seen].count("DELETED") == 3:
            break
    assert seen[:4] == [
        ("MODIFIED", "first"), ("MODIFIED", "first"), ("ADDED", "more-0"), ("ADDED", "more-1"),
    ]  # fmt: skip
    assert sorted(seen[4:]) == [("DELETED", name) for name in ("first", "more-0", "more-1")]


@pytest.mark.parametrize("kind", ["ConfigMap", "Secret"])
@pytest.mark.parametrize("key", ["", "../x", "a b", "x" * 254])
def test_a_key_that_could_be_no_files_name_is_invalid(space: Space, kind: str, key: str) -> None:
    body = {"apiVersion": "v1", "kind": kind, "metadata": {"name": "bad"}, "data": {key: "MQ=="}}
    refusal = space.refused("POST", f"{kind.lower()}s", body)
    assert (refusal["code"], refusal["reason"]) == (422, "Invalid")
    assert refusal["details"]["causes"][0]["field"] == f"data[{key}]"


def test_a_runtime_class_that_was_deleted_is_not_there_for_pods(space: Space) -> None:
    path = "/apis/node.k8s.io/v1/runtimeclasses"
    name = f"gone-{os.getpid()}"
    body = {"apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "metadata": {"name": name},
            "handler": "x", "overhead": {"podFixed": {"cpu": "1m"}}}  # fmt: skip
    space.ask("POST", path, body)
    pod = space.pod("p", spec(sh("true"), runtimeClassName=name))
    made = space.ask("POST", "pods", pod, dryRun="All")
    assert made["spec"]["overhead"] == {"cpu": "1m"}
    space.ask("DELETE", f"{path}/{name}")

    def refused() -> bool:
        try:
            space.ask("POST", "pods", pod, dryRun="All")
        except StatusError as error:
            return error.http_code == 403
        return False

    eventually(refused, what="no such class any more")
