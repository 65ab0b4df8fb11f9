"""Node conformance, volumes of real containers: who may read which file, who owns it, what changes later.

Two Pods look at the same volumes, one without and one with an fsGroup, each as root and as somebody else; they
tell all that they see in their logs.
"""

import json
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.conformance import Space, sh, spec
from tests.e2e.support import Kubectl, Podward, component_missing, eventually, kubectl_current

NAMESPACE = "conformance-files"
ELSEWHERE = "conformance-elsewhere"
GROUP, USER = 3000, 1001
NAME = {"path": "it", "fieldRef": {"fieldPath": "metadata.name"}}

# ---- volumes: name -> source


def source(kind: str, variant: str) -> dict[str, Any]:
    """Of a kind: `plain`, with a `mode` for all its files, or with one for its only `item`."""
    items = [{"key": "it", "path": "deep/it", "mode": 0o400}]
    fields: dict[str, Any] = {"defaultMode": 0o400} if variant == "mode" else {}
    inner: dict[str, Any] = {"items": items} if variant == "item" else {}
    down = [NAME if variant != "item" else {**NAME, "path": "deep/it", "mode": 0o400}]
    match kind:
        case "config":
            return {"configMap": {"name": "words", **inner, **fields}}
        case "secret":
            return {"secret": {"secretName": "words", **inner, **fields}}
        case "down":
            return {"downwardAPI": {"items": down, **fields}}
        case "p-config":
            return {"projected": {"sources": [{"configMap": {"name": "words", **inner}}], **fields}}
        case "p-secret":
            return {"projected": {"sources": [{"secret": {"name": "words", **inner}}], **fields}}
        case _:
            return {"projected": {"sources": [{"downwardAPI": {"items": down}}], **fields}}


KINDS = ("config", "secret", "down", "p-config", "p-secret", "p-down")
VARIANTS = ("plain", "mode", "item")
FILES = {f"{kind}-{variant}": source(kind, variant) for kind in KINDS for variant in VARIANTS}
EMPTY: dict[str, dict[str, Any]] = {
    "e-disk": {"emptyDir": {}}, "e-memory": {"emptyDir": {"medium": "Memory"}},
}  # fmt: skip
AMOUNTS = {"cpu-limit": "limits.cpu", "memory-limit": "limits.memory",
           "cpu-asked": "requests.cpu", "memory-asked": "requests.memory"}  # fmt: skip
RESOURCES = {"limits": {"cpu": "1250m", "memory": "64Mi"},
             "requests": {"cpu": "10m", "memory": "16Mi"}}  # fmt: skip


def amounts(container: str) -> dict[str, Any]:
    items = [
        {"path": name, "resourceFieldRef": {
            "containerName": container, "resource": resource,
            "divisor": "1m" if "cpu" in name else "1Mi"}}
        for name, resource in AMOUNTS.items()
    ]  # fmt: skip
    return {"downwardAPI": {"items": items}}


# ---- containers

LOOK = """
cd /v; for d in *; do
  f=$d/it; [ -e $f ] || f=$d/deep/it
  echo "$d $(stat -Lc '%a %u:%g' $f) $(cat $f 2> /dev/null || echo unreadable)"
done
for e in e-disk e-memory; do
  echo "$e $(stat -c '%a %u:%g' /e/$e) $(stat -fc %T /e/$e)"
  for m in 644 666 777; do
    f=/e/$e/$(id -u)-$m; echo content > $f; chmod $m $f
    echo "$e-$m $(stat -c '%a %u:%g' $f) $(cat $f)"
  done
done
"""
PARTS = """
cat /s/config /s/secret /s/down /s/p-down /etc/group; ls /s /etc/passwd
(echo x > /s/config) 2> /dev/null || echo refused
ls /none /none-secret /none-projected; cat /twice/it; echo; cat /binary/raw | od -An -tx1
cd /amounts; for f in *; do echo "$f $(cat $f)"; done; cd /rest; for f in *; do echo "r-$f $(cat $f)"; done
echo "host $(stat -c %a /host) $(cat /host/x /host-part/y)"; echo written > /host/z
"""


def mounts(below: str, names: Any) -> list[dict[str, Any]]:
    return [{"name": name, "mountPath": f"{below}/{name}"} for name in names]


def looks(*, fs_group: bool) -> dict[str, Any]:
    places = mounts("/v", FILES) + mounts("/e", EMPTY)
    by_user = {"runAsUser": USER, "runAsGroup": USER}
    security: dict[str, Any] = {"securityContext": {"fsGroup": GROUP}} if fs_group else {}
    return spec(
        sh(LOOK, volumeMounts=places),
        sh(LOOK, volumeMounts=places, securityContext=by_user) | {"name": "user"},
        volumes=[{"name": name, **one} for name, one in (FILES | EMPTY).items()],
        **security,
    )


def parts(host: str) -> dict[str, Any]:
    more: dict[str, dict[str, Any]] = {
        "twice": source("config", "plain"),
        "binary": {"configMap": {"name": "words", "items": [{"key": "raw", "path": "raw"}]}},
        "none": {"configMap": {"name": "none", "optional": True}},
        "none-secret": {"secret": {"secretName": "none", "optional": True}},
        "none-projected": {"projected": {"sources": [
            {"configMap": {"name": "words", "items": [{"key": "x", "path": "x"}], "optional": True}},
            {"secret": {"name": "none", "optional": True}}]}},
        "amounts": amounts("main"),
        "rest": amounts("bare"),
    }  # fmt: skip
    one_file = [
        {"name": f"{kind}-plain", "mountPath": f"/s/{kind}", "subPath": "it"}
        for kind in ("config", "secret", "down", "p-down")
    ]
    over = [{"name": "config-plain", "mountPath": "/etc/group", "subPath": "it"}]
    hosts = [{"name": "host", "mountPath": "/host"},
             {"name": "host", "mountPath": "/host-part", "subPath": "part"}]  # fmt: skip
    plain = {name: one for name, one in FILES.items() if name.endswith("plain")}
    return spec(
        sh(PARTS, resources=RESOURCES, volumeMounts=one_file + over + mounts("", more) + hosts),
        sh("true") | {"name": "bare"},
        volumes=[{"name": name, **one} for name, one in (plain | more).items()]
        + [{"name": "host", "hostPath": {"path": host}}],
    )


def late() -> dict[str, Any]:
    """What is not there yet, what goes, and annotations that change."""
    notes = {"path": "notes", "fieldRef": {"fieldPath": "metadata.annotations"}}
    volumes: dict[str, dict[str, Any]] = {"notes": {"downwardAPI": {"items": [notes]}}}
    for name in ("later", "gone"):
        volumes |= {
            f"config-{name}": {"configMap": {"name": name, "optional": True}},
            f"secret-{name}": {"secret": {"secretName": name, "optional": True}},
            f"both-{name}": {"projected": {"sources": [
                {"configMap": {"name": name, "optional": True}},
                {"secret": {"name": name, "optional": True,
                            "items": [{"key": "it", "path": "secret"}]}}]}},
        }  # fmt: skip
    return spec(
        sh("exec sleep 3600", volumeMounts=mounts("/l", volumes)),
        volumes=[{"name": name, **one} for name, one in volumes.items()],
    )


LACKING: dict[str, dict[str, Any]] = {
    "config": {"configMap": {"name": "none"}},
    "config-key": {"configMap": {"name": "words", "items": [{"key": "none", "path": "x"}]}},
    "secret": {"secret": {"secretName": "none"}},
    "secret-key": {"secret": {"secretName": "words", "items": [{"key": "none", "path": "x"}]}},
    "projected": {"projected": {"sources": [{"secret": {"name": "none"}}]}},
}


def objects(name: str, content: str, space: str) -> list[dict[str, Any]]:
    meta = {"name": name, "namespace": space}
    return [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"it": content},
         "binaryData": {"raw": "3q2+7w=="}},
        {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "stringData": {"it": content}},
    ]  # fmt: skip


@pytest.fixture(scope="module")
def space(engine_podward: Podward, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Space]:
    binary = kubectl_current()
    if binary is None:
        component_missing("a recent kubectl on the PATH")
        raise AssertionError
    made = Space(Kubectl(binary, engine_podward, tmp_path_factory.mktemp("home")), NAMESPACE)
    for name in (NAMESPACE, ELSEWHERE):
        made.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    made.apply(
        *objects("words", "blue", NAMESPACE),
        *objects("words", "red", ELSEWHERE),
        *objects("gone", "old", NAMESPACE),
    )
    with tempfile.TemporaryDirectory(prefix="pw-host") as host:
        Path(host).chmod(0o1777)
        Path(host, "x").write_text("on the host, ")
        Path(host, "part").mkdir()
        Path(host, "part/y").write_text("in part")
        lacking = [{"name": name, **one} for name, one in LACKING.items()]
        pods = {
            "alone": looks(fs_group=False),
            "in-group": looks(fs_group=True),
            "parts": parts(host),
            "late": late(),
            "lacking": spec(sh("true", volumeMounts=mounts("/x", LACKING)), volumes=lacking),
        }
        made.apply(*(made.pod(name, one, annotations={"note": "a"}) for name, one in pods.items()))
        yield made
        written = Path(host, "z").read_text()
    made.leave(ELSEWHERE)
    assert written == "written\n"


@cache
def told(space: Space, pod: str, container: str = "main") -> dict[str, str]:
    """Line's first word -> the rest."""
    lines = space.log(pod, container)
    return {word: rest for word, _, rest in (line.partition(" ") for line in lines)}


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_file_has_its_mode_and_who_may_read_it_does(
    space: Space, kind: str, variant: str
) -> None:
    name = f"{kind}-{variant}"
    content = {pod: pod if "down" in kind else "blue" for pod in ("alone", "in-group")}
    strict = variant != "plain"
    mode, group_mode = ("400", "440") if strict else ("644", "644")
    assert told(space, "alone")[name] == f"{mode} 0:0 {content['alone']}"
    seen = "unreadable" if strict else content["alone"]
    assert told(space, "alone", "user")[name] == f"{mode} 0:0 {seen}"
    for container in ("main", "user"):  # the group may read what its owner may
        found = told(space, "in-group", container)[name]
        assert found == f"{group_mode} 0:{GROUP} {content['in-group']}"


@pytest.mark.parametrize("name", EMPTY)
def test_an_empty_dir_is_open_to_all_and_its_files_are_their_makers(
    space: Space, name: str
) -> None:
    kind = "tmpfs" if name == "e-memory" else ""
    for pod, group in (("alone", 0), ("in-group", GROUP)):
        for container, user, own in (("main", 0, 0), ("user", USER, USER)):
            found = told(space, pod, container)
            mode, owner, *filesystem = found[name].split()
            assert int(mode, 8) & 0o777 == 0o777
            assert owner == f"0:{group}"
            assert not kind or filesystem == [kind]
            file_group = group or own
            for bits in ("644", "666", "777"):
                assert found[f"{name}-{bits}"] == f"{bits} {user}:{file_group} content"


def test_single_files_of_volumes_and_optional_ones(space: Space) -> None:
    lines = space.log("parts")
    assert lines[:6] == ["bluebluepartspartsblue/etc/passwd", "", "/s:", "config", "down", "p-down"]
    assert lines[6] == "secret"
    assert lines[7] == "refused"
    assert lines[8:13] == ["/none:", "", "/none-projected:", "", "/none-secret:"]
    assert lines[13] == "blue"
    assert lines[14].split() == ["de", "ad", "be", "ef"]


def test_resources_in_files_are_the_containers_or_the_nodes(space: Space) -> None:
    found = told(space, "parts")
    assert {name: found[name] for name in AMOUNTS} == {
        "cpu-limit": "1250", "memory-limit": "64", "cpu-asked": "10", "memory-asked": "16",
    }  # fmt: skip
    [node] = space.ask("GET", "/api/v1/nodes")["items"]
    allocatable = node["status"]["allocatable"]
    assert int(found["r-cpu-limit"]) == int(allocatable["cpu"]) * 1000
    memory = int(allocatable["memory"].removesuffix("Ki"))
    assert int(found["r-memory-limit"]) == -(-memory // 1024)
    assert (found["r-cpu-asked"], found["r-memory-asked"]) == ("0", "0")


def test_a_folder_of_the_machine_is_as_it_is(space: Space) -> None:
    assert told(space, "parts")["host"] == "1777 on the host, in part"


def test_what_comes_later_goes_or_changes_is_seen(space: Space) -> None:
    space.comes("late", lambda s: s["phase"] == "Running")
    look = "cd /l; grep -s . */it */secret notes/notes || :"

    def seen() -> list[str]:
        return space.run("exec", "late", "--", "sh", "-c", look).splitlines()

    for name in ("both-gone/it:old", "both-gone/secret:old", "secret-gone/it:old"):
        assert name in seen()
    space.apply(*objects("later", "new", NAMESPACE))
    for kind in ("configmaps", "secrets"):
        space.ask("DELETE", f"{kind}/gone")
    space.run("annotate", "pod", "late", "--overwrite", "note=b")
    expected = {
        "both-later/it:new", "both-later/secret:new", "config-later/it:new", "secret-later/it:new",
        'notes/notes:note="b"',
    }  # fmt: skip

    def followed() -> bool:
        lines = seen()
        return expected <= set(lines) and not [line for line in lines if "-gone/" in line]

    eventually(followed, what="all of them follow")


def test_what_is_required_and_not_there_is_waited_for(space: Space) -> None:
    def said() -> dict[str, str]:
        told = [m.partition(" : ") for m in space.told("lacking", "FailedMount")]
        found = {head.split('"')[1]: text for head, _, text in told}
        return found if found.keys() == LACKING.keys() else {}

    found = eventually(said)
    assert found["config"] == 'configmap "none" not found'
    assert found["secret"] == 'secret "none" not found'
    assert "references non-existent config key: none" in found["config-key"]
    assert "references non-existent secret key: none" in found["secret-key"]
    status = space.status("lacking")
    assert (status["phase"], status["containerStatuses"][0]["state"]["waiting"]["reason"]) == (
        "Pending", "ContainerCreating",
    )  # fmt: skip


@pytest.mark.parametrize("kind", ["ConfigMap", "Secret"])
def test_an_immutable_object_keeps_its_data_for_good(space: Space, kind: str) -> None:
    meta = {"name": "fixed", "namespace": NAMESPACE}
    plural = f"{kind.lower()}s"
    space.apply({"apiVersion": "v1", "kind": kind, "metadata": meta, "data": {"it": "Zml4ZWQ="}})
    path = f"{plural}/fixed"
    space.ask("PATCH", path, {"data": {"it": "b3RoZXI="}}, kind="merge")
    space.ask("PATCH", path, {"immutable": True}, kind="merge")
    for change in ({"data": {"it": "Zml4ZWQ="}}, {"immutable": False}, {"data": {"more": "YQ=="}}):
        refusal = space.refused("PATCH", path, change, kind="merge")
        assert (refusal["code"], refusal["reason"]) == (422, "Invalid"), json.dumps(refusal)
    space.ask("PATCH", path, {"metadata": {"labels": {"a": "b"}}}, kind="merge")
    space.ask("DELETE", path)
