"""One object in the form that the client asked for."""

from collections.abc import Sequence
from typing import Any

from podward.api import codec
from podward.api.scheme import Resource
from podward.apiserver.printers.table import partial, table_of
from podward.apiserver.registry import Registry, Stored
from podward.apiserver.request import Response
from podward.apiserver.responses import Negotiated, json_or_yaml
from podward.apiserver.strategy import metadata_of


def render_object(
    registry: Registry,
    resource: Resource,
    stored: Stored,
    wanted: Negotiated,
    *,
    status: int = 200,
    warnings: Sequence[str] = (),
) -> Response:
    obj = stored.object
    if wanted.form == "table":
        value: Any = table_of(
            resource,
            [obj],
            registry.clock.now(),
            metadata={"resourceVersion": metadata_of(obj).resourceVersion or ""},
            include=wanted.include,
            version=wanted.version,
        )
    elif wanted.form == "partial":
        value = partial(obj, wanted.version)
    else:
        value = stored.document or codec.encode(obj)
    return json_or_yaml(value, wanted, status=status, warnings=warnings)
