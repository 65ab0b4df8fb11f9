"""postStart and preStop: run one handler in or against a container (spec/health.md 3.5)."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence

from lightkube.models import core_v1

from podward.kubelet.runtime.base import ExecResult, RuntimeFailure
from podward.machinery.network import Network
from podward.probes import http_get
from podward.probes.base import ExecOutput, Outcome, ProbeError, ProbeTarget

ExecSync = Callable[[Sequence[str], float | None], Awaitable[ExecResult]]


class HookError(Exception):
    """The hook failed; the text says which and how."""


async def run_hook(
    handler: core_v1.LifecycleHandler,
    *,
    exec_sync: ExecSync,
    pod_ip: str,
    named_ports: Mapping[str, int],
    network: Network,
) -> None:
    """Has no time limit of its own: whoever calls it sets one."""
    if handler.exec is not None:
        await _exec(handler.exec, exec_sync)
    elif handler.sleep is not None:
        await asyncio.sleep(handler.sleep.seconds)
    elif handler.httpGet is not None:
        await _http(handler.httpGet, pod_ip, named_ports, network)
    else:
        raise HookError("invalid handler: it names nothing that can be run")


async def _exec(action: core_v1.ExecAction, exec_sync: ExecSync) -> None:
    command = action.command or []
    try:
        result = await exec_sync(command, None)
    except RuntimeFailure as error:
        raise HookError(
            f"Exec lifecycle hook ({_shown(command)}) failed - error: {error}"
        ) from error
    if result.exit_code != 0:
        text = (result.stdout + result.stderr).decode(errors="replace")
        raise HookError(
            f"Exec lifecycle hook ({_shown(command)}) failed - error: command "
            f"'{' '.join(command)}' exited with {result.exit_code}: {text}, message: {text!r}"
        )


def _shown(command: Sequence[str]) -> str:
    return f"[{' '.join(command)}]"


async def _http(
    action: core_v1.HTTPGetAction, pod_ip: str, named_ports: Mapping[str, int], network: Network
) -> None:
    """Any answer is success; only not getting one is a failure."""

    async def no_exec(argv: Sequence[str], timeout: float) -> ExecOutput:
        raise ProbeError("an http hook runs no command")

    target = ProbeTarget(
        pod_ip=pod_ip, named_ports=dict(named_ports), exec_sync=no_exec, network=network
    )
    try:
        result = await http_get.attempt(action, target, 30.0)
    except ProbeError as error:
        raise HookError(f"HTTP lifecycle hook ({action.path}) failed - error: {error}") from error
    answered = result.output.startswith("HTTP probe failed with statuscode")
    if result.outcome is Outcome.FAILURE and not answered:
        raise HookError(f"HTTP lifecycle hook ({action.path}) failed - error: {result.output}")
