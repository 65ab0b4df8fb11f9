"""`describe pod`, line for line what kubectl 1.32 prints (spec/health.md 8.4)."""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from math import ceil
from typing import Any
from urllib.parse import quote

from podward.cli.describers.layout import (
    Json,
    Layout,
    age,
    annotations,
    events,
    labels,
    rfc1123z,
)
from podward.machinery.quantity import parse_quantity


def describe(pod: Json, given_events: Iterable[Json], now: datetime) -> str:
    out = Layout()
    metadata, spec, status = pod["metadata"], pod["spec"], pod.get("status") or {}
    _identity(out, metadata, spec, status)
    _condition(out, metadata, status, now)
    _addresses(out, status)
    owner = next((o for o in metadata.get("ownerReferences") or () if o.get("controller")), None)
    if owner:
        out.line(0, f"Controlled By:\t{owner['kind']}/{owner['name']}")
    if status.get("nominatedNodeName"):
        out.line(0, f"NominatedNodeName:\t{status['nominatedNodeName']}")
    for title, field in _CONTAINER_LISTS.items():
        containers = spec.get(f"{field}s") or []
        if containers or field == "container":
            statuses = {s["name"]: s for s in status.get(f"{field}Statuses") or ()}
            _containers(out, pod, title, containers, statuses)
    _two_columns(out, "Readiness Gates", _gates(spec, status))
    conditions = status.get("conditions") or ()
    _two_columns(out, "Conditions", [(c["type"], c["status"]) for c in conditions])
    _volumes(out, spec.get("volumes") or [])
    out.line(0, f"QoS Class:\t{status.get('qosClass', '')}")
    out.pairs("Node-Selectors", labels(spec.get("nodeSelector")))
    out.pairs("Tolerations", _tolerations(spec.get("tolerations") or ()))
    events(out, given_events, now)
    return out.text()


_CONTAINER_LISTS = {
    "Init Containers": "initContainer",
    "Containers": "container",
    "Ephemeral Containers": "ephemeralContainer",
}


def _identity(out: Layout, metadata: Json, spec: Json, status: Json) -> None:
    out.line(0, f"Name:\t{metadata['name']}")
    out.line(0, f"Namespace:\t{metadata.get('namespace', '')}")
    if spec.get("priority") is not None:
        out.line(0, f"Priority:\t{spec['priority']}")
    for title, field in (
        ("Priority Class Name", "priorityClassName"),
        ("Runtime Class Name", "runtimeClassName"),
        ("Service Account", "serviceAccountName"),
    ):
        if spec.get(field):
            out.line(0, f"{title}:\t{spec[field]}")
    node = spec.get("nodeName")
    out.line(0, f"Node:\t{node}/{status.get('hostIP', '')}" if node else "Node:\t<none>")
    if status.get("startTime"):
        out.line(0, f"Start Time:\t{rfc1123z(status['startTime'])}")
    out.pairs("Labels", labels(metadata.get("labels")))
    out.pairs("Annotations", annotations(metadata.get("annotations")))


def _condition(out: Layout, metadata: Json, status: Json, now: datetime) -> None:
    phase = status.get("phase", "")
    if metadata.get("deletionTimestamp") and phase not in ("Failed", "Succeeded"):
        out.line(0, f"Status:\tTerminating (lasts {age(metadata['deletionTimestamp'], now)})")
        grace = metadata.get("deletionGracePeriodSeconds", 0)
        out.line(0, f"Termination Grace Period:\t{grace}s")
    else:
        out.line(0, f"Status:\t{phase}")
    for title in ("Reason", "Message"):
        if status.get(title.lower()):
            out.line(0, f"{title}:\t{status[title.lower()]}")


def _addresses(out: Layout, status: Json) -> None:
    out.line(0, f"IP:\t{status.get('podIP', '')}")
    addresses = status.get("podIPs")
    out.line(0, "IPs:" if addresses else "IPs:\t<none>")
    for address in addresses or ():
        out.line(1, f"IP:\t{address['ip']}")


def _containers(
    out: Layout, pod: Json, title: str, containers: Sequence[Json], statuses: Json
) -> None:
    out.line(0, f"{title}:" if containers else f"{title}:\t<none>")
    for container in containers:
        status = statuses.get(container["name"])
        out.line(1, f"{container['name']}:")
        if status is not None:
            out.line(2, f"Container ID:\t{status.get('containerID', '')}")
        out.line(2, f"Image:\t{container.get('image', '')}")
        if status is not None:
            out.line(2, f"Image ID:\t{status.get('imageID', '')}")
        _ports(out, container.get("ports") or ())
        _words(out, "Command", container.get("command"))
        _words(out, "Args", container.get("args"))
        if status is not None:
            _state(out, "State", status.get("state") or {})
            if (status.get("lastState") or {}).get("terminated"):
                _state(out, "Last State", status["lastState"])
            out.line(2, f"Ready:\t{bool(status.get('ready'))}")
            out.line(2, f"Restart Count:\t{status.get('restartCount', 0)}")
        _resources(out, container.get("resources") or {})
        for kind in ("liveness", "readiness", "startup"):
            if container.get(f"{kind}Probe"):
                out.line(2, f"{kind.capitalize()}:\t{probe(container[f'{kind}Probe'])}")
        _environment(out, pod, container)
        _mounts(out, container)


def _ports(out: Layout, ports: Sequence[Json]) -> None:
    plural = "s" if len(ports) > 1 else ""
    for title, field in (("Port", "containerPort"), ("Host Port", "hostPort")):
        shown = ", ".join(f"{p.get(field, 0)}/{p.get('protocol', 'TCP')}" for p in ports)
        out.line(2, f"{title}{plural}:\t{shown or '<none>'}")


def _words(out: Layout, title: str, words: Sequence[str] | None) -> None:
    if words:
        out.line(2, f"{title}:")
        for word in words:
            for part in word.split("\n"):
                out.line(3, part)


def _state(out: Layout, title: str, state: Json) -> None:
    running, ended = state.get("running"), state.get("terminated")
    if running is not None:
        out.line(2, f"{title}:\tRunning")
        out.line(3, f"Started:\t{rfc1123z(running.get('startedAt'))}")
    elif ended is not None:
        out.line(2, f"{title}:\tTerminated")
        for name in ("Reason", "Message"):
            if ended.get(name.lower()):
                out.line(3, f"{name}:\t{ended[name.lower()]}")
        out.line(3, f"Exit Code:\t{ended.get('exitCode', 0)}")
        if ended.get("signal"):
            out.line(3, f"Signal:\t{ended['signal']}")
        out.line(3, f"Started:\t{rfc1123z(ended.get('startedAt'))}")
        out.line(3, f"Finished:\t{rfc1123z(ended.get('finishedAt'))}")
    else:
        out.line(2, f"{title}:\tWaiting")
        reason = (state.get("waiting") or {}).get("reason")
        if reason:
            out.line(3, f"Reason:\t{reason}")


def _resources(out: Layout, resources: Json) -> None:
    for title in ("Limits", "Requests"):
        amounts = resources.get(title.lower())
        if amounts:
            out.line(2, f"{title}:")
            for name, amount in sorted(amounts.items()):
                out.line(3, f"{name}:\t{amount}")


def probe(given: Json) -> str:
    """`exec [cat /tmp/healthy] delay=5s timeout=1s period=5s #success=1 #failure=3`."""
    numbers = (
        f"delay={given.get('initialDelaySeconds', 0)}s timeout={given.get('timeoutSeconds', 0)}s "
        f"period={given.get('periodSeconds', 0)}s #success={given.get('successThreshold', 0)} "
        f"#failure={given.get('failureThreshold', 0)}"
    )
    for field, mechanism in _MECHANISMS.items():
        if given.get(field) is not None:
            return f"{mechanism(given[field])} {numbers}"
    return f"unknown {numbers}"


def _http_get(action: Json) -> str:
    host, path = action.get("host", ""), action.get("path", "")
    host = f"[{host}]" if ":" in host else host
    slash = "" if not path or path.startswith("/") else "/"
    escaped = quote(path, safe="/$&+,:;=@!'()*[]~")
    return f"http-get {action.get('scheme', '').lower()}://{host}:{action['port']}{slash}{escaped}"


_MECHANISMS: dict[str, Callable[[Any], str]] = {
    "exec": lambda a: f"exec [{' '.join(a.get('command') or ())}]",
    "httpGet": _http_get,
    "tcpSocket": lambda a: f"tcp-socket {a.get('host', '')}:{a['port']}",
    "grpc": lambda a: f"grpc <pod>:{a['port']} {a.get('service') or ''}",
}


def _environment(out: Layout, pod: Json, container: Json) -> None:
    sources = container.get("envFrom")
    if sources:
        out.line(2, "Environment Variables from:")
    for source in sources or ():
        kind = "ConfigMap" if "configMapRef" in source else "Secret"
        ref = source.get("configMapRef") or source.get("secretRef") or {}
        prefix = f" with prefix '{source['prefix']}'" if source.get("prefix") else ""
        out.line(3, f"{ref.get('name', '')}\t{kind}{prefix}\tOptional: {_bool(ref)}")
    variables = container.get("env")
    out.line(2, "Environment:" if variables else "Environment:\t<none>")
    for variable in variables or ():
        first, *rest = _value(pod, container, variable).split("\n")
        out.line(3, f"{variable['name']}:\t{first}")
        for part in rest:
            out.line(3, f"\t{part}")


def _value(pod: Json, container: Json, variable: Json) -> str:
    source = variable.get("valueFrom") or {}
    if "fieldRef" in source:
        ref = source["fieldRef"]
        return f"{_field(pod, ref['fieldPath'])} ({ref.get('apiVersion', 'v1')}:{ref['fieldPath']})"
    if "resourceFieldRef" in source:
        ref = source["resourceFieldRef"]
        return f"{_amount(container, ref)} ({ref['resource']})"
    if "secretKeyRef" in source:
        ref = source["secretKeyRef"]
        return (
            f"<set to the key '{ref['key']}' in secret '{ref.get('name')}'>\tOptional: {_bool(ref)}"
        )
    if "configMapKeyRef" in source:
        ref = source["configMapKeyRef"]
        return (
            f"<set to the key '{ref['key']}' of config map '{ref.get('name')}'>"
            f"\tOptional: {_bool(ref)}"
        )
    text: str = variable.get("value", "")
    return text


def _bool(ref: Json) -> str:
    return "true" if ref.get("optional") else "false"


def _field(pod: Json, path: str) -> str:
    """Only whole fields of metadata: kubectl resolves no other."""
    section, _, name = path.partition(".")
    if section != "metadata":
        return ""
    value = pod["metadata"].get(name, "")
    if isinstance(value, dict):
        return "\n".join(f'{k}="{v}"' for k, v in sorted(value.items()))
    return str(value)


def _amount(container: Json, ref: Json) -> str:
    section, _, name = ref["resource"].partition(".")
    given = ((container.get("resources") or {}).get(section) or {}).get(name)
    if given is None:
        return "node allocatable" if section == "limits" and name in ("cpu", "memory") else "0"
    divisor = parse_quantity(str(ref.get("divisor") or "0")) or 1
    return str(ceil(parse_quantity(str(given)) / divisor))


def _mounts(out: Layout, container: Json) -> None:
    mounts = sorted(container.get("volumeMounts") or (), key=lambda m: str(m["mountPath"]))
    out.line(2, "Mounts:" if mounts else "Mounts:\t<none>")
    for mount in mounts:
        flags = "ro" if mount.get("readOnly") else "rw"
        if mount.get("subPath"):
            flags += f',path="{mount["subPath"]}"'
        out.line(3, f"{mount['mountPath']} from {mount['name']} ({flags})")


def _gates(spec: Json, status: Json) -> list[tuple[str, str]]:
    held = {c["type"]: c["status"] for c in status.get("conditions") or ()}
    gates = [gate["conditionType"] for gate in spec.get("readinessGates") or ()]
    return [(gate, held.get(gate, "<none>")) for gate in gates]


def _two_columns(out: Layout, title: str, rows: Sequence[tuple[str, str]]) -> None:
    if rows:
        out.line(0, f"{title}:")
        out.line(1, "Type\tStatus")
        for kind, status in rows:
            out.line(1, f"{kind} \t{status} ")


def _volumes(out: Layout, volumes: Sequence[Json]) -> None:
    out.line(0, "Volumes:" if volumes else "Volumes:\t<none>")
    for volume in volumes:
        out.line(1, f"{volume['name']}:")
        for field, lines in _VOLUMES.items():
            if field in volume:
                for text in lines(volume[field]):
                    out.line(2, text)
                break
        else:
            out.line(2, "Type:\t<unknown>")


def _projected(source: Json) -> list[str]:
    out = ["Type:\tProjected (a volume that contains injected data from multiple sources)"]
    for one in source.get("sources") or ():
        if "secret" in one:
            ref = one["secret"]
            out += [
                f"SecretName:\t{ref.get('name')}",
                f"SecretOptionalName:\t{ref.get('optional', '<nil>')}",
            ]
        elif "downwardAPI" in one:
            out.append("DownwardAPI:\ttrue")
        elif "configMap" in one:
            ref = one["configMap"]
            optional = str(ref["optional"]).lower() if "optional" in ref else "<nil>"
            out += [f"ConfigMapName:\t{ref.get('name')}", f"ConfigMapOptional:\t{optional}"]
        elif "serviceAccountToken" in one:
            seconds = one["serviceAccountToken"].get("expirationSeconds", 3600)
            out.append(f"TokenExpirationSeconds:\t{seconds}")
    return out


def _downward(source: Json) -> list[str]:
    out = [
        "Type:\tDownwardAPI (a volume populated by information about the pod)",
        "Items:",
    ]
    for item in source.get("items") or ():
        ref = item.get("fieldRef") or item.get("resourceFieldRef") or {}
        out.append(f"  {ref.get('fieldPath') or ref.get('resource')} -> {item['path']}")
    return out


_VOLUMES: dict[str, Callable[[Any], list[str]]] = {
    "hostPath": lambda s: [
        "Type:\tHostPath (bare host directory volume)",
        f"Path:\t{s['path']}",
        f"HostPathType:\t{s.get('type', '<none>')}",
    ],
    "emptyDir": lambda s: [
        "Type:\tEmptyDir (a temporary directory that shares a pod's lifetime)",
        f"Medium:\t{s.get('medium', '')}",
        f"SizeLimit:\t{s.get('sizeLimit', '<unset>')}",
    ],
    "secret": lambda s: [
        "Type:\tSecret (a volume populated by a Secret)",
        f"SecretName:\t{s.get('secretName', '')}",
        f"Optional:\t{_bool(s)}",
    ],
    "configMap": lambda s: [
        "Type:\tConfigMap (a volume populated by a ConfigMap)",
        f"Name:\t{s.get('name', '')}",
        f"Optional:\t{_bool(s)}",
    ],
    "persistentVolumeClaim": lambda s: [
        "Type:\tPersistentVolumeClaim "
        "(a reference to a PersistentVolumeClaim in the same namespace)",
        f"ClaimName:\t{s['claimName']}",
        f"ReadOnly:\t{str(bool(s.get('readOnly'))).lower()}",
    ],
    "projected": _projected,
    "downwardAPI": _downward,
}


def _tolerations(given: Sequence[Json]) -> list[str]:
    out = []
    for one in sorted(given, key=lambda t: str(t.get("key", ""))):
        text = one.get("key", "")
        text += f"={one['value']}" if one.get("value") else ""
        text += f":{one['effect']}" if one.get("effect") else ""
        if one.get("operator") == "Exists" and not one.get("value"):
            text += " op=Exists" if text else "op=Exists"
        if one.get("tolerationSeconds") is not None:
            text += f" for {one['tolerationSeconds']}s"
        out.append(text)
    return out
