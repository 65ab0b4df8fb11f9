"""The field note's section 0x03 with kubectl on a real `podward up`, and what its readers would ask next."""

import json
import re
from typing import Any

from tests.e2e.support import ROOT, Kubectl, Podward

GOLDEN = ROOT / "tests/golden/kubectl"
PRESET = (GOLDEN / "seed-preset.yaml").read_text()
WEBSITE = (GOLDEN / "seed-website.yaml").read_text()
CHANGED = PRESET.replace("6379", "6380")
APPLIED = "podpreset.admission.kubernetes.io/podpreset-allow-database"
EXCLUDE = "podpreset.admission.kubernetes.io/exclude"
FROZEN = "Warning: spec of a PodPreset cannot be changed: delete it and create it again"
UNTOUCHED: dict[str, Any] = {"env": [], "mounts": [], "volumes": [], "applied": None}
"""What `presets_put` finds where presets put nothing."""
HEALTH = """
apiVersion: podward.dev/v1alpha1
kind: PodPreset
metadata: {name: health}
spec:
  selector: {matchLabels: {role: frontend}}
  priority: 10
  volumes: [{name: crt, secret: {secretName: crt}}]
  sidecars: [{name: log, image: busybox}]
  containers:
  - match: {class: app, ports: [80]}
    livenessProbe: {value: {tcpSocket: {port: 80}}}
"""


def website(*, annotation: str = "", env: str = "") -> str:
    """The note's Pod, which otherwise takes half a minute to end."""
    text = WEBSITE.replace("spec:\n", "spec:\n  terminationGracePeriodSeconds: 1\n")
    if annotation:
        text = text.replace("  labels:", f'  annotations: {{{annotation}: "true"}}\n  labels:')
    return text.replace("      ports:", f"      env: [{env}]\n      ports:") if env else text


def applied(kubectl: Kubectl, namespace: str, manifest: str) -> tuple[str, str]:
    """What `kubectl apply` says: (stdout, stderr), each without its last newline."""
    code, out, err = kubectl.result("apply", "-n", namespace, "-f", "-", stdin=manifest)
    assert code == 0, err
    return out.rstrip("\n"), err.rstrip("\n")


def presets_put(pod: dict[str, Any]) -> dict[str, Any]:
    (container,) = pod["spec"]["containers"]
    return {
        "env": container.get("env", []),
        "mounts": container.get("volumeMounts", []),
        "volumes": pod["spec"].get("volumes", []),
        "applied": pod["metadata"].get("annotations", {}).get(APPLIED),
    }


def stored(kubectl: Kubectl, namespace: str) -> dict[str, Any]:
    return presets_put(kubectl.json("get", "pod", "website", "-n", namespace))


def version_of_preset(kubectl: Kubectl, namespace: str) -> str:
    preset = kubectl.json("get", "podpreset", "allow-database", "-n", namespace)
    return str(preset["metadata"]["resourceVersion"])


def expected(version: str) -> dict[str, Any]:
    """What a real cluster put there."""
    return {
        "env": [{"name": "DB_PORT", "value": "6379"}],
        "mounts": [{"mountPath": "/cache", "name": "cache-volume"}],
        "volumes": [{"name": "cache-volume", "emptyDir": {}}],
        "applied": version,
    }


# ---- the kinds


def test_the_notes_preset_is_shown_and_described_as_on_a_real_cluster(
    kubectl: Kubectl, namespace: str
) -> None:
    created = "podpreset.settings.k8s.io/allow-database created"
    assert applied(kubectl, namespace, PRESET) == (created, "")
    golden = (GOLDEN / "podpreset.describe.txt").read_text()
    described = kubectl("describe", "podpreset", "allow-database", "-n", namespace)
    # Servers since 1.20 give no self link.
    assert _blind(described) == _blind(re.sub(r"(?m)^  Self Link:.*\n", "", golden))
    header, row = kubectl("get", "podpreset", "-n", namespace).splitlines()
    assert header == (GOLDEN / "podpreset.get.txt").read_text().splitlines()[0]
    assert re.fullmatch(r"allow-database   \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", row)
    gone = kubectl("delete", "podpreset", "allow-database", "-n", namespace)
    assert gone.startswith('podpreset.settings.k8s.io "allow-database" deleted')


def _blind(text: str) -> list[str]:
    """Lines, without what differs from one object to the next."""
    text = re.sub(
        r"(?m)^(Namespace|  Creation Timestamp|  Resource Version|  UID):.*$", r"\1", text
    )
    return [re.sub(r"^(Events): +", r"\1: ", line) for line in text.strip().splitlines()]


def test_a_preset_applied_again_is_unchanged_and_changed_is_not_changed(
    recent_kubectl: Kubectl, namespace: str
) -> None:
    applied(recent_kubectl, namespace, PRESET)
    name = "podpreset.settings.k8s.io/allow-database"
    assert applied(recent_kubectl, namespace, PRESET) == (f"{name} unchanged", "")
    before = recent_kubectl.json("get", "podpreset", "allow-database", "-n", namespace)
    assert applied(recent_kubectl, namespace, CHANGED) == (f"{name} configured", FROZEN)
    after = recent_kubectl.json("get", "podpreset", "allow-database", "-n", namespace)
    assert after["spec"] == before["spec"]
    assert after["metadata"]["generation"] == 1
    patch = '{"spec":{"env":null},"metadata":{"labels":{"a":"b"}}}'
    recent_kubectl(
        "patch", "podpreset", "allow-database", "-n", namespace, "--type=merge", "-p", patch
    )
    patched = recent_kubectl.json("get", "podpreset", "allow-database", "-n", namespace)
    assert patched["spec"] == before["spec"]
    assert patched["metadata"]["labels"] == {"a": "b"}
    code, out, err = recent_kubectl.result("replace", "-n", namespace, "-f", "-", stdin=CHANGED)
    assert (code, out, err) == (0, f"{name} replaced\n", f"{FROZEN}\n")


def test_our_kinds_have_names_of_their_own_and_the_old_name_means_the_old_kind(
    recent_kubectl: Kubectl, namespace: str
) -> None:
    name = "podpreset.podward.dev/health"
    assert applied(recent_kubectl, namespace, HEALTH) == (f"{name} created", "")
    assert applied(recent_kubectl, namespace, HEALTH) == (f"{name} unchanged", "")
    changed = HEALTH.replace("priority: 10", "priority: 7")
    assert applied(recent_kubectl, namespace, changed) == (f"{name} configured", "")
    header, row = recent_kubectl("get", "pps", "-n", namespace).splitlines()
    assert header.split() == [
        "NAME", "PRIORITY", "ON-CONFLICT", "VALID", "MATCHED", "CURRENT", "STALE", "AGE",
    ]  # fmt: skip
    assert row.split()[:3] == ["health", "7", "SkipAll"]
    assert (
        recent_kubectl.json("get", "pps", "health", "-n", namespace)["metadata"]["generation"] == 2
    )
    assert "No resources found" in recent_kubectl("get", "podpreset", "-n", namespace)
    assert "No resources found" in recent_kubectl("get", "cpps")
    assert "Value:" in recent_kubectl("describe", "pps", "health", "-n", namespace)


def test_what_a_preset_may_say_is_explained(recent_kubectl: Kubectl) -> None:
    old = recent_kubectl("explain", "podpreset.spec")
    assert "settings.k8s.io" in old
    assert "volumeMounts\t<[]VolumeMount>" in old
    probe = recent_kubectl("explain", "pps.spec.containers.livenessProbe")
    assert "ifAbsent (the default) or override" in probe
    listed = recent_kubectl("api-resources", "--no-headers").splitlines()
    assert [line.split() for line in listed if "Preset" in line] == [
        ["clusterpodpresets", "cpps", "podward.dev/v1alpha1", "false", "ClusterPodPreset"],
        ["podpresets", "pps", "podward.dev/v1alpha1", "true", "PodPreset"],
        ["podpresets", "settings.k8s.io/v1alpha1", "true", "PodPreset"],
    ]


def test_our_own_verbs_know_them_and_say_the_servers_warnings(
    podward: Podward, namespace: str
) -> None:
    def verb(*arguments: str, **options: Any) -> str:
        return podward.cli(*arguments, "-n", namespace, **options)

    assert verb("apply", "-f", "-", input=PRESET) == (
        "podpreset.settings.k8s.io/allow-database created\n"
    )
    assert verb("apply", "-f", "-", input=PRESET).endswith("unchanged\n")
    assert FROZEN in verb("apply", "-f", "-", input=CHANGED)
    assert verb("apply", "-f", "-", input=HEALTH) == "podpreset.podward.dev/health created\n"
    assert "allow-database" in verb("get", "podpreset")
    assert "health" in verb("get", "pps")
    assert "DB_PORT" in verb("describe", "podpreset", "allow-database")
    assert "Tcp Socket" in verb("describe", "pps", "health")
    assert verb("delete", "pps", "health") == 'podpreset.podward.dev "health" deleted\n'


def test_a_preset_that_makes_no_sense_is_refused_with_a_reason(
    podward: Podward, recent_kubectl: Kubectl, namespace: str
) -> None:
    bad = PRESET.replace("name: DB_PORT", 'name: "9 bad"')
    where = 'The PodPreset "allow-database" is invalid: spec.env[0].name: Invalid value: "9 bad"'
    code, _, err = recent_kubectl.result("apply", "-n", namespace, "-f", "-", stdin=bad)
    assert code == 1
    assert where.partition(": ")[2].partition(": ")[2] in err
    text = podward.cli("apply", "-n", namespace, "-f", "-", input=bad, check=False)
    assert 'PodPreset.settings.k8s.io "allow-database" is invalid: spec.env[0].name' in text
    assert "Traceback" not in text


# ---- what they put into Pods


def test_the_notes_pod_is_what_the_note_shows(kubectl: Kubectl, namespace: str) -> None:
    for outcome in ("created", "unchanged"):
        found = applied(kubectl, namespace, PRESET)
        assert found == (f"podpreset.settings.k8s.io/allow-database {outcome}", "")
        assert applied(kubectl, namespace, WEBSITE) == (f"pod/website {outcome}", "")
        version = version_of_preset(kubectl, namespace)
        assert stored(kubectl, namespace) == expected(version)
    kubectl("delete", "pod", "website", "-n", namespace, "--grace-period=0", "--force")


def test_the_container_has_the_variable_and_the_volume(
    podward: Podward, recent_kubectl: Kubectl, namespace: str
) -> None:
    applied(recent_kubectl, namespace, PRESET)
    applied(recent_kubectl, namespace, website())
    recent_kubectl("wait", "--for=condition=Ready", "pod/website", "-n", namespace)
    inside = "echo $DB_PORT; touch /cache/mine && ls /cache"
    told = podward.cli("exec", "-n", namespace, "website", "--", "sh", "-c", inside)
    assert told.split() == ["6379", "mine"]


def test_a_conflict_leaves_the_pod_alone_and_is_said(
    recent_kubectl: Kubectl, namespace: str
) -> None:
    applied(recent_kubectl, namespace, PRESET)
    own = '{name: DB_PORT, value: "5432"}'
    out, err = applied(recent_kubectl, namespace, website(env=own))
    assert out == "pod/website created"
    (line,) = err.splitlines()
    assert line.startswith("Warning: PodPreset: ")
    assert "allow-database" in line
    assert "DB_PORT" in line
    assert "5432" not in line
    assert "6379" not in line
    found = stored(recent_kubectl, namespace)
    assert found == UNTOUCHED | {"env": [{"name": "DB_PORT", "value": "5432"}]}


def test_a_pod_may_want_none_of_it(recent_kubectl: Kubectl, namespace: str) -> None:
    applied(recent_kubectl, namespace, PRESET)
    assert applied(recent_kubectl, namespace, website(annotation=EXCLUDE)) == (
        "pod/website created",
        "",
    )
    assert stored(recent_kubectl, namespace) == UNTOUCHED


def test_presets_are_their_namespaces_own(
    podward: Podward, recent_kubectl: Kubectl, namespace: str
) -> None:
    applied(recent_kubectl, namespace, PRESET)
    other = f"{namespace}-other"
    document = f"{{apiVersion: v1, kind: Namespace, metadata: {{name: {other}}}}}"
    podward.cli("apply", "-f", "-", input=document)
    try:
        applied(recent_kubectl, other, website())
        assert stored(recent_kubectl, other) == UNTOUCHED
    finally:
        recent_kubectl("delete", "namespace", other, "--wait=false")


def test_a_pod_that_is_there_already_is_left_alone(recent_kubectl: Kubectl, namespace: str) -> None:
    applied(recent_kubectl, namespace, website())
    applied(recent_kubectl, namespace, PRESET)
    assert applied(recent_kubectl, namespace, website()) == ("pod/website unchanged", "")
    assert stored(recent_kubectl, namespace) == UNTOUCHED


def test_a_dry_run_shows_what_would_be_and_stores_nothing(
    recent_kubectl: Kubectl, namespace: str
) -> None:
    applied(recent_kubectl, namespace, PRESET)
    options = ("-n", namespace, "--dry-run=server", "-o", "json", "-f", "-")
    code, out, err = recent_kubectl.result("create", *options, stdin=website())
    assert (code, err) == (0, "")
    version = version_of_preset(recent_kubectl, namespace)
    assert presets_put(json.loads(out)) == expected(version)
    assert "No resources found" in recent_kubectl("get", "pods", "-n", namespace)
    own = '{name: DB_PORT, value: "5432"}'
    _, _, err = recent_kubectl.result("create", *options, stdin=website(env=own))
    assert err.startswith("Warning: PodPreset: ")


def test_a_health_check_comes_from_operations(recent_kubectl: Kubectl, namespace: str) -> None:
    """The note's own question."""
    applied(
        recent_kubectl,
        namespace,
        HEALTH.replace("  volumes: [{name: crt, secret: {secretName: crt}}]\n", ""),
    )
    assert applied(recent_kubectl, namespace, website()) == ("pod/website created", "")
    spec = recent_kubectl.json("get", "pod", "website", "-n", namespace)["spec"]
    probe = spec["containers"][0]["livenessProbe"]
    assert probe == {
        "tcpSocket": {"port": 80},
        "failureThreshold": 3, "periodSeconds": 10, "successThreshold": 1, "timeoutSeconds": 1,
    }  # fmt: skip
    (sidecar,) = spec["initContainers"]
    assert (sidecar["name"], sidecar["restartPolicy"]) == ("log", "Always")
