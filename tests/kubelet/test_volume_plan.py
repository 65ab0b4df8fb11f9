"""Which files a volume holds: keys, paths, modes, what is optional, what becomes of several sources."""

import base64
import dataclasses
from typing import Any

import msgspec
import pytest
from lightkube.models import core_v1, meta_v1

from podward.kubelet.volume_plan import (
    Facts,
    File,
    Owner,
    SourceUnreachable,
    TokenWish,
    VolumeError,
    kept_in_memory,
    made_of_files,
    owner_of,
    plan_files,
    references,
    refusal,
    tells_of_its_pod,
    token_wishes,
)

FACTS = Facts("10.0.0.2", "10.0.0.1", {"cpu": "2", "memory": "4Gi"})
BYTES = bytes(range(256))
OBJECTS: dict[tuple[str, str], core_v1.ConfigMap | core_v1.Secret] = {
    ("configmap", "cm"): core_v1.ConfigMap(
        data={"a": "one", "b": "two"}, binaryData={"raw": base64.b64encode(BYTES).decode()}
    ),
    ("secret", "se"): core_v1.Secret(data={"a": base64.b64encode(b"hush").decode()}),
}
A, B, RAW = (File(data, 0o644) for data in (b"one", b"two", BYTES))
HUSH = File(b"hush", 0o644)


def look_up(kind: str, name: str) -> core_v1.ConfigMap | core_v1.Secret | None:
    if name == "away":
        raise SourceUnreachable("nobody answers")
    return OBJECTS.get((kind, name))


def volume(**source: Any) -> core_v1.Volume:
    return msgspec.convert({"name": "v", **source}, core_v1.Volume)


def pod(*volumes: core_v1.Volume) -> core_v1.Pod:
    limits = core_v1.ResourceRequirements(limits={"memory": "64Mi"})
    container = core_v1.Container(name="c", resources=limits)
    return core_v1.Pod(
        metadata=meta_v1.ObjectMeta(
            name="p", labels={"b": "2", "a": 'say "hi"\t\n'}, annotations={"note": "x"}
        ),
        spec=core_v1.PodSpec(containers=[container], volumes=list(volumes)),
    )


def plan(**source: Any) -> dict[str, File] | None:
    return plan_files(pod(), volume(**source), look_up, FACTS)


def projected(*sources: dict[str, Any], **rest: Any) -> dict[str, Any]:
    return {"projected": {"sources": list(sources), **rest}}


def item(key: str, path: str, **mode: int) -> dict[str, Any]:
    return {"key": key, "path": path, **mode}


def about(path: str, field: str, **mode: int) -> dict[str, Any]:
    return {"path": path, "fieldRef": {"fieldPath": field}, **mode}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ({"configMap": {"name": "cm"}}, {"a": A, "b": B, "raw": RAW}),
        ({"secret": {"secretName": "se"}}, {"a": HUSH}),
        (
            {"configMap": {"name": "cm", "defaultMode": 0o400,
                           "items": [item("a", "x/y"), item("b", "z", mode=0o755)]}},
            {"x/y": File(b"one", 0o400), "z": File(b"two", 0o755)},
        ),
        (
            {"configMap": {"name": "cm", "defaultMode": 0,
                           "items": [item("a", "x"), item("b", "y", mode=0o600)]}},
            {"x": File(b"one", 0), "y": File(b"two", 0o600)},
        ),
        (
            {"secret": {"secretName": "se", "items": [item("a", "x", mode=0)]}},
            {"x": File(b"hush", 0)},
        ),
        ({"configMap": {"name": "cm", "items": [item("a", "./x//y")]}}, {"x/y": A}),
        ({"configMap": {"name": "none", "optional": True}}, {}),
        ({"secret": {"secretName": "none", "optional": True}}, {}),
        (
            {"configMap": {"name": "cm", "optional": True,
                           "items": [item("none", "x"), item("a", "y")]}},
            {"y": A},
        ),
        (
            {"downwardAPI": {"defaultMode": 0o440, "items": [
                about("labels", "metadata.labels"), about("one", "metadata.labels['b']"),
                about("note", "metadata.annotations['note']", mode=0o600)]}},
            {"labels": File(b'a="say \\"hi\\"\\t\\n"\nb="2"', 0o440), "one": File(b"2", 0o440),
             "note": File(b"x", 0o600)},
        ),
        (
            {"downwardAPI": {"items": [{"path": "m", "resourceFieldRef": {
                "containerName": "c", "resource": "limits.memory", "divisor": "1Mi"}}]}},
            {"m": File(b"64", 0o644)},
        ),
        (
            projected({"configMap": {"name": "cm", "items": [item("a", "d/cm")]}},
                      {"secret": {"name": "se", "items": [item("a", "d/se", mode=0o400)]}},
                      {"downwardAPI": {"items": [about("name", "metadata.name")]}},
                      defaultMode=0o440),
            {"d/cm": File(b"one", 0o440), "d/se": File(b"hush", 0o400), "name": File(b"p", 0o440)},
        ),
        (
            projected({"configMap": {"name": "cm"}}, {"secret": {"name": "se"}}),
            {"a": HUSH, "b": B, "raw": RAW},
        ),
        (
            projected({"secret": {"name": "se"}}, {"configMap": {"name": "cm"}}),
            {"a": A, "b": B, "raw": RAW},
        ),
        (
            projected({"configMap": {"name": "none", "optional": True}},
                      {"secret": {"name": "se"}}),
            {"a": HUSH},
        ),
        ({"emptyDir": {}}, None),
        ({"hostPath": {"path": "/x"}}, None),
    ],
    ids=["all keys", "a secret", "items and modes", "mode zero by default", "mode zero", "one way to write",
         "optional", "an optional secret", "an optional key", "the pod's own fields", "a resource",
         "projected", "the later wins", "in this order too", "an optional part", "empty", "the host's"],
)  # fmt: skip
def test_files_of_a_volume(source: dict[str, Any], expected: dict[str, File] | None) -> None:
    assert plan(**source) == expected
    assert made_of_files(volume(**source)) == (expected is not None)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({"configMap": {"name": "none"}}, 'configmap "none" not found'),
        ({"secret": {"secretName": "none"}}, 'secret "none" not found'),
        (
            {"configMap": {"name": "cm", "items": [item("none", "x")]}},
            "configmap references non-existent config key: none",
        ),
        (
            {"secret": {"secretName": "se", "items": [item("none", "x")]}},
            "references non-existent secret key: none",
        ),
        (projected({"secret": {"name": "none"}}), 'secret "none" not found'),
        (
            projected({"secret": {"name": "none"}}, {"configMap": {"name": "cm"}},
                      {"configMap": {"name": "none"}}),
            '[secret "none" not found, configmap "none" not found]',
        ),
        (
            {"configMap": {"name": "cm", "items": [item("a", "../x")]}},
            "../x: must be a relative path without '..'",
        ),
        (
            {"configMap": {"name": "cm", "items": [item("a", "..data/x")]}},
            "..data/x: must be a file's path that does not start with '..'",
        ),
        (
            {"downwardAPI": {"items": [about("x", "status.phase")]}},
            "unsupported fieldPath: status.phase",
        ),
        (
            projected({"clusterTrustBundle": {"path": "roots.pem", "name": "x"}}),
            "projected volumes of configMap, secret, downwardAPI and serviceAccountToken are served; "
            "clusterTrustBundle is not",
        ),
    ],
    ids=["no object", "no secret", "no key", "no secret's key", "a part", "two parts", "a way up",
         "the kubelet's own", "no such field", "another source"],
)  # fmt: skip
def test_why_a_volume_has_no_files(source: dict[str, Any], message: str) -> None:
    with pytest.raises(VolumeError) as raised:
        plan(**source)
    assert str(raised.value) == message
    assert not isinstance(raised.value, SourceUnreachable)


@pytest.mark.parametrize(
    "source",
    [
        {"configMap": {"name": "away", "optional": True}},
        projected({"secret": {"name": "none"}}, {"secret": {"name": "away"}}),
    ],
    ids=["optional", "beside another mistake"],
)
def test_what_nobody_can_read_is_not_taken_for_missing(source: dict[str, Any]) -> None:
    with pytest.raises(SourceUnreachable):
        plan(**source)


def test_what_a_pod_refers_to() -> None:
    parts = projected({"configMap": {"name": "x"}}, {"secret": {"name": "y"}})
    whole = pod(
        volume(configMap={"name": "cm"}), volume(secret={"secretName": "se"}), volume(**parts),
        volume(emptyDir={}),
    )  # fmt: skip
    assert references(whole) == {
        ("configmap", "cm"), ("secret", "se"), ("configmap", "x"), ("secret", "y"),
    }  # fmt: skip
    assert not tells_of_its_pod(whole)
    field = {"items": [about("name", "metadata.name")]}
    assert tells_of_its_pod(pod(volume(downwardAPI=field)))
    assert tells_of_its_pod(pod(volume(**projected({"downwardAPI": field}))))


TOKENS = projected(
    {"serviceAccountToken": {"path": "d/token", "expirationSeconds": 7200}},
    {"serviceAccountToken": {"path": "vault", "audience": "vault"}},
    {"configMap": {"name": "cm", "items": [item("a", "a")]}},
    defaultMode=0o444,
)


@pytest.mark.parametrize(
    ("owner", "mode"),
    [
        (Owner(), 0o444),
        (Owner(user=7), 0o600),
        (Owner(group=8), 0o600),
        (Owner(user=7, group=8), 0o600),
    ],
)
def test_tokens_are_read_by_whom_the_pod_runs_as(owner: Owner, mode: int) -> None:
    wishes = {TokenWish("", 7200): "mine", TokenWish("vault", 3600): "other"}
    whole = pod(volume(**TOKENS))
    assert token_wishes(whole) == wishes.keys()
    facts = dataclasses.replace(FACTS, tokens=wishes)
    assert plan_files(whole, volume(**TOKENS), look_up, facts, owner) == {
        "d/token": File(b"mine", mode, owner.user),
        "vault": File(b"other", mode, owner.user),
        "a": File(b"one", 0o444),
    }


@pytest.mark.parametrize("kind", [VolumeError, SourceUnreachable])
def test_why_there_is_no_token(kind: type[VolumeError]) -> None:
    wishes: dict[TokenWish, str | VolumeError] = {
        TokenWish("", 7200): "mine",
        TokenWish("vault", 3600): kind("failed to fetch token"),
    }
    facts = dataclasses.replace(FACTS, tokens=wishes)
    with pytest.raises(kind, match="failed to fetch token"):
        plan_files(pod(), volume(**TOKENS), look_up, facts)


@pytest.mark.parametrize(
    ("of_pod", "of_containers", "owner"),
    [
        ({}, [{}], Owner()),
        ({"runAsUser": 7, "fsGroup": 8}, [{}, {}], Owner(7, 8)),
        ({"runAsUser": 7}, [{"runAsUser": 9}, {"runAsUser": 9}], Owner(9)),
        ({"runAsUser": 7}, [{"runAsUser": 9}, {}], Owner()),
        ({}, [{"runAsUser": 9}, {}], Owner()),
        ({"runAsUser": 0}, [{}], Owner(0)),
        ({"runAsGroup": 5}, [{"runAsGroup": 6}], Owner()),
    ],
)
def test_whose_the_files_are(
    of_pod: dict[str, int], of_containers: list[dict[str, int]], owner: Owner
) -> None:
    whole = pod()
    assert whole.spec is not None
    containers = [
        core_v1.Container(name=f"c{i}", securityContext=core_v1.SecurityContext(**own))  # type: ignore[arg-type]
        for i, own in enumerate(of_containers)
    ]
    whole.spec.containers, whole.spec.initContainers = containers[:1], containers[1:]
    whole.spec.securityContext = core_v1.PodSecurityContext(**of_pod)  # type: ignore[arg-type]
    assert owner_of(whole) == owner


@pytest.mark.parametrize(
    ("source", "memory"),
    [
        ({"configMap": {"name": "cm"}}, False),
        ({"secret": {"secretName": "se"}}, True),
        ({"downwardAPI": {}}, True),
        ({"projected": {}}, True),
        ({"emptyDir": {"medium": "Memory"}}, False),
    ],
)
def test_what_is_kept_in_memory(source: dict[str, Any], memory: bool) -> None:
    assert kept_in_memory(volume(**source)) == memory


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ({"nfs": {"server": "s", "path": "/"}}, "nfs is not served here: Podward mounts nothing from "),
        ({"csi": {"driver": "d"}}, "csi is not served here: Podward speaks to no CSI driver;"),
        ({"persistentVolumeClaim": {"claimName": "c"}}, "Podward has no PersistentVolumes to bind"),
        ({"image": {"reference": "i"}}, "image is not served here: Podward mounts no images"),
        ({"gitRepo": {"repository": "r"}}, "Podward clones no repositories"),
        ({"ephemeral": {}}, "ephemeral is not served here: Podward has no PersistentVolumes to make"),
    ],
    ids=["nfs", "csi", "a claim", "an image", "a repository", "a claim of its own"],
)  # fmt: skip
def test_what_is_not_served_says_so_and_what_is(source: dict[str, Any], said: str) -> None:
    text = str(refusal(volume(**source)))
    assert said in text
    served = "emptyDir, hostPath, configMap, secret, downwardAPI and projected volumes are served"
    assert text.endswith(served)
