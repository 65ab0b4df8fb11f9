"""Capabilities by name, number and mask. Pure but for asking the kernel which is its last."""

from collections.abc import Iterable
from functools import cache

# <linux/capability.h>, in order from 0: the numbers never change.
_NAMES = """
CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE
NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO
SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME
SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG
WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE
"""
NUMBERS = {f"CAP_{name}": number for number, name in enumerate(_NAMES.split())}


def mask(names: Iterable[str]) -> int:
    """One bit each; a name that nobody knows is no capability."""
    return sum(1 << NUMBERS[name] for name in set(names) if name in NUMBERS)


@cache
def last_capability() -> int:
    with open("/proc/sys/kernel/cap_last_cap") as file:
        return int(file.read())
