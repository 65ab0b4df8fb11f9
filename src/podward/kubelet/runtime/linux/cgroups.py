"""Where a process's cgroups are in the file system. Pure: from the texts of /proc."""

from collections.abc import Iterator

from podward.kubelet.runtime.linux.unfaithful import Unfaithful


def joined(cgroups: str, ours: str, mounts: str) -> list[str]:
    """The files that a process writes 0 to, to be in the same cgroups (cgroups(7)): version 1, 2 or both.

    `cgroups`: /proc/PID/cgroup; `ours`: that of who will write, for where it is already nothing is written;
    `mounts`: /proc/self/mountinfo. Raises `Unfaithful` for a hierarchy that is not mounted here, or a cgroup
    that lies outside of what is.

    In version 1 it is `tasks`, the file for one thread: who has only one is moved whole, and a thread that
    moves itself spares the kernel the lock that waits for every fork of the machine (cgroup_procs_write_start).
    """
    mounted = list(_mounted(mounts))
    here = dict(_membership(ours))
    files = []
    for controllers, path in _membership(cgroups):
        if here.get(controllers) == path:
            continue
        known = [(root, place) for options, root, place in mounted if controllers <= options]
        if not controllers:
            known = [(root, place) for options, root, place in mounted if not options]
        if not known:
            named = ",".join(sorted(controllers)) or "version 2"
            raise Unfaithful(f"cgroup hierarchy {named} is not mounted")
        for root, place in known:
            above = root.rstrip("/")
            if path == root or path.startswith(f"{above}/"):
                name = "tasks" if controllers else "cgroup.procs"
                files.append(f"{place}{path[len(above) :].rstrip('/')}/{name}")
                break
        else:
            raise Unfaithful(f"cgroup {path} is not below {known[0][0]}")
    return files


def _membership(text: str) -> Iterator[tuple[frozenset[str], str]]:
    """(controllers, path); no controllers for version 2."""
    for line in text.splitlines():
        _, controllers, path = line.split(":", 2)
        yield frozenset(controllers.split(",")) - {""}, path


def _mounted(text: str) -> Iterator[tuple[frozenset[str], str, str]]:
    """(options, root, mount point). Version 1 names its controllers among the file system's options."""
    for line in text.splitlines():
        own, _, file_system = line.partition(" - ")
        kind, _, options = file_system.split(" ", 2)
        root, place = own.split(" ")[3:5]
        if kind == "cgroup2":
            yield frozenset(), root, place
        elif kind == "cgroup":
            yield frozenset(options.split(",")), root, place
