"""Names, addresses and ports of a Pod. Pure; the order of the rules is the order of a server's errors."""

import ipaddress
from collections.abc import Sequence

from lightkube.models import core_v1

from podward.api.errors import (
    FieldError,
    field_duplicate,
    field_invalid,
    field_required,
)
from podward.api.validation.names import dns_subdomain

_MAX_SERVERS, _MAX_SEARCHES, _MAX_SEARCH_LETTERS = 3, 32, 2048


def host_ports_errors(containers: Sequence[core_v1.Container], path: str) -> list[FieldError]:
    """One port of the node for one container: of those that run side by side."""
    found = []
    taken: set[str] = set()
    for index, container in enumerate(containers):
        for number, port in enumerate(container.ports or ()):
            if not port.hostPort:
                continue
            held = f"{port.protocol}/{port.hostIP or ''}/{port.hostPort}"
            if held in taken:
                found.append(field_duplicate(f"{path}[{index}].ports[{number}].hostPort", held))
            taken.add(held)
    return found


def host_network_errors(
    spec: core_v1.PodSpec, path: str, *, template: bool = False
) -> list[FieldError]:
    """In the node's network a container's port is the node's. `template`: what is left out may be."""
    if not spec.hostNetwork:
        return []
    detail = "must match `containerPort` when `hostNetwork` is true"
    return [
        field_invalid(f"{path}.containers[{i}].ports[{j}].hostPort", port.hostPort or 0, detail)
        for i, container in enumerate(spec.containers)
        for j, port in enumerate(container.ports or ())
        if (port.hostPort or not template) and port.hostPort != port.containerPort
    ]


def dns_config_errors(spec: core_v1.PodSpec, path: str) -> list[FieldError]:
    config = spec.dnsConfig
    if spec.dnsPolicy == "None":
        if config is None:
            return [field_required(path, "must provide `dnsConfig` when `dnsPolicy` is None")]
        if not config.nameservers:
            detail = "must provide at least one DNS nameserver when `dnsPolicy` is None"
            return [field_required(f"{path}.nameservers", detail)]
    if config is None:
        return []
    found = []
    servers, searches = config.nameservers or [], config.searches or []
    if len(servers) > _MAX_SERVERS:
        detail = f"must not have more than {_MAX_SERVERS} nameservers"
        found.append(field_invalid(f"{path}.nameservers", servers, detail))
    for index, server in enumerate(servers):
        found += ip_errors(server, f"{path}.nameservers[{index}]")
    if len(searches) > _MAX_SEARCHES:
        detail = f"must not have more than {_MAX_SEARCHES} search paths"
        found.append(field_invalid(f"{path}.searches", searches, detail))
    if len(" ".join(searches)) > _MAX_SEARCH_LETTERS:
        detail = (
            f"must not have more than {_MAX_SEARCH_LETTERS} characters (including spaces) in the "
            "search list"
        )
        found.append(field_invalid(f"{path}.searches", searches, detail))
    for index, search in enumerate(searches):
        bare = search.removesuffix(".")
        where = f"{path}.searches[{index}]"
        # Anything below the root, and names that only a resolver must understand (1.34 and later).
        relaxed = bare.replace("_", "-") if bare else ""
        if search != ".":
            found += [field_invalid(where, bare, p) for p in dns_subdomain(relaxed)]
    for index, option in enumerate(config.options or ()):
        if not option.name:
            found.append(field_required(f"{path}.options[{index}]", "must not be empty"))
    return found


def host_aliases_errors(aliases: Sequence[core_v1.HostAlias], path: str) -> list[FieldError]:
    found = []
    for index, alias in enumerate(aliases):
        found += ip_errors(alias.ip, f"{path}[{index}].ip")
        for number, name in enumerate(alias.hostnames or ()):
            where = f"{path}[{index}].hostnames[{number}]"
            found += [field_invalid(where, name, problem) for problem in dns_subdomain(name)]
    return found


def ip_errors(text: str, path: str) -> list[FieldError]:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        detail = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
        return [field_invalid(path, text, detail)]
    return []
