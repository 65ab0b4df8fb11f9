"""What every benchmark shares: a Podward of its own, figures of its process, one JSON line out."""

import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

TICKS = os.sysconf("SC_CLK_TCK")


class Server:
    def __init__(
        self, data_dir: Path, process: "subprocess.Popen[str]", url: str, ready_s: float
    ) -> None:
        self.data_dir = data_dir
        self.process = process
        self.url = url
        self.ready_s = ready_s
        self.kubeconfig = data_dir / "kubeconfig"

    def cli(self, *arguments: str, input: str | None = None) -> str:
        return subprocess.run(
            [sys.executable, "-m", "podward", *arguments],
            env={**os.environ, "KUBECONFIG": str(self.kubeconfig)},
            input=input, stdout=subprocess.PIPE, check=True, text=True,
        ).stdout  # fmt: skip

    def cpu_s(self) -> float:
        """User and system seconds of the server itself, and of the children it has reaped."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return sum(int(field) for field in fields[11:15]) / TICKS

    def rss_mb(self) -> float:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return round(int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024, 1)  # type: ignore[index]


@contextmanager
def server(*options: str) -> Iterator[Server]:
    """`podward up` on a data directory and port of its own; its containers end with it."""
    folder = Path(tempfile.mkdtemp(prefix="podward-bench-"))
    began = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "podward", "up", "--data-dir", str(folder / "data"),
         "--listen", "127.0.0.1:0", "--node-name", "bench", "--stop-pods", *options],
        stdout=subprocess.PIPE, stderr=(folder / "stderr").open("w"), text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if match := re.search(r"podward is ready: (https://\S+)", line):
                yield Server(folder / "data", process, match[1], time.monotonic() - began)
                break
        else:
            raise SystemExit((folder / "stderr").read_text())
    finally:
        process.terminate()
        process.wait(60)
        shutil.rmtree(folder, ignore_errors=True)


def spread(values: Sequence[float], unit: str) -> dict[str, float]:
    """Median and maximum, named with their unit."""
    return {
        f"median_{unit}": round(statistics.median(values), 4),
        f"max_{unit}": round(max(values), 4),
    }


def report(name: str, **figures: Any) -> None:
    print(json.dumps({"benchmark": name, **figures}), flush=True)


def wait_for(path: Path, timeout: float = 60.0) -> float:
    """The time.time() that the file's first line holds, once it is there."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        try:
            if text := path.read_text():
                return float(text.split()[0])
        except (FileNotFoundError, ValueError):
            pass
        time.sleep(0.002)
    raise SystemExit(f"{path} did not appear within {timeout} s")
