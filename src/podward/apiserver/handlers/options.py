"""Query parameters that several verbs share."""

from typing import Any, Final, Literal, cast

from podward.api.errors import bad_request
from podward.apiserver.registry import WriteOptions
from podward.apiserver.request import Request

FieldValidation = Literal["Ignore", "Warn", "Strict"]

_SENT: Final = ("fieldManager", "fieldValidation")


def write_options(request: Request, subresource: str = "") -> WriteOptions:
    """Who writes, and whether for real."""
    dry_run = request.query_list.get("dryRun", [])
    if any(value not in ("", "All") for value in dry_run):
        raise bad_request(f"dryRun: Invalid value: {dry_run[0]!r}: only All is supported")
    sent: dict[str, Any] = {name: request.query[name] for name in _SENT if request.query.get(name)}
    if "All" in dry_run:
        sent["dryRun"] = ["All"]
    return WriteOptions(request.identity, "All" in dry_run, subresource, sent=sent)


def field_validation(request: Request) -> FieldValidation:
    """What to do about unknown fields; the server's own default is to warn."""
    value = request.query.get("fieldValidation") or "Warn"
    if value not in ("Ignore", "Warn", "Strict"):
        raise bad_request(
            f'fieldValidation: Unsupported value: "{value}": supported values: "Ignore", "Warn", "Strict"'
        )
    return cast(FieldValidation, value)


def integer(request: Request, name: str) -> int | None:
    """A whole number, or None if the parameter is absent; 400 if it is something else."""
    text = request.query.get(name)
    if text is None or text == "":
        return None
    try:
        return int(text)
    except ValueError:
        raise bad_request(f'{name}: Invalid value: "{text}": must be an integer') from None
