"""CPU and wall time of simulations: an hour of the field note's Pod, and many Pods for long."""

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
    many = []
    for i in range(PODS):
        pod = copy.deepcopy(note)
        pod["metadata"]["name"] = f"p{i}"
        many.append(pod)
    report(
        "simulate",
        one_pod_one_hour=measured([note], 3600),
        **{f"{PODS}_pods_{HOURS}_hours": measured(many, HOURS * 3600)},
    )


if __name__ == "__main__":
    main()
