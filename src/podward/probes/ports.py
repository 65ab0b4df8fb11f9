"""Which port a probe means (spec/health.md 3)."""

import os
from collections.abc import Mapping

from podward.machinery.network import NameNotFound
from podward.probes.base import ProbeError


def resolve_port(port: int | str, named_ports: Mapping[str, int]) -> int:
    """A number as it is; a name as the container's own port of that name, else as a decimal number.

    Raises `ProbeError` in Go's words, as the events of a stock kubelet show it.
    """
    if isinstance(port, str):
        number = named_ports.get(port)
        if number is None:
            if not port.isascii() or not port.removeprefix("-").removeprefix("+").isdigit():
                raise ProbeError(f'strconv.Atoi: parsing "{port}": invalid syntax')
            number = int(port)
        port = number
    if not 1 <= port <= 65535:
        raise ProbeError(f"invalid port number: {port}")
    return port


def join_host_port(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def dial_error(host: str, port: int, error: OSError) -> str:
    """The text Go gives for a connection that could not be made."""
    if isinstance(error, NameNotFound):
        return f"dial tcp: {error}"
    return f"dial tcp {join_host_port(host, port)}: connect: {errno_text(error)}"


def errno_text(error: OSError) -> str:
    """`connection refused`: the kernel's words in lower case, without Python's number."""
    # Not `strerror`: asyncio puts a sentence of its own there.
    return os.strerror(error.errno).lower() if error.errno else str(error).lower()
