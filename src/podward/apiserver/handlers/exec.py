"""pods/{name}/exec: a command inside a container of a Pod."""

import msgspec

from podward.api.errors import bad_request, internal_error
from podward.apiserver.handlers.logs import choose_container, node_error, require_node
from podward.apiserver.handlers.options import write_options
from podward.apiserver.registry import Registry
from podward.apiserver.request import Request
from podward.apiserver.router import Target
from podward.client.node_access import ExecSession, NodeAccess, NodeAccessError


class PodExecOptions(msgspec.Struct, omit_defaults=True):
    """What the command's author asked for: the object that admission is shown (CONNECT)."""

    kind: str
    apiVersion: str
    command: list[str]
    container: str = ""
    stdin: bool = False
    stdout: bool = False
    stderr: bool = False
    tty: bool = False


async def open_exec(
    registry: Registry, node_access: NodeAccess | None, target: Target, request: Request
) -> ExecSession:
    """Start the command; what is wrong is an `ApiStatusError`, before any byte is exchanged."""
    pod = await registry.get(target.resource, target.namespace, target.name)
    command = request.query_list.get("command", [])
    if not command:
        raise bad_request("you must specify at least one command")
    asked = await _admitted(registry, target, request, command)
    container = choose_container(pod, asked.container)
    access = require_node(pod, node_access)
    try:
        return await access.exec(pod, container, asked.command, stdin=asked.stdin, tty=asked.tty)
    except NodeAccessError as error:
        raise node_error(error) from error


async def _admitted(
    registry: Registry, target: Target, request: Request, command: list[str]
) -> PodExecOptions:
    asked = PodExecOptions(
        "PodExecOptions",
        "v1",
        command,
        request.query.get("container", ""),
        **{name: request.flag(name) for name in ("stdin", "stdout", "stderr", "tty")},
    )
    made = await registry.connect(
        target.resource,
        target.namespace,
        target.name,
        msgspec.to_builtins(asked),
        write_options(request, "exec"),
    )
    try:
        return msgspec.convert(made, PodExecOptions)
    except msgspec.ValidationError as error:
        raise internal_error(f"admission made no PodExecOptions: {error}") from None
