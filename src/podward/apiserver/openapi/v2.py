"""`/openapi/v2`: the same schemas in the older form, as JSON and as the protobuf that old kubectls read."""

from collections.abc import Awaitable, Callable
from functools import cache
from typing import Any

import msgspec
import yaml

from podward.api.scheme import Scheme
from podward.apiserver.discovery import answer
from podward.apiserver.openapi.schemas import Schema, closure
from podward.apiserver.request import Request, Response

Handler = Callable[[Request], Awaitable[Response]]

# kubectl asks for `...v2@v1.0+protobuf`, which is no media type that its own parser reads in an answer.
PROTOBUF = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"

# message -> (field, number, type); `*` repeated. The numbers are the protocol's (spec/openapi-v2-fields.md);
# only what our schemas use is here.
_MESSAGES: dict[str, tuple[tuple[str, int, str], ...]] = {
    "Any": (("yaml", 2, "string"),),
    "NamedAny": (("name", 1, "string"), ("value", 2, "Any")),
    "Info": (("title", 1, "string"), ("version", 2, "string")),
    "Paths": (("vendor_extension", 1, "*NamedAny"),),
    "TypeItem": (("value", 1, "*string"),),
    "ItemsItem": (("schema", 1, "*Schema"),),
    "AdditionalPropertiesItem": (("schema", 1, "Schema"), ("boolean", 2, "bool")),
    "Schema": (
        ("_ref", 1, "string"),
        ("format", 2, "string"),
        ("description", 4, "string"),
        ("required", 19, "*string"),
        ("additional_properties", 21, "AdditionalPropertiesItem"),
        ("type", 22, "TypeItem"),
        ("items", 23, "ItemsItem"),
        ("properties", 25, "Properties"),
        ("vendor_extension", 31, "*NamedAny"),
    ),
    "NamedSchema": (("name", 1, "string"), ("value", 2, "Schema")),
    "Properties": (("additional_properties", 1, "*NamedSchema"),),
    "Definitions": (("additional_properties", 1, "*NamedSchema"),),
    "Document": (
        ("swagger", 1, "string"),
        ("info", 2, "Info"),
        ("paths", 8, "Paths"),
        ("definitions", 9, "Definitions"),
    ),
}


def routes(scheme: Scheme) -> dict[str, Handler]:
    @cache
    def document() -> dict[str, Any]:
        return _document(scheme)

    @cache
    def as_json() -> bytes:
        return msgspec.json.encode(document())

    @cache
    def as_protobuf() -> bytes:
        return encode(document())

    async def handler(request: Request) -> Response:
        if "proto-openapi.spec.v2" in request.headers.get("accept", ""):
            return answer(request, as_protobuf(), PROTOBUF)
        return answer(request, as_json(), "application/json")

    return {"/openapi/v2": handler}


def _document(scheme: Scheme) -> dict[str, Any]:
    definitions: dict[str, Schema] = {}
    for group, version in dict.fromkeys((row.group, row.version) for row in scheme):
        for name, schema in closure(scheme, group, version).items():
            definitions[name] = _older(schema)
    info = {"title": "Podward", "version": "v1"}
    return {"swagger": "2.0", "info": info, "paths": {}, "definitions": definitions}


def _older(schema: Schema) -> Schema:
    """References live elsewhere and stand alone; a union of types is a string that says so."""
    found: Schema = {}
    for name, value in schema.items():
        if name == "$ref":
            found["$ref"] = value.replace("#/components/schemas/", "#/definitions/")
        elif name == "allOf":
            found |= _older(value[0])
        elif name == "oneOf":
            found["type"] = "string"
        elif name in ("items", "additionalProperties"):
            found[name] = _older(value)
        elif name == "properties":
            found[name] = {key: _older(below) for key, below in value.items()}
        elif name != "default":
            found[name] = value
    return found


@cache
def _messages() -> dict[str, Any]:
    """Message classes, made at run time: nothing generated needs to be kept in step."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    file = descriptor_pb2.FileDescriptorProto(
        name="podward/openapi_v2.proto", package="openapi.v2", syntax="proto3"
    )
    kinds = descriptor_pb2.FieldDescriptorProto
    plain = {"string": kinds.TYPE_STRING, "bool": kinds.TYPE_BOOL}
    for message, fields in _MESSAGES.items():
        described = file.message_type.add(name=message)
        for name, number, type_ in fields:
            repeated, base = type_.startswith("*"), type_.lstrip("*")
            field = described.field.add(
                name=name,
                number=number,
                label=kinds.LABEL_REPEATED if repeated else kinds.LABEL_OPTIONAL,
                type=plain.get(base, kinds.TYPE_MESSAGE),
            )
            if base not in plain:
                field.type_name = f".openapi.v2.{base}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"openapi.v2.{name}"))
        for name in _MESSAGES
    }


def encode(document: dict[str, Any]) -> bytes:
    """The document's protobuf form."""
    message = _messages()["Document"](swagger=document["swagger"])
    message.info.title, message.info.version = (
        document["info"]["title"],
        document["info"]["version"],
    )
    message.paths.SetInParent()
    for name, schema in sorted(document["definitions"].items()):
        named = message.definitions.additional_properties.add(name=name)
        _fill(named.value, schema)
    encoded: bytes = message.SerializeToString(deterministic=True)
    return encoded


def _fill(message: Any, schema: Schema) -> None:
    for name, value in schema.items():
        if name == "$ref":
            message._ref = value
        elif name == "type":
            message.type.value.append(value)
        elif name == "items":
            _fill(message.items.schema.add(), value)
        elif name == "properties":
            for key, below in value.items():
                _fill(message.properties.additional_properties.add(name=key).value, below)
        elif name == "additionalProperties":
            _fill(message.additional_properties.schema, value)
        elif name.startswith("x-"):
            message.vendor_extension.add(name=name).value.yaml = yaml.safe_dump(value)
        elif name == "required":
            message.required.extend(value)
        elif name in ("format", "description"):
            setattr(message, name, value)
