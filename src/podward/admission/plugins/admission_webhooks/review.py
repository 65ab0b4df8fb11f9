"""AdmissionReview v1: what is sent, and what an answer may say (spec/podpreset.md 11.1). Pure."""

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

import msgspec
from lightkube.models import core_v1, meta_v1

from podward.admission.base import AdmissionRequest
from podward.admission.plugins.admission_webhooks.matching import namespace_in_question
from podward.api import codec
from podward.api.validation.names import qualified_name
from podward.machinery.gotext import quote
from podward.machinery.patch import PatchError, json_patch

API_VERSION: Final = "admission.k8s.io/v1"
KIND: Final = "AdmissionReview"
_OPTIONS: Final = {
    "CREATE": "CreateOptions",
    "UPDATE": "UpdateOptions",
    "DELETE": "DeleteOptions",
}


# ---- the question


class Described:
    """A request as webhooks see it. What is told to several of them is written once."""

    def __init__(self, request: AdmissionRequest) -> None:
        self._request = request

    @cached_property
    def encoded(self) -> bytes | None:
        """The object, as the API would show it."""
        return encoded(self._request.object)

    @cached_property
    def encoded_old(self) -> bytes | None:
        return encoded(self._request.old_object)

    @cached_property
    def attributes(self) -> dict[str, Any]:
        """Everything that is asked, but the objects and the question's uid."""
        request = self._request
        resource = request.resource
        kind = {"group": resource.group, "version": resource.version, "kind": _kind(request)}
        which = {"group": resource.group, "version": resource.version, "resource": resource.plural}
        user: dict[str, Any] = {"username": request.user}
        if request.groups:
            user["groups"] = list(request.groups)
        found: dict[str, Any] = {"kind": kind, "resource": which}
        if request.subresource:
            found["subResource"] = request.subresource
        found |= {"requestKind": kind, "requestResource": which}
        if request.subresource:
            found["requestSubResource"] = request.subresource
        if request.name:
            found["name"] = request.name
        if namespace := namespace_in_question(request):
            found["namespace"] = namespace
        return found | {
            "operation": request.operation,
            "userInfo": user,
            "dryRun": request.dry_run,
            "options": _options(request),
        }

    @cached_property
    def variables(self) -> dict[str, Any]:
        """What a condition may speak of."""
        return {
            "object": None if self.encoded is None else msgspec.json.decode(self.encoded),
            "oldObject": None
            if self.encoded_old is None
            else msgspec.json.decode(self.encoded_old),
            "request": self.attributes,
        }

    def question(self, uid: str) -> bytes:
        request = {
            "uid": uid,
            **self.attributes,
            "object": _raw(self.encoded),
            "oldObject": _raw(self.encoded_old),
        }
        return msgspec.json.encode({"kind": KIND, "apiVersion": API_VERSION, "request": request})


def encoded(obj: Any) -> bytes | None:
    """`obj` as the API would show it; those that are never stored are documents already, or say their kind."""
    if obj is None:
        return None
    if isinstance(obj, dict | core_v1.Binding):
        return msgspec.json.encode(obj)
    return codec.encode(obj)


def _raw(document: bytes | None) -> msgspec.Raw | None:
    return None if document is None else msgspec.Raw(document)


def _kind(request: AdmissionRequest) -> str:
    shown = request.object if request.object is not None else request.old_object
    if isinstance(shown, dict):
        return str(shown["kind"])
    return "Binding" if isinstance(shown, core_v1.Binding) else request.resource.kind


def _options(request: AdmissionRequest) -> dict[str, Any] | None:
    kind = _OPTIONS.get(request.operation)
    if kind is None:
        return None
    return {"kind": kind, "apiVersion": "meta.k8s.io/v1", **request.options}


# ---- the answer


class AnswerError(ValueError):
    """It is no AdmissionReview, or one that says what it may not: as if the call had failed."""


class BadPatch(ValueError):
    """The patch cannot be read, or does not fit: no failure of the call, so failurePolicy has no say."""


@dataclass(frozen=True, slots=True)
class Verdict:
    allowed: bool
    status: meta_v1.Status | None = None
    patch: bytes = b""
    warnings: tuple[str, ...] = ()
    audit: Mapping[str, str] = field(default_factory=dict)


class _Status(msgspec.Struct):
    """`meta/v1 Status`, as far as it can be told to a client."""

    message: str | None = None
    reason: str | None = None
    code: int | None = None
    details: meta_v1.StatusDetails | None = None


class _Response(msgspec.Struct):
    uid: str | None = None
    allowed: bool | None = None
    status: _Status | None = None
    patch: str | None = None
    patchType: str | None = None
    warnings: list[str] | None = None
    auditAnnotations: dict[str, str] | None = None


class _Review(msgspec.Struct):
    kind: str | None = None
    apiVersion: str | None = None
    response: _Response | None = None


def read_answer(body: bytes, uid: str, webhook: str, *, mutating: bool) -> Verdict:
    """Raises `AnswerError`."""
    try:
        review = msgspec.json.decode(body, type=_Review)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _unreadable(f"couldn't get version/kind; json parse error: {error}") from None
    response = review.response
    patch = _patch_bytes(response.patch) if response is not None and response.patch else b""
    if response is None:
        raise _invalid("webhook response was absent")
    if response.uid != uid:
        raise _invalid(f"expected response.uid={quote(uid)}, got {quote(response.uid or '')}")
    if (review.apiVersion, review.kind) != (API_VERSION, KIND):
        given = f"{_group_version(review.apiVersion or '')}, Kind={review.kind or ''}"
        expected = f"{API_VERSION}, Kind={KIND}"
        raise _invalid(f"expected webhook response of {expected}, got {given}")
    _check_patch(response, patch, mutating=mutating)
    return Verdict(
        allowed=bool(response.allowed),
        status=None if response.allowed else denial(webhook, response.status or _Status()),
        patch=patch,
        warnings=tuple(response.warnings or ()),
        audit=response.auditAnnotations or {},
    )


def _unreadable(why: str) -> AnswerError:
    return AnswerError(f"failed to call webhook: {why}")


def _invalid(why: str) -> AnswerError:
    return AnswerError(f"received invalid webhook response: {why}")


def _patch_bytes(text: str) -> bytes:
    try:
        return base64.b64decode(re.sub("[\r\n]", "", text), validate=True)
    except (binascii.Error, ValueError):
        raise _unreadable("illegal base64 data in response.patch") from None


def _group_version(api_version: str) -> str:
    """As Go shows what it has read: `/` of nothing."""
    group, slash, version = api_version.rpartition("/")
    return f"{group}/{version}" if slash or not version else version


def _check_patch(response: _Response, patch: bytes, *, mutating: bool) -> None:
    kind = response.patchType
    if not mutating:
        if patch:
            raise _invalid("validating webhook may not return response.patch")
        if kind is not None:
            raise _invalid("validating webhook may not return response.patchType")
        return
    if patch and kind is None:
        raise _invalid("webhook returned response.patch but not response.patchType")
    if not patch and kind is not None:
        raise _invalid("webhook returned response.patchType but not response.patch")
    if kind == "":
        raise _invalid('webhook returned invalid response.patchType of ""')
    if kind is not None and kind != "JSONPatch":
        raise AnswerError(f"unsupported patch type {quote(kind)}")


def denial(webhook: str, status: _Status) -> meta_v1.Status:
    """The answer that the client gets: the webhook's own words and code, if it is a code of a refusal."""
    denied = f"admission webhook {quote(webhook)} denied the request"
    why = status.message or status.reason
    code = status.code or 0
    return meta_v1.Status(
        apiVersion="v1",
        kind="Status",
        metadata=meta_v1.ListMeta(),
        status="Failure",
        message=f"{denied}: {why}" if why else f"{denied} without explanation",
        reason=status.reason or None,
        details=status.details,
        code=code if 400 <= code <= 599 else 400,
    )


def audit_annotations(webhook: str, given: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """Those that can be kept, below the webhook's name, and the keys of those that cannot."""
    kept, dropped = {}, []
    for key, value in given.items():
        if "/" in key or qualified_name(f"{webhook}/{key}"):
            dropped.append(key)
        else:
            kept[f"{webhook}/{key}"] = value
    return kept, dropped


# ---- the patch


def operations_of(patch: bytes) -> list[Any]:
    """Those of a JSON patch; none of an empty one. Raises `BadPatch`."""
    if not patch:
        return []
    try:
        operations = msgspec.json.decode(patch)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadPatch(f"received undecodable patch in webhook response: {error}") from None
    if not isinstance(operations, list):
        raise BadPatch("received undecodable patch in webhook response: not a list of operations")
    return operations


def patched(document: Any, operations: list[Any]) -> Any:
    """A changed copy of `document`. Raises `BadPatch`."""
    try:
        return json_patch(document, operations)
    except PatchError:
        raise BadPatch(_misfit(document, operations)) from None


def _misfit(document: Any, operations: list[Any]) -> str:
    """Which operation it is, without the object: what is in it is nobody's who reads the error."""
    for operation in operations:
        try:
            document = json_patch(document, [operation])
        except PatchError:
            break
    if not isinstance(operation, dict):
        return "an operation of the patch is not an object"
    name, path = operation.get("op"), operation.get("path")
    if name == "test":
        return f"testing value {path} failed: test failed"
    if name not in ("add", "remove", "replace", "move", "copy"):
        return f"Unexpected kind: {name}"
    return f'{name} operation does not apply: doc is missing path: "{path}": missing value'
