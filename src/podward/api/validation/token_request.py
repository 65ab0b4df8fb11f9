"""Requests for tokens. Pure."""

from lightkube.models import authentication_v1

from podward.api.errors import FieldError, field_invalid

_SHORTEST, _LONGEST = 600, 1 << 32


def token_request_errors(spec: authentication_v1.TokenRequestSpec) -> list[FieldError]:
    """Of a spec that is complete."""
    path, seconds = "spec.expirationSeconds", spec.expirationSeconds or 0
    if seconds < _SHORTEST:
        return [field_invalid(path, seconds, "may not specify a duration less than 10 minutes")]
    if seconds > _LONGEST:
        detail = "may not specify a duration larger than 2^32 seconds"
        return [field_invalid(path, seconds, detail)]
    return []
