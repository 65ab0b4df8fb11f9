"""`kill -9` of a container's main process until its successor's first instruction; and what the same sandbox
costs when it is started by hand, so that the difference is Podward's own."""

import os
import signal
import subprocess
import tempfile
import time
from pathlib import Path

from harness import Server, report, server, spread, wait_for

ROUNDS = 8


def by_hand(folder: Path) -> float:
    """The operating system's share: bubblewrap from spawn to the command's first instruction."""
    out = folder / "hand"
    out.unlink(missing_ok=True)
    began = time.time()
    subprocess.run(
        ["bwrap", "--unshare-pid", "--as-pid-1", "--unshare-uts", "--unshare-ipc", "--ro-bind", "/", "/",
         "--dev-bind", "/dev", "/dev", "--proc", "/proc", "--tmpfs", "/tmp", "--bind", str(folder), "/mnt",
         "sh", "-c", "date +%s.%N >/mnt/hand"],
        check=True,
    )  # fmt: skip
    return wait_for(out) - began


def healing(podward: Server, folder: Path) -> float:
    """From the moment a container turns ill until its successor runs: 1 s probe, one failure, 1 s of grace."""
    manifest = f"""
apiVersion: v1
kind: Pod
metadata: {{name: ill}}
spec:
  terminationGracePeriodSeconds: 1
  volumes: [{{name: out, hostPath: {{path: {folder}}}}}]
  containers:
  - name: c
    image: busybox
    command: [sh, -c, 'n=$(ls /out | wc -l); date +%s.%N >/out/start.$n; touch /tmp/ok; sleep 2.5;
      rm /tmp/ok; date +%s.%N >/out/ill; sleep 3600']
    livenessProbe: {{exec: {{command: [cat, /tmp/ok]}}, initialDelaySeconds: 1,
      periodSeconds: 1, failureThreshold: 1}}
    volumeMounts: [{{name: out, mountPath: /out}}]
"""
    podward.cli("apply", "-f", "-", input=manifest)
    ill = wait_for(folder / "ill")
    successor = wait_for(folder / "start.2") - ill
    podward.cli("delete", "pod", "ill")
    return successor


def main() -> None:
    with server() as podward, tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        reactions = []
        for i in range(ROUNDS):
            # A Pod of its own each round: only a first restart is immediate.
            manifest = f"""
apiVersion: v1
kind: Pod
metadata: {{name: p{i}}}
spec:
  terminationGracePeriodSeconds: 0
  volumes: [{{name: out, hostPath: {{path: {folder}}}}}]
  containers:
  - name: c
    image: busybox
    command: [sh, -c, 'n=$(ls /out | wc -l); date +%s.%N >/out/p{i}.$n; exec sleep 36{i}0']
    volumeMounts: [{{name: out, mountPath: /out}}]
"""
            for old in folder.iterdir():
                old.unlink()
            podward.cli("apply", "-f", "-", input=manifest)
            wait_for(folder / f"p{i}.0")
            time.sleep(0.5)
            pid = int(subprocess.check_output(["pgrep", "-fx", f"sleep 36{i}0"]).split()[0])
            killed = time.time()
            os.kill(pid, signal.SIGKILL)
            reactions.append(wait_for(folder / f"p{i}.1") - killed)
        hand = [by_hand(folder) for _ in range(ROUNDS)]
        healed = []
        for _ in range(ROUNDS // 2):
            for old in folder.iterdir():
                old.unlink()
            healed.append(healing(podward, folder))
        report(
            "reaction",
            rounds=ROUNDS,
            **spread(reactions, "s"),
            by_hand=spread(hand, "s"),
            liveness_to_successor=spread(healed, "s"),
        )


if __name__ == "__main__":
    main()
