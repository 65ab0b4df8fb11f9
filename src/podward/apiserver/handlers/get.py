"""GET of one object."""

from podward.apiserver.handlers.render import render_object
from podward.apiserver.registry import Registry, Stored
from podward.apiserver.request import Request, Response
from podward.apiserver.responses import json_or_yaml, negotiate
from podward.apiserver.router import Target


async def get(registry: Registry, target: Target, request: Request) -> Response:
    wanted = negotiate(request)
    record = await registry.record(target.resource, target.namespace, target.name)
    if wanted.form == "object":
        return json_or_yaml(record.value, wanted)
    obj = registry.cache.decode(record, target.resource)
    return render_object(registry, target.resource, Stored(obj, record.value), wanted)
