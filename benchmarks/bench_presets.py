"""What one admission costs when a namespace has 200 presets of which 3 match: the engine alone, no server."""

import statistics
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parent.parent / "src"))

from harness import report

from podward.admission.plugins.pod_preset.merge import admit
from podward.admission.plugins.pod_preset.model import Preset
from podward.admission.plugins.pod_preset.parse import preset_of
from podward.admission.plugins.pod_preset.selection import PresetIndex

ROUNDS, REPEATS = 200, 7


def preset(number: int, app: str) -> Preset:
    """A calendar, a volume and its mount, a source: what presets are made of."""
    name = f"preset-{number:03}"
    return preset_of({
        "apiVersion": "settings.k8s.io/v1alpha1",
        "kind": "PodPreset",
        "metadata": {"name": name, "namespace": "edge", "resourceVersion": str(number)},
        "spec": {
            "selector": {"matchLabels": {"app": app}},
            "env": [{"name": f"P{number}_{i}", "value": str(i)} for i in range(2)],
            "envFrom": [{"configMapRef": {"name": name}}],
            "volumes": [{"name": name, "secret": {"secretName": name}}],
            "volumeMounts": [{"name": name, "mountPath": f"/etc/{name}", "readOnly": True}],
        },
    })  # fmt: skip


def typical_pod() -> dict[str, Any]:
    """As an API server hands it over: defaulted, with a token and a second container."""
    token = {"name": "kube-api-access", "mountPath": "/var/run/secrets", "readOnly": True}
    probe = {
        "httpGet": {"path": "/healthz", "port": 8080, "scheme": "HTTP"}, "timeoutSeconds": 1,
        "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3,
    }  # fmt: skip

    def container(name: str) -> dict[str, Any]:
        return {
            "name": name, "image": "registry.local/web:1.4", "imagePullPolicy": "IfNotPresent",
            "env": [{"name": f"OWN_{i}", "value": f"value {i}"} for i in range(8)],
            "ports": [{"name": "http", "containerPort": 8080, "protocol": "TCP"}],
            "resources": {"requests": {"cpu": "100m"}, "limits": {"memory": "128Mi"}},
            "livenessProbe": probe, "readinessProbe": probe, "volumeMounts": [token],
            "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File",
        }  # fmt: skip

    return {
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "web", "namespace": "edge", "labels": {"app": "web", "tier": "front"}},
        "spec": {
            "restartPolicy": "Always", "dnsPolicy": "ClusterFirst", "serviceAccountName": "default",
            "terminationGracePeriodSeconds": 30, "schedulerName": "default-scheduler",
            "containers": [container("app"), container("side")],
            "volumes": [{"name": "kube-api-access", "projected": {"sources": []}}],
        },
    }  # fmt: skip


def microseconds(call: Any) -> float:
    """CPU time of one call, the mean of the fastest round: the machine has other work to do."""
    means = []
    for _ in range(REPEATS):
        began = time.process_time()
        for _ in range(ROUNDS):
            call()
        means.append((time.process_time() - began) / ROUNDS * 1e6)
    return round(min(means), 1)


def main() -> None:
    presets = [preset(i, "web" if i < 3 else f"app-{i}") for i in range(200)]
    index = PresetIndex(presets)
    pod, figures = typical_pod(), {}
    began = time.process_time()
    PresetIndex(presets)
    figures["index_of_200_us"] = round((time.process_time() - began) * 1e6, 1)
    parsed = [
        microseconds_once(lambda i=i: preset(i, "web"))
        for i in range(50)  # type: ignore[misc]
    ]
    figures["parse_us"] = round(statistics.median(parsed), 1)
    for mode in ("safe", "compat"):
        result = admit(pod, index, namespace="edge", mode=mode)  # type: ignore[arg-type]
        assert len(result.applied) == 3
        for name, found in (("index", index), ("sequence", presets)):
            figures[f"{mode}_{name}_us"] = microseconds(
                lambda: admit(pod, found, namespace="edge", mode=mode)  # type: ignore[arg-type]  # noqa: B023
            )
        figures[f"{mode}_second_admission_us"] = microseconds(
            lambda: admit(result.pod, index, namespace="edge", mode=mode)  # type: ignore[arg-type]  # noqa: B023
        )
    nobody = {**pod, "metadata": {**pod["metadata"], "labels": {"app": "nobody"}}}
    figures["no_match_index_us"] = microseconds(lambda: admit(nobody, index, namespace="edge"))
    report("presets", presets=len(presets), matching=3, operations=len(result.patch), **figures)


def microseconds_once(call: Any) -> float:
    began = time.process_time()
    call()
    return (time.process_time() - began) * 1e6


if __name__ == "__main__":
    main()
