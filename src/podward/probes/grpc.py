"""grpc: the standard health service, in plain text (spec/health.md 3.4).

Every end is an answer, never an error. As in a stock kubelet's blocking dial, a connection that cannot be
made is tried again until the deadline: so of the two failures to connect only the timeout can come about.
"""

import asyncio

from lightkube.models import core_v1

from podward import __version__
from podward.machinery.backoff import go_duration
from podward.machinery.network import Network
from podward.probes.base import USER_AGENT, Outcome, ProbeResult, ProbeTarget
from podward.probes.grpc_call import NotConnected, RpcFailure, UnaryCall, Unprocessed
from podward.probes.health_messages import (
    CHECK,
    SERVICE,
    ServingStatus,
    decode_response,
    encode_request,
)
from podward.probes.ports import dial_error, join_host_port

_USER_AGENT = f"{USER_AGENT} grpc-podward/{__version__}"
_FIRST_WAIT_SECONDS, _WAIT_FACTOR, _MAX_WAIT_SECONDS = 1.0, 1.6, 120.0
"""gRPC's own back-off between connections, without its dice: they decide nothing that anybody sees."""


async def attempt(action: core_v1.GRPCAction, target: ProbeTarget, timeout: float) -> ProbeResult:
    """One deadline covers the connection and the call."""
    deadline = asyncio.get_running_loop().time() + timeout
    exchange = _Exchange(target.network, target.pod_ip, action.port, action.service or "", deadline)
    limit = go_duration(timeout)
    try:
        async with asyncio.timeout_at(deadline):
            status = await exchange.check()
    except TimeoutError:
        if exchange.connected:
            return _failure(f"timeout: health rpc did not complete within {limit}")
        return _failure(
            f'timeout: failed to connect service "{exchange.address}" within {limit}: '
            "context deadline exceeded"
        )
    except RpcFailure as failure:
        return _failure(_text(failure, limit))
    if status != ServingStatus.SERVING:
        return _failure(f'service unhealthy (responded with "{_name(status)}")')
    return ProbeResult(Outcome.SUCCESS)


def _failure(text: str) -> ProbeResult:
    return ProbeResult(Outcome.FAILURE, text)


def _text(failure: RpcFailure, limit: str) -> str:
    if failure.code == "Unimplemented":
        return (
            "error: this server does not implement the grpc health protocol "
            f"({SERVICE}): {failure.description}"
        )
    if failure.code == "DeadlineExceeded":
        return f"timeout: health rpc did not complete within {limit}"
    return f"error: health rpc probe failed: {failure}"


def _name(status: int) -> str:
    try:
        return ServingStatus(status).name
    except ValueError:
        return str(status)


class _Exchange:
    """One attempt: connections until one is made, and the call on it."""

    def __init__(
        self, network: Network, host: str, port: int, service: str, deadline: float
    ) -> None:
        self.address = join_host_port(host, port)
        self.connected = False
        """The dial is over: what fails from now on is the call."""
        self._network = network
        self._host = host
        self._port = port
        self._request = encode_request(service)
        self._deadline = deadline

    async def check(self) -> int:
        """The status, as a number. Raises `RpcFailure`."""
        wait = _FIRST_WAIT_SECONDS
        while True:
            try:
                reply = await self._call()
                break
            except Unprocessed:
                reply = await self._call_again()
                break
            except OSError:
                await asyncio.sleep(wait)
                wait = min(wait * _WAIT_FACTOR, _MAX_WAIT_SECONDS)
        try:
            return decode_response(reply)
        except ValueError as error:
            text = f"grpc: failed to unmarshal the received message: proto: {error}"
            raise RpcFailure("Internal", text) from error

    async def _call(self) -> bytes:
        call = UnaryCall(
            CHECK, self.address, _USER_AGENT, self._request, self._deadline, self._made
        )
        transport: asyncio.Transport | None = None
        try:
            transport, _ = await self._network.connect(self._host, self._port, lambda: call)
            reply = await call.reply
        except BaseException:
            # Nobody listens any more: no polite goodbye that could block on a dead peer.
            call.reply.cancel()
            if transport is not None:
                transport.abort()
            raise
        transport.close()
        return reply

    async def _call_again(self) -> bytes:
        """Once, as every gRPC client does by itself; by now there is no more patience with the connection."""
        try:
            return await self._call()
        except Unprocessed as error:
            text = str(error)
        except NotConnected as error:
            text = f'connection error: desc = "{error}"'
        except OSError as error:
            dialling = dial_error(self._host, self._port, error)
            text = f'connection error: desc = "transport: Error while dialing: {dialling}"'
        raise RpcFailure("Unavailable", text)

    def _made(self) -> None:
        self.connected = True
