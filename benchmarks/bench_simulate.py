"""CPU and wall time of simulations: an hour of the field note's Pod, and many Pods for a day.

Once with Pods that stay well (a liveness probe every ten seconds), once with the note's own, restarted all day.
"""

import copy
import time
from pathlib import Path
from typing import Any

from harness import report

from podward.api.yaml_loader import load_one
from podward.simulate.simulation import simulate

ROOT = Path(__file__).resolve().parents[1]
PODS, HOURS = 100, 24


def measured(documents: list[dict[str, Any]], seconds: float) -> dict[str, float]:
    began, cpu = time.monotonic(), time.process_time()
    recording = simulate(documents, seconds)
    return {
        "cpu_s": round(time.process_time() - cpu, 2),
        "wall_s": round(time.monotonic() - began, 2),
        "pod_changes": len(recording.changes),
    }


def main() -> None:
    note = load_one((ROOT / "examples/01-liveness/pod.yaml").read_bytes())
    simulate([note], 60)  # imports and caches
    well = copy.deepcopy(note)
    (container,) = well["spec"]["containers"]
    container["args"] = ["/bin/sh", "-c", "touch /tmp/healthy; exec sleep 1000000"]
    container["livenessProbe"] = {**container["livenessProbe"], "periodSeconds": 10}
    report(
        "simulate",
        one_pod_one_hour=measured([note], 3600),
        **{
            f"{PODS}_pods_{HOURS}_hours_well": measured(many(well), HOURS * 3600),
            f"{PODS}_pods_{HOURS}_hours_crashing": measured(many(note), HOURS * 3600),
        },
    )


def many(pod: dict[str, Any]) -> list[dict[str, Any]]:
    pods = []
    for i in range(PODS):
        one = copy.deepcopy(pod)
        one["metadata"]["name"] = f"p{i}"
        pods.append(one)
    return pods


if __name__ == "__main__":
    main()
