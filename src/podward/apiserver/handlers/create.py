"""POST of an object, and of a binding."""

from typing import Any

import msgspec
from lightkube.models import core_v1

from podward.api import codec, errors
from podward.apiserver.handlers.options import field_validation, write_options
from podward.apiserver.handlers.render import render_object
from podward.apiserver.registry import Registry
from podward.apiserver.request import Request, Response
from podward.apiserver.responses import json_or_yaml, negotiate
from podward.apiserver.router import Target
from podward.apiserver.strategy import metadata_of
from podward.machinery.clock import Clock, whole_seconds


async def create(registry: Registry, target: Target, request: Request) -> Response:
    wanted = negotiate(request)
    obj, warnings = codec.decode(
        request.body,
        request.headers.get("content-type", ""),
        target.resource,
        field_validation(request),
    )
    options = write_options(request)
    options.warnings.extend(warnings)
    created = await registry.create(target.resource, target.namespace, obj, options)
    return render_object(
        registry, target.resource, created, wanted, status=201, warnings=options.warnings
    )


async def bind(registry: Registry, target: Target, request: Request) -> Response:
    """Give a Pod its node: once, for good."""
    try:
        binding = msgspec.json.decode(request.body, type=core_v1.Binding)
    except msgspec.DecodeError as error:
        raise errors.bad_request(f"cannot read the binding: {error}") from None
    name = target.name or metadata_of(binding).name or ""
    node = (binding.target.name if binding.target else "") or ""
    if not node:
        raise errors.bad_request("Binding.target.name: Required value")

    def assign(pod: Any, document: bytes) -> Any:
        if metadata_of(pod).deletionTimestamp is not None:
            raise errors.conflict(
                target.resource, name, f"pod {name} is being deleted, cannot be assigned to a host"
            )
        if pod.spec.nodeName:
            raise errors.conflict(
                target.resource, name, f"pod {name} is already assigned to node {pod.spec.nodeName}"
            )
        return _bound(pod, node, registry.clock)

    options = write_options(request, "binding")
    await registry.update(target.resource, target.namespace, name, assign, options)
    success = {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Success",
        "code": 201,
    }
    return json_or_yaml(success, negotiate(request), status=201, warnings=options.warnings)


def _bound(pod: Any, node: str, clock: Clock) -> Any:
    status = pod.status or core_v1.PodStatus()
    others = [c for c in status.conditions or () if c.type != "PodScheduled"]
    scheduled = core_v1.PodCondition(
        type="PodScheduled", status="True", lastTransitionTime=whole_seconds(clock.now())
    )
    return msgspec.structs.replace(
        pod,
        spec=msgspec.structs.replace(pod.spec, nodeName=node),
        status=msgspec.structs.replace(status, conditions=[*others, scheduled]),
    )
