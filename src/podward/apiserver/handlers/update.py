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
    options = write_options(request, target.subresource)
    options.warnings.extend(warnings)
    stored = await registry.update(
        target.resource, target.namespace, target.name, lambda old, document: obj, options
    )
    return render_object(registry, target.resource, stored, wanted, warnings=options.warnings)
