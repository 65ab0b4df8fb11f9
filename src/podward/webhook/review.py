"""What is answered to an AdmissionReview (admission.k8s.io/v1). Pure: bytes in, bytes out.

An API server is strict here: the uid must be echoed, a patch needs its type, and a patch that cannot be applied
fails the request even where failurePolicy says Ignore. So whatever is not a Pod that is being created is let
through as it came, and what cannot be read is no review (`BadReview`, HTTP 400).
"""

import base64
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol

import msgspec

from podward.admission.plugins.pod_preset import merge
from podward.admission.plugins.pod_preset.model import (
    Conflict,
    Document,
    Mode,
    Notice,
    Preset,
    Result,
)
from podward.admission.plugins.pod_preset.selection import PresetIndex

API_VERSION: Final = "admission.k8s.io/v1"
KIND: Final = "AdmissionReview"
WARNING_LIMIT: Final = 256
WARNINGS_LIMIT: Final = 4096
"""Characters of one and of all: an API server cuts what is longer."""
_MORE_ROOM: Final = 48

Outcome = Literal["untouched", "patched", "denied", "failed"]
"""denied: by a rule of somebody's. failed: compat mode could not read the presets of the namespace."""


class BadReview(Exception):
    """The body is not an AdmissionReview with a request that can be answered."""


class GroupVersionResource(msgspec.Struct):
    group: str = ""
    version: str = ""
    resource: str = ""


class UserInfo(msgspec.Struct):
    username: str = ""
    uid: str = ""
    groups: list[str] | None = None
    extra: dict[str, list[str]] | None = None


class Request(msgspec.Struct):
    """What an API server asks; the objects are left as they came."""

    uid: str
    operation: str
    resource: GroupVersionResource
    subResource: str | None = None
    namespace: str | None = None
    name: str | None = None
    userInfo: UserInfo = msgspec.field(default_factory=UserInfo)
    object: msgspec.Raw = msgspec.field(default_factory=lambda: msgspec.Raw(b"null"))
    oldObject: msgspec.Raw = msgspec.field(default_factory=lambda: msgspec.Raw(b"null"))
    dryRun: bool | None = None

    def is_about(self, group: str, resource: str, *operations: str) -> bool:
        return (
            self.operation in operations
            and not self.subResource
            and (self.resource.group, self.resource.resource) == (group, resource)
        )


class _Review(msgspec.Struct):
    apiVersion: str
    kind: str
    request: Request


@dataclass(frozen=True, slots=True)
class Answer:
    body: bytes
    outcome: Outcome
    notice: Notice | None = None
    """What is to be told of it, if presets had a part in it."""


class View(Protocol):
    """What presets are there for one namespace, at one moment."""

    @property
    def presets(self) -> PresetIndex: ...

    @property
    def namespace_labels(self) -> Mapping[str, str]: ...


class Admit(Protocol):
    """`merge.admit`."""

    def __call__(
        self,
        pod: Document,
        presets: PresetIndex,
        *,
        namespace: str,
        namespace_labels: Mapping[str, str] | None,
        mode: Mode,
    ) -> Result: ...


_decoder = msgspec.json.Decoder(_Review)
_encoder = msgspec.json.Encoder()


def read(body: bytes) -> Request:
    """Raises `BadReview`; the text quotes nothing of the body, which may hold secrets."""
    try:
        review = _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadReview(f"not an AdmissionReview: {_without_values(error)}") from None
    if (review.apiVersion, review.kind) != (API_VERSION, KIND):
        raise BadReview(f"not an {API_VERSION} {KIND}")
    if not review.request.uid:
        raise BadReview("the request has no uid")
    return review.request


def document(raw: msgspec.Raw, what: str) -> Document:
    """The object of a request, every field of it."""
    try:
        value = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise BadReview(f"{what} is not an object")
    return value


def creates_a_pod(request: Request) -> bool:
    return request.is_about("", "pods", "CREATE")


def mutate(request: Request, view: View, mode: Mode, *, admit: Admit = merge.admit) -> Answer:
    """`view`: of the request's namespace. What creates no Pod has nothing to do with presets."""
    if not creates_a_pod(request):
        return let_through(request)
    pod = document(request.object, "request.object")
    namespace = request.namespace or ""
    result = admit(
        pod,
        view.presets,
        namespace=namespace,
        namespace_labels=view.namespace_labels,
        mode=mode,
    )
    notice = _notice(request, pod, namespace, result)
    if result.error:
        return denied(request, 500, "", result.error, outcome="failed", notice=notice)
    if result.rejected:
        return denied(request, 403, "Forbidden", result.rejected, notice=notice)
    return _allowed(request, result, notice)


def let_through(request: Request, warnings: Sequence[str] = ()) -> Answer:
    response: dict[str, Any] = {"uid": request.uid, "allowed": True}
    if warnings:
        response["warnings"] = limited(warnings)
    return Answer(_review(response), "untouched")


def denied(
    request: Request,
    code: int,
    reason: str,
    message: str,
    *,
    details: Mapping[str, Any] | None = None,
    outcome: Outcome = "denied",
    notice: Notice | None = None,
) -> Answer:
    status: dict[str, Any] = {
        "metadata": {},
        "status": "Failure",
        "message": message,
        "reason": reason,
        "code": code,
    }
    if details:
        status["details"] = details
    response = {"uid": request.uid, "allowed": False, "status": status}
    return Answer(_review(response), outcome, notice)


def _allowed(request: Request, result: Result, notice: Notice | None) -> Answer:
    response: dict[str, Any] = {"uid": request.uid, "allowed": True}
    if result.patch:
        response["patchType"] = "JSONPatch"
        response["patch"] = base64.b64encode(_encoder.encode(result.patch)).decode()
    if result.conflicts:
        response["warnings"] = limited(f"PodPreset: {c.message}" for c in result.conflicts)
    if annotations := _audit(result):
        response["auditAnnotations"] = annotations
    return Answer(_review(response), "patched" if result.patch else "untouched", notice)


def _review(response: Mapping[str, Any]) -> bytes:
    return _encoder.encode({"apiVersion": API_VERSION, "kind": KIND, "response": response})


def limited(warnings: Iterable[str]) -> list[str]:
    """Each once, cut to what an API server hands on; how many there was no room for is the last."""
    unique = list(dict.fromkeys(_cut(warning) for warning in warnings))
    room, kept = WARNINGS_LIMIT, list[str]()
    for i, warning in enumerate(unique):
        last = i == len(unique) - 1
        if len(warning) > room - (0 if last else _MORE_ROOM):
            kept.append(f"PodPreset: {len(unique) - i} more of these")
            break
        kept.append(warning)
        room -= len(warning)
    return kept


def _cut(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= WARNING_LIMIT else f"{line[: WARNING_LIMIT - 3]}..."


def _audit(result: Result) -> dict[str, str]:
    """For the API server's audit log. Names only: whatever is in a preset may be secret."""
    found: dict[str, str] = {}
    if result.applied:
        found["applied"] = ",".join(f"{_name(p)}@{p.resource_version}" for p in result.applied)
    if result.conflicts:
        found["conflicts"] = ",".join(dict.fromkeys(_place(c) for c in result.conflicts))
    return found


def _name(preset: Preset) -> str:
    """`cal` is the kind that had the name first; the others say which they are."""
    return preset.name if preset.origin == "settings" else preset.id


def _place(conflict: Conflict) -> str:
    preset = conflict.presets[0].removeprefix("podpreset/") if conflict.presets else ""
    container = f"{conflict.container}." if conflict.container else ""
    return f"{preset}:{container}{conflict.list}[{conflict.identity}]"


def _notice(request: Request, pod: Document, namespace: str, result: Result) -> Notice | None:
    if not (result.matched or result.invalid or result.error):
        return None
    metadata = pod.get("metadata") or {}
    owners = metadata.get("ownerReferences") or ()
    return Notice(
        result=result,
        namespace=namespace,
        pod_name=request.name or metadata.get("name") or metadata.get("generateName") or "",
        owner=next((owner for owner in owners if owner.get("controller")), None),
        dry_run=bool(request.dryRun),
    )


def _without_values(error: Exception) -> str:
    """msgspec's words say what was expected where, and quote a value only for enums and tags: none here."""
    return str(error) if isinstance(error, msgspec.ValidationError) else "it cannot be read as JSON"
