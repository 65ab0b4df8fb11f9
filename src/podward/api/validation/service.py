"""Services. Pure; the words are a Kubernetes API server's."""

import ipaddress
from collections.abc import Sequence

from lightkube.models import core_v1

from podward.api.errors import (
    FieldError,
    field_duplicate,
    field_invalid,
    field_not_supported,
    field_required,
)
from podward.api.validation.names import dns_label, dns_subdomain, port_name

_TYPES = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")
_PROTOCOLS = ("SCTP", "TCP", "UDP")
_RANGE = "must be between 1 and 65535, inclusive"


def service_errors(service: core_v1.Service) -> list[FieldError]:
    spec = service.spec
    assert spec is not None
    ports = spec.ports or ()
    headless = spec.clusterIP == "None"
    found: list[FieldError] = []
    if not ports and not headless and spec.type != "ExternalName":
        found.append(field_required("spec.ports"))
    found += _ports_errors(ports)
    if spec.type not in _TYPES:
        found.append(field_not_supported("spec.type", spec.type, _TYPES))
    if spec.sessionAffinity not in ("ClientIP", "None"):
        kinds = ("ClientIP", "None")
        found.append(field_not_supported("spec.sessionAffinity", spec.sessionAffinity, kinds))
    return found + _address_errors(spec, headless)


def _address_errors(spec: core_v1.ServiceSpec, headless: bool) -> list[FieldError]:
    found: list[FieldError] = []
    if spec.type == "ExternalName":
        if spec.clusterIP:
            detail = "may not be set for ExternalName services"
            found.append(field_invalid("spec.clusterIPs[0]", spec.clusterIP, detail))
        name = (spec.externalName or "").removesuffix(".")
        if not name:
            found.append(field_required("spec.externalName"))
        else:
            found += [
                field_invalid("spec.externalName", name, problem) for problem in dns_subdomain(name)
            ]
    elif headless and spec.type in ("NodePort", "LoadBalancer"):
        detail = f"may not be set to 'None' for {spec.type} services"
        found.append(field_invalid("spec.clusterIPs[0]", spec.clusterIP, detail))
    elif spec.clusterIP and not headless and not _is_address(spec.clusterIP):
        detail = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
        found.append(field_invalid("spec.clusterIPs[0]", spec.clusterIP, detail))
    if spec.clusterIPs and spec.clusterIPs[0] != spec.clusterIP:
        detail = "first value must match `clusterIP`"
        found.append(field_invalid("spec.clusterIPs[0]", spec.clusterIPs[0], detail))
    return found


def _ports_errors(ports: Sequence[core_v1.ServicePort]) -> list[FieldError]:
    found: list[FieldError] = []
    names: set[str] = set()
    pairs: set[tuple[str, int]] = set()
    for index, port in enumerate(ports):
        path = f"spec.ports[{index}]"
        if port.name:
            found += [field_invalid(f"{path}.name", port.name, p) for p in dns_label(port.name)]
            if port.name in names:
                found.append(field_duplicate(f"{path}.name", port.name))
            names.add(port.name)
        elif len(ports) > 1:
            found.append(field_required(f"{path}.name"))
        if not 0 < port.port < 65536:
            found.append(field_invalid(f"{path}.port", port.port, _RANGE))
        if port.protocol not in _PROTOCOLS:
            found.append(field_not_supported(f"{path}.protocol", port.protocol, _PROTOCOLS))
        found += _target_errors(port.targetPort, f"{path}.targetPort")
        pair = (port.protocol or "", port.port)
        if pair in pairs:
            found.append(field_duplicate(path, {"port": port.port, "protocol": port.protocol}))
        pairs.add(pair)
    return found


def _target_errors(target: int | str | None, path: str) -> list[FieldError]:
    if isinstance(target, str):
        return [field_invalid(path, target, problem) for problem in port_name(target)]
    if target is not None and not 0 < target < 65536:
        return [field_invalid(path, target, _RANGE)]
    return []


def service_update_errors(new: core_v1.Service, old: core_v1.Service) -> list[FieldError]:
    found = service_errors(new)
    spec, held = new.spec, old.spec
    assert spec is not None
    assert held is not None
    if "ExternalName" not in (spec.type, held.type) and held.clusterIP != spec.clusterIP:
        where = "spec.clusterIPs[0]"
        if held.clusterIP:
            found.append(field_invalid(where, spec.clusterIP or "", "may not change once set"))
    return found


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
