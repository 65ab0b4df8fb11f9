"""tcpSocket: a connection that is made and closed at once (spec/health.md 3.3)."""

import asyncio

from lightkube.models import core_v1

from podward.probes.base import Outcome, ProbeResult, ProbeTarget
from podward.probes.ports import dial_error, join_host_port, resolve_port


async def attempt(
    action: core_v1.TCPSocketAction, target: ProbeTarget, timeout: float
) -> ProbeResult:
    """Raises `ProbeError` for a port that does not exist."""
    port = resolve_port(action.port, target.named_ports)
    host = action.host or target.pod_ip
    try:
        async with asyncio.timeout(timeout):
            transport, _ = await target.network.connect(host, port, asyncio.Protocol)
    except TimeoutError:
        text = f"dial tcp {join_host_port(host, port)}: i/o timeout"
        return ProbeResult(Outcome.FAILURE, text)
    except OSError as error:
        return ProbeResult(Outcome.FAILURE, dial_error(host, port, error))
    transport.close()
    return ProbeResult(Outcome.SUCCESS)
