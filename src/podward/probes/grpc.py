"""grpc: the standard health service, in plain text (spec/health.md 3.4).

Every end is an answer, never an error.
"""

import asyncio

from lightkube.models import core_v1

from podward.machinery.backoff import go_duration
from podward.probes.base import USER_AGENT, Outcome, ProbeResult, ProbeTarget
from podward.probes.ports import join_host_port


async def attempt(action: core_v1.GRPCAction, target: ProbeTarget, timeout: float) -> ProbeResult:
    """One deadline covers the connection and the call."""
    # A fifth of a second and tens of megabytes that only a Pod with such a probe should cost.
    import grpc.aio
    from grpc_health.v1 import health_pb2, health_pb2_grpc

    address = join_host_port(target.pod_ip, action.port)
    limit = go_duration(timeout)
    deadline = asyncio.get_running_loop().time() + timeout
    options = (
        ("grpc.primary_user_agent", USER_AGENT),
        ("grpc.enable_http_proxy", 0),
        ("grpc.use_local_subchannel_pool", 1),
    )
    async with grpc.aio.insecure_channel(address, options=options) as channel:
        try:
            async with asyncio.timeout_at(deadline):
                await channel.channel_ready()
        except TimeoutError:
            return _failure(
                f'timeout: failed to connect service "{address}" within {limit}: '
                "context deadline exceeded"
            )
        request = health_pb2.HealthCheckRequest(service=action.service or "")
        left = max(deadline - asyncio.get_running_loop().time(), 0.001)
        try:
            answer = await health_pb2_grpc.HealthStub(channel).Check(request, timeout=left)
        except grpc.aio.AioRpcError as error:
            return _failure(_rpc_text(error.code().name, error.details() or "", limit))
    if answer.status != health_pb2.HealthCheckResponse.SERVING:
        name = health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)
        return _failure(f'service unhealthy (responded with "{name}")')
    return ProbeResult(Outcome.SUCCESS)


def _failure(text: str) -> ProbeResult:
    return ProbeResult(Outcome.FAILURE, text)


def _rpc_text(code: str, details: str, limit: str) -> str:
    if code == "UNIMPLEMENTED":
        return (
            "error: this server does not implement the grpc health protocol "
            f"(grpc.health.v1.Health): {details}"
        )
    if code == "DEADLINE_EXCEEDED":
        return f"timeout: health rpc did not complete within {limit}"
    go_code = "Canceled" if code == "CANCELLED" else code.title().replace("_", "")
    return f"error: health rpc probe failed: rpc error: code = {go_code} desc = {details}"
