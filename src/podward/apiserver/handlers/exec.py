"""pods/{name}/exec: a command inside a container of a Pod."""

from podward.api.errors import bad_request
from podward.apiserver.handlers.logs import choose_container, node_error, require_node
from podward.apiserver.registry import Registry
from podward.apiserver.request import Request
from podward.apiserver.router import Target
from podward.client.node_access import ExecSession, NodeAccess, NodeAccessError


async def open_exec(
    registry: Registry, node_access: NodeAccess | None, target: Target, request: Request
) -> ExecSession:
    """Start the command; what is wrong is an `ApiStatusError`, before any byte is exchanged."""
    pod = await registry.get(target.resource, target.namespace, target.name)
    command = request.query_list.get("command", [])
    if not command:
        raise bad_request("you must specify at least one command")
    container = choose_container(pod, request.query.get("container", ""))
    access = require_node(pod, node_access)
    try:
        return await access.exec(
            pod, container, command, stdin=request.flag("stdin"), tty=request.flag("tty")
        )
    except NodeAccessError as error:
        raise node_error(error) from error
