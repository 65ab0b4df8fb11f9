"""pods/{name}/exec, attach and portforward: a connection to what runs in a Pod, on either road."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final, TypeVar

import msgspec

from podward.api.errors import bad_request, internal_error
from podward.apiserver.handlers.logs import choose_container, node_error, require_node
from podward.apiserver.handlers.options import write_options
from podward.apiserver.registry import Registry
from podward.apiserver.request import Request, UpgradeResponse
from podward.apiserver.router import Target
from podward.apiserver.streaming import roads
from podward.client.node_access import NodeAccess, NodeAccessError, PortConnection

T = TypeVar("T", bound=msgspec.Struct)


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


class PodAttachOptions(msgspec.Struct, omit_defaults=True):
    kind: str
    apiVersion: str
    container: str = ""
    stdin: bool = False
    stdout: bool = False
    stderr: bool = False
    tty: bool = False


class PodPortForwardOptions(msgspec.Struct, omit_defaults=True):
    kind: str
    apiVersion: str
    ports: list[int] = []


async def connect(
    registry: Registry, node_access: NodeAccess | None, target: Target, request: Request
) -> UpgradeResponse:
    """What is wrong is an `ApiStatusError`, before the connection leaves HTTP."""
    return await SUBRESOURCES[target.subresource](registry, node_access, target, request)


async def _exec(
    registry: Registry, node_access: NodeAccess | None, target: Target, request: Request
) -> UpgradeResponse:
    road = roads.choose(request.scope, roads.COMMAND)
    pod = await registry.get(target.resource, target.namespace, target.name)
    command = request.query_list.get("command", [])
    if not command:
        raise bad_request("you must specify at least one command")
    options = PodExecOptions(
        "PodExecOptions",
        "v1",
        command,
        request.query.get("container", ""),
        **_flags(request),
    )
    asked = await _admitted(registry, target, request, options)
    container = choose_container(pod, asked.container)
    access = require_node(pod, node_access)
    try:
        session = await access.exec(pod, container, asked.command, stdin=asked.stdin, tty=asked.tty)
    except NodeAccessError as error:
        raise node_error(error) from error
    return UpgradeResponse(partial(roads.run_command, road, session, _channels(request)))


async def _attach(
    registry: Registry, node_access: NodeAccess | None, target: Target, request: Request
) -> UpgradeResponse:
    road = roads.choose(request.scope, roads.COMMAND)
    pod = await registry.get(target.resource, target.namespace, target.name)
    container = request.query.get("container", "")
    options = PodAttachOptions("PodAttachOptions", "v1", container, **_flags(request))
    asked = await _admitted(registry, target, request, options)
    container = choose_container(pod, asked.container)
    access = require_node(pod, node_access)
    try:
        session = await access.attach(pod, container, stdin=asked.stdin)
    except NodeAccessError as error:
        raise node_error(error) from error
    return UpgradeResponse(partial(roads.run_command, road, session, _channels(request)))


def _flags(request: Request) -> dict[str, bool]:
    return {name: request.flag(name) for name in ("stdin", "stdout", "stderr", "tty")}


async def _port_forward(
    registry: Registry, node_access: NodeAccess | None, target: Target, request: Request
) -> UpgradeResponse:
    """Each connection names its own port, once the client has one to make."""
    road = roads.choose(request.scope, roads.FORWARDING)
    pod = await registry.get(target.resource, target.namespace, target.name)
    options = PodPortForwardOptions("PodPortForwardOptions", "v1", _ports(request))
    await _admitted(registry, target, request, options)
    access = require_node(pod, node_access)

    async def connection(port: int) -> PortConnection:
        return await access.port_forward(pod, port)

    name = f"{target.name}_{target.namespace}, uid {pod.metadata.uid}"
    return UpgradeResponse(partial(roads.run_forwarding, road, connection, name))


def _ports(request: Request) -> list[int]:
    texts = [text for value in request.query_list.get("ports", []) for text in value.split(",")]
    for text in texts:
        if not text.isascii() or not text.isdigit() or not 0 < int(text) < 65536:
            raise bad_request(f"ports: Invalid value: {text!r}: must be between 1 and 65535")
    return [int(text) for text in texts]


def _channels(request: Request) -> list[str]:
    """What the client opens: a terminal has no stderr of its own, and a size."""
    if request.flag("tty"):
        names = [name for name in ("stdin", "stdout") if request.flag(name)]
        return [*names, "resize"]
    return [name for name in ("stdin", "stdout", "stderr") if request.flag(name)]


async def _admitted(registry: Registry, target: Target, request: Request, options: T) -> T:
    made = await registry.connect(
        target.resource,
        target.namespace,
        target.name,
        msgspec.to_builtins(options),
        write_options(request, target.subresource),
    )
    try:
        return msgspec.convert(made, type(options))
    except msgspec.ValidationError as error:
        name = type(options).__name__
        raise internal_error(f"admission made no {name}: {error}") from None


SUBRESOURCES: Final[
    dict[str, Callable[[Registry, NodeAccess | None, Target, Request], Awaitable[UpgradeResponse]]]
] = {"exec": _exec, "attach": _attach, "portforward": _port_forward}
