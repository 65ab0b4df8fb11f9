"""The API's errors: every refusal is a `Status` with a code, a reason and, where fields are wrong, causes.

The texts are a real API server's, for people and programs match them (spec/health.md 1.3).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from lightkube.models import meta_v1

from podward.api.scheme import Resource
from podward.machinery import gotext

FieldErrorType = Literal[
    "FieldValueInvalid",
    "FieldValueRequired",
    "FieldValueForbidden",
    "FieldValueNotSupported",
    "FieldValueDuplicate",
    "FieldValueTooMany",
    "FieldValueTooLong",
    "FieldValueNotFound",
]

_TYPE_TEXT: dict[FieldErrorType, str] = {
    "FieldValueInvalid": "Invalid value",
    "FieldValueRequired": "Required value",
    "FieldValueForbidden": "Forbidden",
    "FieldValueNotSupported": "Unsupported value",
    "FieldValueDuplicate": "Duplicate value",
    "FieldValueTooMany": "Too many",
    "FieldValueTooLong": "Too long",
    "FieldValueNotFound": "Not found",
}


class ApiStatusError(Exception):
    """A request refused; `status` is the body of the answer."""

    def __init__(self, status: meta_v1.Status) -> None:
        super().__init__(status.message)
        self.status = status


@dataclass(frozen=True, slots=True)
class FieldError:
    type: FieldErrorType
    field: str
    value: Any = None
    detail: str = ""

    @property
    def body(self) -> str:
        text = _TYPE_TEXT[self.type]
        if self.type in ("FieldValueRequired", "FieldValueForbidden", "FieldValueTooLong"):
            return f"{text}: {self.detail}" if self.detail else text
        shown = f"{text}: {gotext.value(self.value)}"
        return f"{shown}: {self.detail}" if self.detail else shown

    def __str__(self) -> str:
        return f"{self.field}: {self.body}"


def field_invalid(path: str, value: Any, detail: str) -> FieldError:
    return FieldError("FieldValueInvalid", path, value, detail)


def field_required(path: str, detail: str = "") -> FieldError:
    return FieldError("FieldValueRequired", path, detail=detail)


def field_forbidden(path: str, detail: str) -> FieldError:
    return FieldError("FieldValueForbidden", path, detail=detail)


def field_not_supported(path: str, value: Any, supported: Iterable[str]) -> FieldError:
    names = ", ".join(gotext.quote(name) for name in supported)
    return FieldError("FieldValueNotSupported", path, value, f"supported values: {names}")


def field_not_found(path: str, value: Any) -> FieldError:
    return FieldError("FieldValueNotFound", path, value)


def field_duplicate(path: str, value: Any) -> FieldError:
    return FieldError("FieldValueDuplicate", path, value)


def status_error(
    code: int, reason: str, message: str, details: meta_v1.StatusDetails | None = None
) -> ApiStatusError:
    """`reason` may be empty: then the message is all there is."""
    return ApiStatusError(
        meta_v1.Status(
            apiVersion="v1",
            kind="Status",
            metadata=meta_v1.ListMeta(),
            status="Failure",
            message=message,
            reason=reason or None,
            details=details,
            code=code,
        )
    )


def _details(resource: Resource, name: str) -> meta_v1.StatusDetails:
    return meta_v1.StatusDetails(
        name=name or None, group=resource.group or None, kind=resource.plural
    )


def not_found(resource: Resource, name: str) -> ApiStatusError:
    return status_error(
        404,
        "NotFound",
        f'{resource.group_resource} "{name}" not found',
        _details(resource, name),
    )


def already_exists(resource: Resource, name: str) -> ApiStatusError:
    return status_error(
        409,
        "AlreadyExists",
        f'{resource.group_resource} "{name}" already exists',
        _details(resource, name),
    )


def conflict(resource: Resource, name: str, why: str) -> ApiStatusError:
    return status_error(
        409,
        "Conflict",
        f'Operation cannot be fulfilled on {resource.group_resource} "{name}": {why}',
        _details(resource, name),
    )


NAMESPACE_TERMINATING = "NamespaceTerminating"


def namespace_terminating(resource: Resource, name: str, namespace: str) -> ApiStatusError:
    """403, of which clients can tell by its cause that nothing is wrong."""
    why = f"unable to create new content in namespace {namespace} because it is being terminated"
    error = forbidden(resource, name, why)
    assert error.status.details is not None
    error.status.details.causes = [
        meta_v1.StatusCause(
            field="metadata.namespace",
            message=f"namespace {namespace} is being terminated",
            reason=NAMESPACE_TERMINATING,
        )
    ]
    return error


def forbidden(resource: Resource, name: str, why: str) -> ApiStatusError:
    return status_error(
        403,
        "Forbidden",
        f'{resource.group_resource} "{name}" is forbidden: {why}',
        _details(resource, name),
    )


def invalid(resource: Resource, name: str, errors: Sequence[FieldError]) -> ApiStatusError:
    """422; the same error twice is said once."""
    unique = list(dict.fromkeys(str(error) for error in errors))
    listed = unique[0] if len(unique) == 1 else f"[{', '.join(unique)}]"
    kind = f"{resource.kind}.{resource.group}" if resource.group else resource.kind
    causes = [
        meta_v1.StatusCause(field=error.field, message=error.body, reason=error.type)
        for error in errors
    ]
    return status_error(
        422,
        "Invalid",
        f'{kind} "{name}" is invalid: {listed}',
        meta_v1.StatusDetails(
            name=name or None, group=resource.group or None, kind=resource.kind, causes=causes
        ),
    )


def bad_request(message: str) -> ApiStatusError:
    return status_error(400, "BadRequest", message)


def unauthorized() -> ApiStatusError:
    return status_error(401, "Unauthorized", "Unauthorized")


def expired(message: str) -> ApiStatusError:
    return status_error(410, "Expired", message)


def internal_error(message: str) -> ApiStatusError:
    return status_error(500, "InternalError", f"Internal error occurred: {message}")
