"""Drives the real product from outside: `podward up` as a process, every kubectl this machine can have."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ROOT / ".tools"
T = TypeVar("T")


def component_missing(what: str) -> None:
    """Fails under CI=true, skips loudly elsewhere."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"cannot be had on this machine: {what}")
    pytest.skip(f"NOT TESTED, cannot be had on this machine: {what}")


def eventually(check: Callable[[], T], *, timeout: float = 20.0, what: str = "") -> T:
    """The first truthy answer of `check`; fails with the last one after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while True:
        answer = check()
        if answer:
            return answer
        if time.monotonic() > deadline:
            pytest.fail(f"not within {timeout} s: {what or check}; last answer {answer!r}")
        time.sleep(0.05)


class Podward:
    """A `podward up` process on a data directory of its own."""

    def __init__(self, data_dir: Path, *options: str) -> None:
        self.data_dir = data_dir
        self.options = options
        self.process: subprocess.Popen[str] | None = None
        self.url = ""

    @property
    def kubeconfig(self) -> Path:
        return self.data_dir / "kubeconfig"

    def command(self) -> list[str]:
        listen = "127.0.0.1:0" if not self.url else self.url.removeprefix("https://")
        return [
            *(sys.executable, "-m", "podward", "up", "--data-dir", str(self.data_dir)),
            *("--listen", listen, "--node-name", "node-1", *self.options),
        ]

    def start(self) -> "Podward":
        log = (self.data_dir.parent / f"{self.data_dir.name}.stderr").open("a")
        self.process = subprocess.Popen(
            self.command(), stdout=subprocess.PIPE, stderr=log, text=True, start_new_session=True
        )
        log.close()
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if ready := re.search(r"podward is ready: (https://\S+)", line):
                self.url = ready[1]
                return self
        self.process.wait()
        stderr = Path(log.name).read_text()
        pytest.fail(f"podward up ended with {self.process.returncode}: {stderr[-2000:]}")

    def kill(self) -> None:
        """As `kill -9` does it: no goodbye."""
        self._signal(signal.SIGKILL)

    def stop(self) -> int:
        return self._signal(signal.SIGTERM)

    def _signal(self, number: int) -> int:
        if self.process is None:
            return 0
        self.process.send_signal(number)
        code = self.process.wait(timeout=40)
        if self.process.stdout:
            self.process.stdout.close()
        self.process = None
        return code

    def cli(self, *arguments: str, check: bool = True, **options: Any) -> str:
        """`podward ARGUMENTS` against this server: its standard output."""
        return run(
            sys.executable, "-m", "podward", *arguments,
            env={**os.environ, "KUBECONFIG": str(self.kubeconfig)}, check=check, **options,
        )  # fmt: skip

    def tear_down(self) -> None:
        """End Podward and every container it left."""
        if self.process is not None:
            self.kill()
        try:
            self.options = (*self.options, "--stop-pods")
            self.start().stop()
        finally:
            shutil.rmtree(self.data_dir, ignore_errors=True)


def unmount_below(folder: Path) -> None:
    for line in reversed(Path("/proc/mounts").read_text().splitlines()):
        place = line.split()[1]
        if place.startswith(f"{folder}/"):
            subprocess.run(["umount", "-l", place], check=False)


def run(*command: str, check: bool = True, timeout: float = 60, **options: Any) -> str:
    done = subprocess.run(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout,
        **options,
    )
    if check and done.returncode != 0:
        pytest.fail(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}")
    return str(done.stdout)


class Kubectl:
    def __init__(self, binary: Path, podward: Podward, home: Path) -> None:
        self.binary = binary
        self.podward = podward
        self.env = {
            "PATH": os.environ["PATH"],
            "HOME": str(home),  # its discovery cache
            "KUBECONFIG": str(podward.kubeconfig),
        }

    def __call__(self, *arguments: str, check: bool = True, **options: Any) -> str:
        return run(str(self.binary), *arguments, check=check, env=self.env, **options)

    def json(self, *arguments: str) -> Any:
        return json.loads(self(*arguments, "-o", "json"))

    def result(self, *arguments: str, stdin: str = "") -> tuple[int, str, str]:
        """(exit code, stdout, stderr)."""
        done = subprocess.run(
            [str(self.binary), *arguments],
            input=stdin, capture_output=True, text=True, timeout=60, env=self.env,
        )  # fmt: skip
        return done.returncode, done.stdout, done.stderr

    @contextmanager
    def background(self, *arguments: str) -> Iterator[subprocess.Popen[str]]:
        with subprocess.Popen(
            [str(self.binary), *arguments],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=self.env,
        ) as process:  # fmt: skip
            try:
                yield process
            finally:
                process.terminate()
                process.wait(timeout=10)

    def apply(self, manifest: str, *options: str, check: bool = True) -> str:
        return run(
            str(self.binary), "apply", *options, "-f", "-",
            env=self.env, input=manifest, check=check,
        )  # fmt: skip


def version_of(binary: Path) -> str:
    text = run(str(binary), "version", "--client", "-o", "json")
    return str(json.loads(text)["clientVersion"]["gitVersion"])


def kubectl_1_20() -> Path | None:
    """Debian's `kubernetes-client`, unpacked: installing it would replace the machine's kubectl."""
    folder = TOOLS / "kubectl-1.20"
    binary = folder / "usr/bin/kubectl"
    if binary.exists():
        return binary
    if not (shutil.which("apt-get") and shutil.which("dpkg")):
        return None
    folder.mkdir(parents=True, exist_ok=True)
    if not _download(folder) and os.geteuid() == 0:
        subprocess.run(["apt-get", "-qq", "update"], check=False)
        _download(folder)
    for package in folder.glob("*.deb"):
        subprocess.run(["dpkg", "-x", str(package), str(folder)], check=True)
        package.unlink()
    return binary if binary.exists() else None


def _download(folder: Path) -> bool:
    done = subprocess.run(
        ["apt-get", "download", "-qq", "kubernetes-client"], cwd=folder, capture_output=True
    )
    return done.returncode == 0


def kubectl_current() -> Path | None:
    """The kubectl on the PATH."""
    found = shutil.which("kubectl")
    return Path(found) if found else None
