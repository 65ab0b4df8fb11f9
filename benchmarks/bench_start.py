"""20 Pods applied at once: from the apply's start until each container's first instruction."""

import tempfile
import time
from pathlib import Path

from harness import report, server, spread, wait_for

PODS = 20


def main() -> None:
    with server() as podward, tempfile.TemporaryDirectory() as folder:
        manifest = "".join(
            f"""---
apiVersion: v1
kind: Pod
metadata: {{name: p{i}}}
spec:
  terminationGracePeriodSeconds: 0
  volumes: [{{name: out, hostPath: {{path: {folder}}}}}]
  containers:
  - name: c
    image: busybox
    command: [sh, -c, 'date +%s.%N >/out/p{i}; exec sleep 3600']
    volumeMounts: [{{name: out, mountPath: /out}}]
"""
            for i in range(PODS)
        )
        began = time.time()
        podward.cli("apply", "-f", "-", input=manifest)
        starts = [wait_for(Path(folder) / f"p{i}") - began for i in range(PODS)]
        report("start", pods=PODS, **spread(starts, "s"), rss_mb=podward.rss_mb())


if __name__ == "__main__":
    main()
