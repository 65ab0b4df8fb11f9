"""containerd of our own: its own root, state, socket and network, beside whatever engine the machine has."""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import pytest
from tests.engine.images import Image, busybox, host, nginx, pause
from tests.engine.registry import Registry

CNI_FOLDERS = ("/usr/lib/cni", "/opt/cni/bin", "/usr/libexec/cni")
_CONFIG = """version = 2
root = "{folder}/root"
state = "{folder}/state"
oom_score = 0
[grpc]
  address = "{socket}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "podward.test/pause:1"
  restrict_oom_score_adj = true
  stream_server_address = "127.0.0.1"
  stream_server_port = "0"
  enable_unprivileged_ports = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{cni}"
    conf_dir = "{folder}/cni"
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = "{folder}/registries"
"""
_NETWORK = """{{
  "cniVersion": "0.4.0", "name": "{name}",
  "plugins": [
    {{"type": "bridge", "bridge": "{name}", "isGateway": true, "hairpinMode": true,
      "ipam": {{"type": "host-local", "dataDir": "{folder}/ipam", "ranges": [[{{"subnet": "{subnet}"}}]],
               "routes": [{{"dst": "0.0.0.0/0"}}]}}}},
    {{"type": "portmap", "capabilities": {{"portMappings": true}}, "snat": true}}
  ]
}}
"""


def missing() -> list[str]:
    """What this machine lacks for it; empty if nothing."""
    commands = ("containerd", "runc", "ctr", "busybox", "iptables")
    lacking = [name for name in commands if shutil.which(name, path=_path()) is None]
    if not any(Path(folder, "bridge").exists() for folder in CNI_FOLDERS):
        lacking.append("CNI plugins")
    if os.geteuid() != 0:
        lacking.append("root")
    return lacking


def _path() -> str:
    return os.environ.get("PATH", "") + ":/usr/sbin:/sbin"


class Containerd:
    """One engine. Its folder is short-named: a Unix socket's path may have 107 bytes."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="pw-"))
        self.socket = self.folder / "c.sock"
        self.bridge = f"pw{os.getpid() % 100000:05d}{self.folder.name[-4:]}".replace("_", "x")
        self._process: subprocess.Popen[bytes] | None = None
        self._mirror: Registry | None = None
        cni = next(folder for folder in CNI_FOLDERS if Path(folder, "bridge").exists())
        (self.folder / "cni").mkdir()
        config = _CONFIG.format(folder=self.folder, socket=self.socket, cni=cni)
        (self.folder / "config.toml").write_text(config)
        network = _NETWORK.format(
            name=self.bridge, folder=self.folder, subnet=_free_subnet(self.folder)
        )
        (self.folder / "cni/10-podward.conflist").write_text(network)

    @property
    def endpoint(self) -> str:
        return f"unix://{self.socket}"

    def start(self) -> "Containerd":
        log = (self.folder / "log").open("ab")
        self._process = subprocess.Popen(
            ["containerd", "--config", str(self.folder / "config.toml")],
            stdout=log, stderr=log, start_new_session=True, env={**os.environ, "PATH": _path()},
        )  # fmt: skip
        log.close()
        deadline = time.monotonic() + 30
        while self._ctr("version", check=False).returncode != 0:
            if self._process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"containerd does not start: {self.log()[-2000:]}")
            time.sleep(0.05)
        return self

    def stop(self, number: int = signal.SIGTERM) -> None:
        """The engine only; its containers run on."""
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(timeout=30)
            self._process = None

    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")

    def load(self, *images: Image) -> None:
        """Here, and in a registry that stands for those of their names: pull policy `Always` finds them
        without a network. What is of `podward.test` has no registry."""
        for image in images:
            self._ctr("images", "import", "--no-unpack", "-", input=image.archive())
            for name in image.names:
                registry, _, rest = name.partition("/")
                if registry != "podward.test":
                    self._mirror_for(registry).push(image, *rest.rsplit(":", 1))

    def _mirror_for(self, registry: str) -> Registry:
        if self._mirror is None:
            self._mirror = Registry()
        hosts = self.folder / "registries" / registry / "hosts.toml"
        hosts.parent.mkdir(parents=True, exist_ok=True)
        hosts.write_text(
            f'[host."http://{self._mirror.host}"]\n  capabilities = ["pull", "resolve"]\n'
        )
        return self._mirror

    def load_usual(self) -> "Containerd":
        self.load(pause(), busybox(), nginx(), host())
        return self

    def remove_image(self, name: str) -> None:
        self._ctr("images", "rm", name)

    def ctr(self, *arguments: str) -> str:
        return self._ctr(*arguments).stdout.decode()

    def _ctr(
        self, *arguments: str, input: bytes | None = None, check: bool = True
    ) -> "subprocess.CompletedProcess[bytes]":
        command = ["ctr", "--address", str(self.socket), "--namespace", "k8s.io", *arguments]
        done = subprocess.run(command, input=input, capture_output=True)
        if check and done.returncode != 0:
            pytest.fail(f"{' '.join(command)}: {done.stderr.decode(errors='replace')}")
        return done

    def tear_down(self) -> None:
        """Every task, container, mount and network of it, then the engine."""
        if self._mirror is not None:
            self._mirror.stop()
            self._mirror = None
        if self._process is None:
            self.start()
        for line in self.ctr("tasks", "ls").splitlines()[1:]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(line.split()[1]), signal.SIGKILL)
        deadline = time.monotonic() + 10
        while "RUNNING" in self.ctr("tasks", "ls") and time.monotonic() < deadline:
            time.sleep(0.05)
        # All in one call: one each takes seconds where many ran.
        if tasks := self.ctr("tasks", "ls", "-q").split():
            self._ctr("tasks", "rm", "-f", *tasks, check=False)
        if containers := self.ctr("containers", "ls", "-q").split():
            self._ctr("containers", "rm", *containers, check=False)
        self.stop()
        for line in reversed(Path("/proc/mounts").read_text().splitlines()):
            place = line.split()[1]
            if place.startswith(f"{self.folder}/"):
                subprocess.run(["umount", "-l", place], check=False)
        namespaces = self.folder / "namespaces"
        if namespaces.exists():
            shutil.rmtree(namespaces, ignore_errors=True)
        subprocess.run(["ip", "link", "del", self.bridge], capture_output=True, check=False)
        shutil.rmtree(self.folder, ignore_errors=True)


def _free_subnet(folder: Path) -> str:
    """One of 10.88-10.119 x 256, by the folder's name: engines of tests that run side by side seldom meet."""
    number = sum(ord(letter) * (31**i) for i, letter in enumerate(folder.name))
    return f"10.{88 + number % 32}.{number // 32 % 256}.0/24"
