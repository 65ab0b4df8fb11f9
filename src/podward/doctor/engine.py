"""Looking at an engine: what it says of itself, and what its configuration asks of this machine."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from podward.doctor.facts import Condition, Engine, EngineConfig, Network, NoEngine
from podward.doctor.machine import CAP_SYS_RESOURCE, disk, has_capability, listener
from podward.kubelet.runtime.base import RuntimeFailure
from podward.kubelet.runtime.cri import discovery
from podward.kubelet.runtime.cri import runtime_v1_pb2 as pb
from podward.kubelet.runtime.cri.client import CriClient
from podward.kubelet.runtime.cri.configs import INSTANCE_LABEL

_CALL_SECONDS = 10.0
_POD_LABELS = ("io.kubernetes.pod.namespace", "io.kubernetes.pod.name")
_UID_LABEL = "io.kubernetes.pod.uid"
_PLUGIN_FOLDERS = ("/opt/cni/bin", "/usr/lib/cni", "/usr/libexec/cni")


async def look(runtime: str) -> Engine | NoEngine:
    """`runtime`: `cri`, `cri://SOCKET` or `unix://SOCKET`."""
    try:
        found = await discovery.find(runtime)
    except discovery.NoEngine as error:
        return NoEngine(error.message, error.mend)
    client = CriClient(found.socket)
    try:
        return await _ask(client, found)
    except RuntimeFailure as error:
        return NoEngine(f"{found.name} {found.version} at {found.socket} does not answer: {error}")
    finally:
        await client.close()


async def _ask(client: CriClient, found: discovery.Engine) -> Engine:
    status = await client.runtime(
        "Status", pb.StatusRequest(verbose=True), pb.StatusResponse, _CALL_SECONDS
    )
    config = read_config(status.info)
    listed = await client.runtime(
        "ListPodSandbox", pb.ListPodSandboxRequest(), pb.ListPodSandboxResponse, _CALL_SECONDS
    )
    here = None
    if config is not None and config.sandbox_image:
        asked = pb.ImageStatusRequest(image=pb.ImageSpec(image=config.sandbox_image))
        answer = await client.images("ImageStatus", asked, pb.ImageStatusResponse, _CALL_SECONDS)
        here = answer.HasField("image")
    images = await client.images(
        "ListImages", pb.ListImagesRequest(), pb.ListImagesResponse, _CALL_SECONDS
    )
    named = sorted((one.size, one.repo_tags[0]) for one in images.images if one.repo_tags)
    size, free = disk(config.root) if config is not None and config.root else (0, 0)
    pid = listener(found.socket)
    return Engine(
        socket=found.socket,
        name=found.name,
        version=found.version,
        conditions={
            one.type: Condition(one.status, one.reason, one.message)
            for one in status.status.conditions
        },
        config=config,
        sandbox_image_here=here,
        smallest_image=named[0][1] if named else "",
        disk_bytes=size,
        disk_free_bytes=free,
        lowers_oom_scores=None if pid is None else has_capability(pid, CAP_SYS_RESOURCE),
        strangers=tuple(
            "/".join(one.labels.get(name, "?") for name in _POD_LABELS)
            for one in listed.items
            if _UID_LABEL in one.labels and INSTANCE_LABEL not in one.labels
        ),
    )


def read_config(info: Mapping[str, str]) -> EngineConfig | None:
    """Of a verbose status, as containerd tells it: JSON, named as in Go. None: this engine does not."""
    try:
        held = msgspec.json.decode(info.get("config", ""))
    except msgspec.DecodeError:
        return None
    if not isinstance(held, dict):
        return None
    containerd = _within(held, "containerd")
    runtimes = _within(containerd, "runtimes")
    default = runtimes.get(str(containerd.get("defaultRuntimeName", "")))
    options = _within(default if isinstance(default, dict) else {}, "options")
    image = held.get("sandboxImage") or _within(held, "pinnedImages").get("sandbox") or ""
    return EngineConfig(
        sandbox_image=str(image),
        restricts_oom_score=bool(held.get("restrictOOMScoreAdj")),
        systemd_cgroups=bool(options.get("SystemdCgroup") or held.get("systemdCgroup")),
        snapshotter=str(containerd.get("snapshotter") or ""),
        root=str(held.get("containerdRootDir") or ""),
        network=_network(_within(held, "cni")),
    )


def _within(held: Mapping[str, Any], name: str) -> dict[str, Any]:
    found = held.get(name)
    return found if isinstance(found, dict) else {}


def _network(cni: Mapping[str, Any]) -> Network:
    bin_dirs = cni.get("binDirs") or [cni.get("binDir") or ""]
    bin_dirs = tuple(str(one) for one in bin_dirs if one)
    config_dir = str(cni.get("confDir") or "")
    files = _config_files(Path(config_dir)) if config_dir else []
    name, plugins = _plugins(files[0]) if files else ("", [])
    wanted = dict.fromkeys(["loopback", *plugins]) if bin_dirs else {}
    missing = [one for one in wanted if not _is_in(bin_dirs, one)]
    elsewhere = [
        folder
        for folder in _PLUGIN_FOLDERS
        if missing and folder not in bin_dirs and all(_is_in((folder,), one) for one in missing)
    ]
    return Network(
        config_dir=config_dir,
        bin_dirs=bin_dirs,
        config_files=tuple(map(str, files)),
        name=name,
        missing_plugins=tuple(missing),
        plugins_elsewhere=elsewhere[0] if elsewhere else "",
    )


def _is_in(folders: tuple[str, ...], plugin: str) -> bool:
    return any(os.access(f"{folder}/{plugin}", os.X_OK) for folder in folders)


def _config_files(folder: Path) -> list[Path]:
    """In the order in which engines take them: by name."""
    try:
        found = [one for one in folder.iterdir() if one.suffix in (".conf", ".conflist", ".json")]
    except OSError:
        return []
    return sorted(found)


def _plugins(path: Path) -> tuple[str, list[str]]:
    """The network's name and the programs it takes; a single plug-in's file has no list."""
    try:
        held = msgspec.json.decode(path.read_bytes())
    except (OSError, msgspec.DecodeError):
        return "", []
    if not isinstance(held, dict):
        return "", []
    plugins = held.get("plugins")
    listed = (
        [one for one in plugins if isinstance(one, dict)] if isinstance(plugins, list) else [held]
    )
    types = [part.get("type") for one in listed for part in (one, _within(one, "ipam"))]
    return str(held.get("name") or ""), [str(one) for one in types if one]
