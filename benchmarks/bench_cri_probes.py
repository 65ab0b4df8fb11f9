"""Exec probes in real containers: what one costs, forked by us and through the engine, and 110 Pods of them.

    python benchmarks/bench_cri_probes.py [--pods 110] [--rounds 300] [--seconds 20]

An engine of its own (tests/engine). CPU is that of Podward, its children, and whatever the engine runs: its own
processes found by their folder, with the children that they have reaped.
"""

import argparse
import json
import math
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Literal

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

import uvloop  # noqa: E402
from tests.engine.containerd import Containerd  # noqa: E402

from podward.kubelet.runtime.base import (  # noqa: E402
    ContainerConfig,
    SandboxConfig,
    SecurityContext,
    SecurityProfile,
)
from podward.kubelet.runtime.cri import CriRuntime  # noqa: E402

TICKS = os.sysconf("SC_CLK_TCK")
Way = Literal["direct", "engine"]


def report(name: str, **figures: Any) -> None:
    print(json.dumps({"benchmark": name, **figures}), flush=True)


def engine_cpu_s(engine: Containerd) -> float:
    """Of containerd and its shims, and of what they started and have seen the end of."""
    total = 0
    for folder in Path("/proc").iterdir():
        try:
            command = (folder / "cmdline").read_bytes()
            if str(engine.folder).encode() in command:
                total += _ticks(folder / "stat")
        except (OSError, ValueError):
            continue
    return total / TICKS


def _ticks(stat: Path) -> int:
    return sum(map(int, stat.read_text().rpartition(")")[2].split()[11:15]))


def our_cpu_s() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    # The process that forks is a child too, but one that has not ended.
    alive = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    forking = [pid for pid in alive if b"forker.py" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    ticks = sum(_ticks(Path(f"/proc/{pid}/stat")) for pid in forking)
    return sum(one.ru_utime + one.ru_stime for one in used) + ticks / TICKS


def machine_cpu_s() -> float:
    """Busy seconds of all processors: whoever else runs here is in it."""
    words = [int(word) for word in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    return (sum(words) - words[3] - words[4]) / TICKS


async def one_probe(engine: Containerd, rounds: int) -> None:
    ways: tuple[Way, ...] = ("engine", "direct")
    runtimes = {
        way: CriRuntime(str(engine.socket), instance="bench", exec_probes=way) for way in ways
    }
    for runtime in runtimes.values():
        await runtime.start()
    runtime = runtimes["direct"]
    for kind, security in {
        "plain": SecurityContext(),
        "seccomp": SecurityContext(seccomp=SecurityProfile("RuntimeDefault")),
    }.items():
        sandbox = await runtime.run_pod_sandbox(SandboxConfig("bench", "default", kind))
        config = ContainerConfig("c", 0, "busybox", command=["sleep", "3600"], security=security)
        container = await runtime.create_container(sandbox, config)
        await runtime.start_container(container)
        figures: dict[str, float] = {}
        for way, by in runtimes.items():
            await by.exec_sync(container, ["/bin/true"], 10)
            ours, theirs, walls = our_cpu_s(), engine_cpu_s(engine), []
            for _ in range(rounds):
                began = time.monotonic()
                await by.exec_sync(container, ["/bin/true"], 10)
                walls.append((time.monotonic() - began) * 1000)
            mine = (our_cpu_s() - ours) / rounds * 1000
            others = (engine_cpu_s(engine) - theirs) / rounds * 1000
            figures |= {
                f"{way}_cpu_ms": round(mine + others, 2),
                f"{way}_of_it_engine_ms": round(others, 2),
                f"{way}_median_ms": round(statistics.median(walls), 2),
                f"{way}_p99_ms": round(sorted(walls)[int(rounds * 0.99)], 2),
            }
        share = figures["direct_cpu_ms"] / figures["engine_cpu_ms"]
        report("cri_exec_probe", container=kind, rounds=rounds, share=round(share, 3), **figures)
        await runtime.remove_pod_sandbox(sandbox)
    for one in runtimes.values():
        await one.close()


MANIFEST = """---
apiVersion: v1
kind: Pod
metadata: {{name: p{i}}}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - name: c
    image: busybox
    imagePullPolicy: IfNotPresent
    command: [sleep, "3600"]
    livenessProbe:
      exec: {{command: [sh, -c, "read up _ < /proc/uptime; echo $up >> /tmp/probed"]}}
      periodSeconds: 1
      failureThreshold: 1000
"""


def many_pods(engine: Containerd, way: Way, pods: int, seconds: int) -> None:
    """As many Pods as get there in about two minutes, each with an exec probe every second."""
    folder = Path(tempfile.mkdtemp(prefix="podward-bench-"))
    env = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "KUBECONFIG": str(folder / "kubeconfig")}
    podward = [sys.executable, "-m", "podward"]
    server = subprocess.Popen(
        [*podward, "up", "--data-dir", str(folder), "--listen", "127.0.0.1:0", "--stop-pods",
         "--runtime", f"cri://{engine.socket}", "--exec-probes", way],
        env=env, stdout=subprocess.PIPE, stderr=(folder / "stderr").open("w"), text=True,
    )  # fmt: skip
    try:
        assert server.stdout is not None
        if "ready" not in server.stdout.readline():
            raise SystemExit((folder / "stderr").read_text())
        began = time.monotonic()
        manifest = "".join(MANIFEST.format(i=i) for i in range(pods))
        subprocess.run([*podward, "apply", "-f", "-"], env=env, input=manifest, text=True, check=True,
                       stdout=subprocess.DEVNULL)  # fmt: skip
        files: dict[str, Path] = {}
        while len(files) < pods and time.monotonic() - began < 120:
            time.sleep(2)
            files = probed(engine)
        started_s = time.monotonic() - began
        time.sleep(3)
        sizes = {name: len(stamps(file)) for name, file in files.items()}
        ours, theirs, machine = children_cpu_s(server.pid), engine_cpu_s(engine), machine_cpu_s()
        began = time.monotonic()
        time.sleep(seconds)
        took = time.monotonic() - began
        cpu = {
            "podward_cpu_percent": (children_cpu_s(server.pid) - ours) / took * 100,
            "engine_cpu_percent": (engine_cpu_s(engine) - theirs) / took * 100,
            "machine_cpu_percent": (machine_cpu_s() - machine) / took * 100,
        }
        lags, count = [], 0
        for name, file in files.items():
            at = stamps(file)[sizes[name] :]
            count += len(at)
            lags += lag(at)
        lags.sort()
        report(
            "cri_many_probes", way=way, pods=len(files), asked_for=pods, seconds=round(took, 1),
            all_probed_after_s=round(started_s, 1), probes=count, expected=round(len(files) * took),
            lag_p50_ms=round(lags[len(lags) // 2] * 1000),
            lag_p99_ms=round(lags[math.floor(len(lags) * 0.99)] * 1000),
            **{name: round(value, 1) for name, value in cpu.items()},
        )  # fmt: skip
    finally:
        server.terminate()
        server.wait(180)
        shutil.rmtree(folder, ignore_errors=True)


def lag(at: list[float]) -> list[float]:
    """How much later than its tick each probe ran: ticks are a second apart, the promptest shows where.

    A lag of half a second and more is not told from an early one: fewer probes than expected tell of it.
    """
    offsets = [(moment - at[0] + 0.5) % 1.0 - 0.5 for moment in at]
    return [offset - min(offsets) for offset in offsets]


def stamps(file: Path) -> list[float]:
    try:
        return [float(line) for line in file.read_text().split()]
    except FileNotFoundError:
        return []


def probed(engine: Containerd) -> dict[str, Path]:
    """Of each container whose probe has run, the file in its own file system."""
    found = {}
    for line in Path("/proc/mounts").read_text().splitlines():
        place = line.split()[1]
        if place.startswith(str(engine.folder)) and place.endswith("/rootfs"):
            file = Path(place, "tmp/probed")
            if file.exists():
                found[place] = file
    return found


def children_cpu_s(pid: int) -> float:
    """A process, what it has reaped, and the children that it keeps."""
    ticks = _ticks(Path(f"/proc/{pid}/stat"))
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            try:
                if b"forker.py" in Path(f"/proc/{child}/cmdline").read_bytes():
                    ticks += _ticks(Path(f"/proc/{child}/stat"))
            except OSError:
                continue
    return ticks / TICKS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pods", type=int, default=110)
    parser.add_argument("--rounds", type=int, default=300)
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--ways", default="direct,engine")
    wanted = parser.parse_args()
    engine = Containerd().start().load_usual()
    try:
        uvloop.run(one_probe(engine, wanted.rounds))
        for way in wanted.ways.split(","):
            if wanted.pods:
                many_pods(engine, way, wanted.pods, wanted.seconds)
    finally:
        engine.tear_down()


if __name__ == "__main__":
    main()
