"""GET pods/{name}/log: what a container wrote, as a body or in a WebSocket."""

from datetime import datetime
from functools import partial
from typing import Any

from podward.api.errors import ApiStatusError, bad_request, status_error
from podward.apiserver.handlers.options import integer
from podward.apiserver.registry import Registry
from podward.apiserver.request import Request, StreamResponse, UpgradeResponse
from podward.apiserver.router import Target
from podward.apiserver.streaming import websocket_reader
from podward.client.node_access import LogQuery, NodeAccess, NodeAccessError


async def logs(
    registry: Registry, node_access: NodeAccess | None, target: Target, request: Request
) -> StreamResponse | UpgradeResponse:
    upgraded = request.scope.get("type") == "websocket"
    protocol = websocket_reader.choose(request.scope) if upgraded else None
    pod = await registry.get(target.resource, target.namespace, target.name)
    query = LogQuery(
        container=choose_container(pod, request.query.get("container", "")),
        follow=request.flag("follow"),
        previous=request.flag("previous"),
        tail_lines=_not_negative(request, "tailLines"),
        since_seconds=_positive(request, "sinceSeconds"),
        since_time=_since_time(request),
        timestamps=request.flag("timestamps"),
        limit_bytes=_positive(request, "limitBytes"),
    )
    access = require_node(pod, node_access)
    try:
        chunks = await access.logs(pod, query)
    except NodeAccessError as error:
        raise node_error(error) from error
    if upgraded:
        return UpgradeResponse(partial(websocket_reader.run_reading, protocol, chunks))
    return StreamResponse(200, chunks, "text/plain")


def choose_container(pod: Any, asked: str) -> str:
    """The container meant; 400 if none is named and there are several, or it does not exist.

    Init and ephemeral containers make a name no less optional: the only regular one is meant.
    """
    name = pod.metadata.name
    regular = [c.name for c in pod.spec.containers or ()]
    initial = [c.name for c in pod.spec.initContainers or ()]
    ephemeral = [c.name for c in pod.spec.ephemeralContainers or ()]
    if asked:
        if asked not in (*regular, *initial, *ephemeral):
            raise bad_request(f"container {asked} is not valid for pod {name}")
        return asked
    if len(regular) == 1:
        return str(regular[0])
    text = (
        f"a container name must be specified for pod {name}, choose one of: [{' '.join(regular)}]"
    )
    if initial:
        text += f" or one of the init containers: [{' '.join(initial)}]"
    if ephemeral:
        text += f" or one of the ephemeral containers: [{' '.join(ephemeral)}]"
    raise bad_request(text)


def require_node(pod: Any, node_access: NodeAccess | None) -> NodeAccess:
    """Where the Pod can be reached; 400 before it has a node."""
    if not pod.spec.nodeName:
        raise bad_request(f"pod {pod.metadata.name} does not have a host assigned")
    if node_access is None:
        raise status_error(503, "ServiceUnavailable", "cannot reach a node: none is connected")
    return node_access


def node_error(error: NodeAccessError) -> ApiStatusError:
    reasons = {400: "BadRequest", 404: "NotFound"}
    return status_error(error.code, reasons.get(error.code, "InternalError"), str(error))


def _not_negative(request: Request, name: str) -> int | None:
    value = integer(request, name)
    if value is not None and value < 0:
        raise bad_request(f"{name}: Invalid value: {value}: must be greater than or equal to 0")
    return value


def _positive(request: Request, name: str) -> int | None:
    value = integer(request, name)
    if value is not None and value < 1:
        raise bad_request(f"{name}: Invalid value: {value}: must be greater than 0")
    return value


def _since_time(request: Request) -> datetime | None:
    text = request.query.get("sinceTime")
    if not text:
        return None
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise bad_request(f"sinceTime: Invalid value: {text!r}: must be an RFC 3339 time") from None
