"""What /proc tells of a container's first process, for the plan of its commands."""

import os
from pathlib import Path

from podward.kubelet.runtime.linux import capabilities
from podward.kubelet.runtime.linux.plans import Facts, read_limits

_KINDS = ("mnt", "pid", "net", "ipc", "uts", "cgroup", "user", "time")


def look(pid: int, from_pid: int) -> Facts:
    """`from_pid`: whose children will be commands beside `pid`. `OSError` if a process is gone.

    A pid may be reused while we look: who asks holds a pidfd, and sees afterwards whether that still lives.
    """
    status = _status(pid)
    # Its parent is the engine's shim, from which a command would get what the spec does not say. A process that
    # changed its own umask or limits since did not change them for others.
    shim = int(status["PPid"])
    giver = shim if shim > 1 else pid
    limits = read_limits(Path(f"/proc/{giver}/limits").read_text())
    own = read_limits(Path(f"/proc/{pid}/limits").read_text())
    files = "Max open files"
    if own[files][1] == limits[files][1]:
        # Go programs raise their own soft limit, and hand on what it was before.
        limits[files] = own[files]
    return Facts(
        status=status,
        namespaces=frozenset(
            kind
            for kind in _KINDS
            if os.path.exists(f"/proc/self/ns/{kind}")
            and os.readlink(f"/proc/{pid}/ns/{kind}") != os.readlink(f"/proc/self/ns/{kind}")
        ),
        cgroups=Path(f"/proc/{pid}/cgroup").read_text(),
        our_cgroups=Path(f"/proc/{from_pid}/cgroup").read_text(),
        mounts=Path("/proc/self/mountinfo").read_text(),
        umask=int(_status(giver)["Umask"], 8),
        limits=limits,
        oom_score_adj=int(Path(f"/proc/{pid}/oom_score_adj").read_text()),
        last_capability=capabilities.last_capability(),
        apparmor_folder=os.path.exists("/proc/self/attr/apparmor"),
    )


def _status(pid: int) -> dict[str, str]:
    text = Path(f"/proc/{pid}/status").read_text()
    pairs = (line.partition(":") for line in text.splitlines())
    return {name: value.strip() for name, _, value in pairs}
