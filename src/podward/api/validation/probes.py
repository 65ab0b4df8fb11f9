"""Probes and lifecycle handlers (spec/health.md 1.3): the rules, in the order a server reports them. Pure."""

import re
from typing import Literal

from lightkube.models import core_v1

from podward.api.errors import (
    FieldError,
    field_forbidden,
    field_invalid,
    field_not_supported,
    field_required,
)
from podward.api.validation.names import port_name

ProbeField = Literal["livenessProbe", "readinessProbe", "startupProbe"]

_NUMBERS = (
    "initialDelaySeconds",
    "timeoutSeconds",
    "periodSeconds",
    "successThreshold",
    "failureThreshold",
)


def probe_errors(probe: core_v1.Probe, kind: ProbeField, path: str) -> list[FieldError]:
    handler = core_v1.LifecycleHandler(
        exec=probe.exec, httpGet=probe.httpGet, tcpSocket=probe.tcpSocket
    )
    found = handler_errors(handler, path, grpc=probe.grpc)
    for name in _NUMBERS:
        number = getattr(probe, name)
        if number is not None and number < 0:
            found.append(
                field_invalid(f"{path}.{name}", number, "must be greater than or equal to 0")
            )
    grace = probe.terminationGracePeriodSeconds
    if kind == "readinessProbe":
        if grace is not None:
            found.append(
                field_invalid(
                    f"{path}.terminationGracePeriodSeconds",
                    grace,
                    "must not be set for readinessProbes",
                )
            )
        return found
    if grace is not None and grace <= 0:
        field = f"{path}.terminationGracePeriodSeconds"
        found.append(field_invalid(field, grace, "must be greater than 0"))
    if probe.successThreshold != 1:
        found.append(field_invalid(f"{path}.successThreshold", probe.successThreshold, "must be 1"))
    return found


def handler_errors(
    handler: core_v1.LifecycleHandler,
    path: str,
    *,
    grpc: core_v1.GRPCAction | None = None,
    grace: int | None = None,
) -> list[FieldError]:
    """Exactly one mechanism, and that one right. `grace`: the Pod's, which bounds a sleep."""
    found: list[FieldError] = []
    given = 0

    def another(name: str) -> bool:
        nonlocal given
        given += 1
        if given > 1:
            found.append(
                field_forbidden(f"{path}.{name}", "may not specify more than 1 handler type")
            )
        return given == 1

    if handler.exec is not None and another("exec") and not handler.exec.command:
        found.append(field_required(f"{path}.exec.command"))
    if handler.httpGet is not None and another("httpGet"):
        found += _http_get_errors(handler.httpGet, f"{path}.httpGet")
    if handler.tcpSocket is not None and another("tcpSocket"):
        found += _port_errors(handler.tcpSocket.port, f"{path}.tcpSocket.port")
    if grpc is not None and another("grpc"):
        found += _port_errors(grpc.port, f"{path}.grpc.port")
    if handler.sleep is not None and another("sleep"):
        seconds = handler.sleep.seconds
        if seconds < 0 or (grace is not None and seconds > grace):
            detail = f"must be non-negative and less than terminationGracePeriodSeconds ({grace})"
            found.append(field_invalid(f"{path}.sleep.seconds", seconds, detail))
    if given == 0:
        found.append(field_required(path, "must specify a handler type"))
    return found


def _http_get_errors(action: core_v1.HTTPGetAction, path: str) -> list[FieldError]:
    found = []
    if not action.path:
        found.append(field_required(f"{path}.path"))
    found += _port_errors(action.port, f"{path}.port")
    if action.scheme not in ("HTTP", "HTTPS"):
        found.append(field_not_supported(f"{path}.scheme", action.scheme, ("HTTP", "HTTPS")))
    for header in action.httpHeaders or ():
        if not re.fullmatch("[-A-Za-z0-9]+", header.name):
            found.append(
                field_invalid(
                    f"{path}.httpHeaders",
                    header.name,
                    "a valid HTTP header must consist of alphanumeric characters or '-' (e.g. "
                    "'X-Header-Name', regex used for validation is '[-A-Za-z0-9]+')",
                )
            )
    return found


def _port_errors(port: int | str, path: str) -> list[FieldError]:
    if isinstance(port, str):
        return [field_invalid(path, port, problem) for problem in port_name(port)]
    if not 1 <= port <= 65535:
        return [field_invalid(path, port, "must be between 1 and 65535, inclusive")]
    return []
