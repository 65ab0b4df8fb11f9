"""PUT: the whole object replaces the stored one."""

from podward.api import codec
from podward.apiserver.handlers.options import field_validation, write_options
from podward.apiserver.handlers.render import render_object
from podward.apiserver.registry import Registry
from podward.apiserver.request import Request, Response
from podward.apiserver.responses import negotiate
from podward.apiserver.router import Target


async def update(registry: Registry, target: Target, request: Request) -> Response:
    wanted = negotiate(request)
    obj, warnings = codec.decode(
        request.body,
        request.headers.get("content-type", ""),
        target.resource,
        field_validation(request),
    )
    stored = await registry.update(
        target.resource,
        target.namespace,
        target.name,
        lambda old, document: obj,
        write_options(request, target.subresource),
    )
    return render_object(registry, target.resource, stored, wanted, warnings=warnings)
