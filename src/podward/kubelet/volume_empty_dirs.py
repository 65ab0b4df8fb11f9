"""emptyDir: where it lies, how large it may be, how much is in it."""

import os
from collections.abc import Iterator
from pathlib import Path

from lightkube.models import core_v1

from podward.kubelet.restart_policy import init_containers, is_sidecar, regular_containers
from podward.kubelet.volume_mounter import Mounter
from podward.kubelet.volume_plan import VolumeError
from podward.machinery.quantity import parse_quantity

_HUGE_PAGES = "HugePages"
_PAGES = Path("/sys/kernel/mm/hugepages")


def size_limit(source: core_v1.EmptyDirVolumeSource) -> int:
    """In bytes; 0 for none."""
    return int(parse_quantity(str(source.sizeLimit))) if source.sizeLimit is not None else 0


def memory_size(pod: core_v1.Pod, source: core_v1.EmptyDirVolumeSource, node_memory: int) -> int:
    """Of a volume in memory: no more than the Pod may use, if that is known, than the volume may hold, than the
    machine has."""
    bounds = (_pod_memory_limit(pod), size_limit(source), node_memory)
    return min((bound for bound in bounds if bound > 0), default=0)


def _pod_memory_limit(pod: core_v1.Pod) -> int:
    """0 if a container has none. Plain init containers run one at a time, beside the sidecars before them."""
    regular, init = regular_containers(pod), init_containers(pod)
    limits = {c.name: _memory_limit(c) for c in (*regular, *init)}
    if not limits or not all(limits.values()):
        return 0
    sidecars, most = 0, 0
    for container in init:
        if is_sidecar(container):
            sidecars += limits[container.name]
            most = max(most, sidecars)
        else:
            most = max(most, sidecars + limits[container.name])
    return max(most, sidecars + sum(limits[c.name] for c in regular))


def _memory_limit(container: core_v1.Container) -> int:
    limits = (container.resources and container.resources.limits) or {}
    return int(parse_quantity(str(limits["memory"]))) if "memory" in limits else 0


def set_up(
    pod: core_v1.Pod,
    source: core_v1.EmptyDirVolumeSource,
    place: Path,
    ready: Path,
    *,
    mounter: Mounter | None,
    group: int | None,
    node_memory: int,
) -> None:
    """Once: what containers make of it afterwards is theirs. `ready`: the file that says so; what was in memory
    is made anew after the machine's own restart."""
    medium = source.medium or ""
    mounted = medium == "Memory" or medium.startswith(_HUGE_PAGES)
    if medium and not mounted:
        raise VolumeError(f'unknown storage medium "{medium}"')
    if medium.startswith(_HUGE_PAGES) and mounter is None:
        raise VolumeError("huge pages can be mounted by root only")
    mounted = mounted and mounter is not None
    if ready.exists() and (mounter is None or not mounted or mounter.is_mounted(place)):
        return
    place.mkdir(parents=True, exist_ok=True)
    if mounter is None:
        place.chmod(0o777)
    else:
        if mounted and not mounter.is_mounted(place) and not any(place.iterdir()):
            _mount(pod, source, place, mounter, node_memory)
        give_directory(place, 0o1777 if mounted else 0o777, group, writable=True)
    ready.parent.mkdir(parents=True, exist_ok=True)
    ready.touch()


def give_directory(place: Path, mode: int, group: int | None, *, writable: bool) -> None:
    """To the Pod's fsGroup: what is made in it belongs to the group too."""
    if group is not None:
        os.chown(place, -1, group)
        mode |= 0o2000 | (0o770 if writable else 0o550)
    place.chmod(mode)


def _mount(
    pod: core_v1.Pod,
    source: core_v1.EmptyDirVolumeSource,
    place: Path,
    mounter: Mounter,
    node_memory: int,
) -> None:
    if source.medium == "Memory":
        mounter.tmpfs(place, size=memory_size(pod, source, node_memory))
        return
    page = _page_size(pod, source.medium or "")
    pages = _PAGES / f"hugepages-{page // 1024}kB/nr_hugepages"
    if not pages.exists() or int(pages.read_text()) == 0:
        raise VolumeError(f"this machine has no huge pages of {page // 1024 // 1024}Mi set aside")
    mounter.huge_pages(place, page=page, size=size_limit(source))


def _page_size(pod: core_v1.Pod, medium: str) -> int:
    """What the medium names; if it names none, the one size that the Pod's containers use."""
    _, _, named = medium.partition("-")
    if named:
        return int(parse_quantity(named))
    used = {
        name.removeprefix("hugepages-")
        for container in (*regular_containers(pod), *init_containers(pod))
        for name in (container.resources and container.resources.requests) or {}
        if name.startswith("hugepages-")
    }
    if len(used) != 1:
        text = "no huge pages" if not used else f"huge pages of several sizes ({len(used)})"
        raise VolumeError(f"medium HugePages names no size, and the pod's containers use {text}")
    return int(parse_quantity(used.pop()))


def used_bytes(place: Path) -> int:
    """What it takes on its disk: each file once, however many names it has, and nothing mounted there."""
    seen: set[int] = set()
    total = 0
    try:
        device = os.lstat(place).st_dev
    except FileNotFoundError:
        return 0
    for found in _walk(str(place), device):
        if found.st_ino not in seen:
            seen.add(found.st_ino)
            total += found.st_blocks * 512
    return total


def _walk(top: str, device: int) -> Iterator[os.stat_result]:
    """What goes while it is looked at is not counted."""
    waiting = [top]
    while waiting:
        try:
            entries = list(os.scandir(waiting.pop()))
        except OSError:
            continue
        for entry in entries:
            try:
                found = entry.stat(follow_symlinks=False)
                if found.st_dev != device:
                    continue
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
            except OSError:
                continue
            yield found
