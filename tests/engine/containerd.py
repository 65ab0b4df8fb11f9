"""containerd of our own: its own root, state, socket and network, beside whatever engine the machine has.

Whoever starts one holds a lock in its folder for as long as he lives. An engine that nobody holds is what a
test run left that was killed: the next one tears it down (`sweep`).
"""

import contextlib
import fcntl
import os
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import grpc
import pytest
from tests.engine.images import Image, busybox, host, nginx, pause
from tests.engine.registry import Registry

from podward.kubelet.runtime.cri import runtime_v1_pb2 as pb

PREFIX = "pw-"
FIRST = ("nice", "-n", "-10")
"""Before whatever is timed: tests that look at it, and what else the machine does, wait for it."""

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
  netns_mounts_under_state_dir = true
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


_CGROUPS = Path("/sys/fs/cgroup")
LOCK = "held"


def _hold(folder: Path) -> object:
    """Until this process ends: children do not inherit it."""
    file = (folder / LOCK).open("w")
    fcntl.flock(file, fcntl.LOCK_EX)
    return file


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

    def __init__(self, left: Path | None = None) -> None:
        """`left`: the folder of one that its test run has left behind, to be torn down."""
        self.folder = left or Path(tempfile.mkdtemp(prefix=PREFIX))
        self.socket = self.folder / "c.sock"
        self.bridge = f"pw{self.folder.name.removeprefix(PREFIX)}".replace("_", "x")
        self.before: Sequence[str] = FIRST
        self._process: subprocess.Popen[bytes] | None = None
        self._mirror: Registry | None = None
        if left is not None:
            return
        self._hold = _hold(self.folder)
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
        self.socket.unlink(missing_ok=True)  # of one that was killed
        log = (self.folder / "log").open("ab")
        self._process = subprocess.Popen(
            [*self.before, "containerd", "--config", str(self.folder / "config.toml")],
            stdout=log, stderr=log, start_new_session=True, env={**os.environ, "PATH": _path()},
        )  # fmt: skip
        log.close()
        deadline = time.monotonic() + 30
        while not self.socket.exists() or self._pods() is None:
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
        """Every task, container, mount, cgroup and network of it, then the engine."""
        if self._mirror is not None:
            self._mirror.stop()
            self._mirror = None
        if self._process is None:
            self.start()
        pods = self._pods() or []
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
        self.clear(pods)

    def _pods(self) -> list[str] | None:
        """The UIDs of those that have a sandbox here; None while the engine cannot tell."""
        with grpc.insecure_channel(f"unix:{self.socket}") as channel:
            ask = channel.unary_unary(
                "/runtime.v1.RuntimeService/ListPodSandbox",
                request_serializer=pb.ListPodSandboxRequest.SerializeToString,
                response_deserializer=pb.ListPodSandboxResponse.FromString,
            )
            try:
                listed = ask(pb.ListPodSandboxRequest(), timeout=20)
            except grpc.RpcError:
                return None
        return [one.metadata.uid for one in listed.items]

    def clear(self, pods: Iterable[str]) -> None:
        """What is left on the machine when nothing runs any more."""
        unmount_below(self.folder)
        for uid in pods:
            for group in pod_cgroups(uid):
                with contextlib.suppress(OSError):
                    group.rmdir()
        subprocess.run(["ip", "link", "del", self.bridge], capture_output=True, check=False)
        self._close_ports()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _close_ports(self) -> None:
        """The rules of `hostPort`s: a chain for each sandbox, and what leads to it."""
        for rule in nat("-S"):
            if rule.startswith("-A CNI-HOSTPORT-DNAT") and f'name: \\"{self.bridge}\\"' in rule:
                words = shlex.split(rule)
                nat("-D", *words[1:])
                nat("-F", words[-1])
                nat("-X", words[-1])


def nat(*arguments: str) -> list[str]:
    """The lines that `iptables` prints of the nat table."""
    done = subprocess.run(
        ["iptables", "-w", "-t", "nat", *arguments],
        stdout=subprocess.PIPE, text=True, env={**os.environ, "PATH": _path()}, check=False,
    )  # fmt: skip
    return done.stdout.splitlines()


def pod_cgroups(uid: str) -> list[Path]:
    """Of every controller (cgroup v1), or the one (v2)."""
    roots = [root / "kubepods" for root in (_CGROUPS, *_CGROUPS.iterdir())]
    return [one for root in roots for one in (*root.glob(f"pod{uid}"), *root.glob(f"*/pod{uid}"))]


def unmount_below(folder: Path) -> None:
    """Whoever removes a folder next finds nothing busy in it."""
    for line in reversed(Path("/proc/mounts").read_text().splitlines()):
        place = line.split()[1]
        if place.startswith(f"{folder}/"):
            subprocess.run(["umount", "-l", place], check=False)


def sweep() -> None:
    """Tear down every engine whose test run is dead; of those that are held, or were never ours, nothing is
    touched."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        lock = folder / LOCK
        if not lock.exists():
            continue
        with lock.open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                continue
            words = {f"cri://{folder}/c.sock", f"{folder}/config.toml"}
            for pid, command in _commands():
                if not words.isdisjoint(command):
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                    if "--data-dir" in command:  # a server that used the engine
                        unmount_below(Path(command[command.index("--data-dir") + 1]))
            left = Containerd(folder)
            try:
                left.tear_down()
            except (
                pytest.fail.Exception
            ):  # it had hardly begun, or is broken: then without its help
                for pid, command in _commands():
                    if any(str(folder) in word for word in command):
                        with contextlib.suppress(ProcessLookupError):
                            os.kill(pid, signal.SIGKILL)
                left.clear(())


def _commands() -> Iterator[tuple[int, list[str]]]:
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            yield int(path.parent.name), path.read_text(errors="replace").split("\0")


def _free_subnet(folder: Path) -> str:
    """One of 10.88-10.119 x 256, by the folder's name: engines of tests that run side by side seldom meet."""
    number = sum(ord(letter) * (31**i) for i, letter in enumerate(folder.name))
    return f"10.{88 + number % 32}.{number // 32 % 256}.0/24"
