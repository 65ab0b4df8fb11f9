"""A preset that clashes with a Pod leaves it alone, and is seen: by whoever applies, by whoever looks later."""

from typing import Any

import pytest
from tests.e2e.support import Kubectl, eventually

PRESET = """
apiVersion: podward.dev/v1alpha1
kind: PodPreset
metadata: {name: zone}
spec:
  selector: {matchLabels: {tier: web}}
  env: [{name: TZ, value: UTC}]
"""
POD = """
apiVersion: v1
kind: Pod
metadata:
  name: NAME
  labels: {tier: web}
  ownerReferences:
  - apiVersion: apps/v1
    kind: ReplicaSet
    name: web-rs
    uid: 5d1c7ea0-9a55-4b9c-8a0c-7a55d0c1d9f3
    controller: true
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - name: app
    image: busybox
    command: [sleep, "1000"]
    env: [{name: WORD, value: hush}, ENV]
"""
CLASHING = POD.replace("NAME", "clashing").replace("ENV", "{name: TZ, value: secret-zone}")
FITTING = POD.replace("NAME", "fitting").replace(", ENV", "")


def conditions(kubectl: Kubectl, namespace: str) -> dict[str, tuple[str, str]]:
    found = kubectl.json("get", "pps", "zone", "-n", namespace)
    listed = found.get("status", {}).get("conditions", ())
    return {c["type"]: (c["status"], c["reason"]) for c in listed}


def conflicts(kubectl: Kubectl, namespace: str) -> list[Any]:
    events = kubectl.json("get", "events", "-n", namespace)["items"]
    return [e for e in events if e["reason"] == "PresetConflict"]


def counted(kubectl: Kubectl, namespace: str, metric: str) -> list[str]:
    text = kubectl("get", "--raw", "/metrics")
    return [
        line for line in text.splitlines() if line.startswith(metric) and f'"{namespace}"' in line
    ]


@pytest.fixture
def preset(recent_kubectl: Kubectl, namespace: str) -> Kubectl:
    recent_kubectl.apply(PRESET, "-n", namespace)
    eventually(lambda: "Valid" in conditions(recent_kubectl, namespace), what="the first status")
    return recent_kubectl


def test_a_conflict_is_seen_everywhere(preset: Kubectl, namespace: str) -> None:
    kubectl = preset
    code, said, warned = kubectl.result("apply", "-n", namespace, "-f", "-", stdin=CLASHING)
    assert (code, said) == (0, "pod/clashing created\n")
    assert "Warning: PodPreset: " in warned
    assert "TZ" in warned

    pod = kubectl.json("get", "pod", "clashing", "-n", namespace)
    env = {e["name"]: e["value"] for e in pod["spec"]["containers"][0]["env"]}
    assert env == {"WORD": "hush", "TZ": "secret-zone"}
    assert "podward.dev/presets" not in pod["metadata"].get("annotations", {})

    eventually(lambda: len(conflicts(kubectl, namespace)) == 2, what="two Events")
    events = conflicts(kubectl, namespace)
    assert {e["involvedObject"]["kind"] for e in events} == {"ReplicaSet", "PodPreset"}
    assert {e["source"]["component"] for e in events} == {"podward-presets"}
    shown = kubectl("get", "events", "-n", namespace)
    assert "podpreset/zone" in shown
    assert "replicaset/web-rs" in shown

    eventually(
        lambda: conditions(kubectl, namespace).get("Conflicting") == ("True", "NothingApplied"),
        what="the condition",
    )
    assert conditions(kubectl, namespace)["Effective"] == ("False", "Conflicting")
    whole = kubectl("get", "pps", "zone", "-n", namespace, "-o", "yaml")
    assert "matchedPods: 1" in whole
    assert "stalePods: 1" in whole

    metric = "podward_pod_preset_conflicts_total"
    assert counted(kubectl, namespace, metric) == [
        f'{metric}{{list="env",namespace="{namespace}",preset="podpreset.podward.dev/zone"}} 1.0'
    ]
    for text in (warned, shown, whole):
        assert "secret-zone" not in text
        assert "hush" not in text


def test_a_pod_that_takes_the_preset_ends_the_conflict(preset: Kubectl, namespace: str) -> None:
    kubectl = preset
    kubectl.apply(CLASHING, "-n", namespace)
    eventually(
        lambda: conditions(kubectl, namespace).get("Conflicting") == ("True", "NothingApplied"),
        what="the clash",
    )
    kubectl("delete", "pod", "clashing", "-n", namespace)
    kubectl.apply(FITTING, "-n", namespace)
    wanted = {
        "Valid": ("True", "Valid"),
        "Conflicting": ("False", "NoClash"),
        "Effective": ("True", "AllCurrent"),
    }
    eventually(lambda: conditions(kubectl, namespace) == wanted, what="all is well")
    assert counted(kubectl, namespace, "podward_pod_preset_applied_total")

    kubectl.apply(PRESET.replace("UTC", "CET"), "-n", namespace)
    eventually(
        lambda: conditions(kubectl, namespace)["Effective"] == ("False", "AllStale"),
        what="the Pod carries an earlier form",
    )


def test_a_dry_run_warns_and_leaves_no_trace(preset: Kubectl, namespace: str) -> None:
    kubectl = preset
    _, _, warned = kubectl.result(
        "create", "--dry-run=server", "-n", namespace, "-f", "-", stdin=CLASHING
    )
    assert "Warning: PodPreset: " in warned
    kubectl.apply(FITTING, "-n", namespace)
    eventually(
        lambda: conditions(kubectl, namespace).get("Effective") == ("True", "AllCurrent"),
        what="what came after it is seen",
    )
    assert conflicts(kubectl, namespace) == []
    assert counted(kubectl, namespace, "podward_pod_preset_conflicts_total") == []
