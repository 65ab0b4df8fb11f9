"""DELETE of one object or of a collection."""

from typing import Any

import msgspec
from lightkube.models import meta_v1

from podward.api import codec, errors, protobuf
from podward.api.scheme import Resource
from podward.apiserver.handlers.options import integer, write_options
from podward.apiserver.handlers.render import render_object
from podward.apiserver.registry import Registry, WriteOptions
from podward.apiserver.request import Request, Response
from podward.apiserver.responses import json_or_yaml, list_json, negotiate
from podward.apiserver.router import Target
from podward.apiserver.selection import selection
from podward.apiserver.strategy import metadata_of


async def delete(registry: Registry, target: Target, request: Request) -> Response:
    wanted = negotiate(request)
    options, write = _delete_options(request)
    last, gone = await registry.delete(
        target.resource, target.namespace, target.name, options, write
    )
    if gone and not registry.strategy(target.resource).returns_deleted:
        success = _success(target.resource, last.object)
        return json_or_yaml(success, wanted, warnings=write.warnings)
    return render_object(registry, target.resource, last, wanted, warnings=write.warnings)


async def delete_collection(registry: Registry, target: Target, request: Request) -> Response:
    """Every object that the selectors match, in the order of names; the answer lists them."""
    wanted = negotiate(request)
    options, write = _delete_options(request)
    selected = selection(request, registry.strategy(target.resource))
    listing = await registry.store.range(registry.prefix(target.resource, target.namespace))
    deleted = []
    for record in listing.records:
        obj = registry.cache.decode(record, target.resource)
        if not selected.matches(obj):
            continue
        metadata = metadata_of(obj)
        try:
            last, _ = await registry.delete(
                target.resource, metadata.namespace or "", metadata.name or "", options, write
            )
        except errors.ApiStatusError as error:
            if error.status.code != 404:  # somebody else was faster
                raise
            continue
        deleted.append(last.document or codec.encode(last.object))
    row = target.resource
    body = list_json(
        row.kind, row.api_version, {"resourceVersion": str(registry.store.revision)}, deleted
    )
    return json_or_yaml(body, wanted, warnings=write.warnings)


def _delete_options(request: Request) -> tuple[meta_v1.DeleteOptions, WriteOptions]:
    """DeleteOptions from the body, else from the query."""
    options = meta_v1.DeleteOptions()
    if request.body:
        content_type = request.headers.get("content-type", "application/json")
        try:
            if "yaml" in content_type:
                import yaml

                document = yaml.safe_load(request.body)
                options = msgspec.convert(document, meta_v1.DeleteOptions)
            elif protobuf.MEDIA_TYPE in content_type:  # `kubectl drain`
                document = protobuf.document(request.body, "DeleteOptions")
                options = msgspec.convert(document, meta_v1.DeleteOptions)
            else:
                options = msgspec.json.decode(request.body, type=meta_v1.DeleteOptions)
        except (msgspec.DecodeError, ValueError) as error:
            raise errors.bad_request(f"cannot read DeleteOptions: {error}") from None
    grace = integer(request, "gracePeriodSeconds")
    if options.gracePeriodSeconds is None and grace is not None:
        options = msgspec.structs.replace(options, gracePeriodSeconds=grace)
    write = write_options(request)
    if options.dryRun:
        write = msgspec.structs.replace(write, dry_run="All" in options.dryRun or write.dry_run)
    return options, write


def _success(resource: Resource, obj: Any) -> dict[str, Any]:
    metadata = metadata_of(obj)
    details = {"name": metadata.name, "kind": resource.plural, "uid": metadata.uid}
    if resource.group:
        details["group"] = resource.group
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Success",
        "details": details,
    }
