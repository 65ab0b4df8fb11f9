"""Pods and presets written short, for the table `cases.yaml` and for whoever wants a preset in one line.

    env    K=V, K<field:path, K<sec:name/key, K<cm:name/key
    from   cm:name, sec:name; a prefix before: PFX@cm:name; optional: cm:name?
    vol    name=empty, =cm:x, =sec:x, =host:/p, =pvc:c; with defaultMode: name=sec:x,mode=256
    mnt    volume:/path, volume:/path:ro, volume:/path:bidi

Any item may be written out instead.
"""

import copy
import re
from collections.abc import Mapping
from typing import Any

Document = dict[str, Any]

API_VERSIONS = {"settings": "settings.k8s.io/v1alpha1", "podward": "podward.dev/v1alpha1"}
LISTS = {"env": "env", "from": "envFrom", "vol": "volumes", "mnt": "volumeMounts"}
"""Short name -> field."""


def env(text: Any) -> Document:
    if not isinstance(text, str):
        return copy.deepcopy(dict(text))
    if "<" not in text:
        name, _, value = text.partition("=")
        return {"name": name, "value": value}
    name, _, source = text.partition("<")
    kind, _, where = source.partition(":")
    if kind == "field":
        return {"name": name, "valueFrom": {"fieldRef": {"fieldPath": where}}}
    holder, _, key = where.partition("/")
    field = {"sec": "secretKeyRef", "cm": "configMapKeyRef"}[kind]
    return {"name": name, "valueFrom": {field: {"name": holder, "key": key}}}


def env_from(text: Any) -> Document:
    if not isinstance(text, str):
        return copy.deepcopy(dict(text))
    prefix, at, source = text.rpartition("@")
    kind, _, name = source.partition(":")
    reference: Document = {"name": name.rstrip("?")}
    if name.endswith("?"):
        reference["optional"] = True
    found: Document = {{"cm": "configMapRef", "sec": "secretRef"}[kind]: reference}
    return {"prefix": prefix, **found} if at else found


def volume(text: Any) -> Document:
    if not isinstance(text, str):
        return copy.deepcopy(dict(text))
    name, _, rest = text.partition("=")
    source, _, mode = rest.partition(",mode=")
    kind, _, what = source.partition(":")
    written: dict[str, Document] = {
        "empty": {"emptyDir": {}},
        "cm": {"configMap": {"name": what}},
        "sec": {"secret": {"secretName": what}},
        "host": {"hostPath": {"path": what}},
        "pvc": {"persistentVolumeClaim": {"claimName": what}},
    }
    found = written[kind]
    if mode:
        next(iter(found.values()))["defaultMode"] = int(mode)
    return {"name": name, **found}


def mount(text: Any) -> Document:
    if not isinstance(text, str):
        return copy.deepcopy(dict(text))
    match = re.fullmatch(r"([^:]+):(.+?)(?::(ro|bidi))?", text)
    assert match is not None, text
    name, path, flag = match.groups()
    flags: dict[str | None, Document] = {
        None: {}, "ro": {"readOnly": True}, "bidi": {"mountPropagation": "Bidirectional"},
    }  # fmt: skip
    return {"name": name, "mountPath": path, **flags[flag]}


READERS = {"env": env, "from": env_from, "vol": volume, "mnt": mount}


def lists(short: Mapping[str, Any]) -> Document:
    """The four lists of a preset or a container, as far as they are given."""
    return {
        field: items if (items := short[name]) is None else [READERS[name](i) for i in items]
        for name, field in LISTS.items()
        if name in short
    }


def preset(short: Mapping[str, Any]) -> Document:
    """`n` name, `ns` namespace (edge), `rv` resourceVersion (70), `sel` matchLabels ({tier: web}), `exp`
    [[key, operator, values?]] instead, the lists; `spec` whatever else.

    `kind`: settings (the default), podward or cluster.
    """
    kind = short.get("kind", "settings")
    selector: Document = {}
    if "sel" in short or "exp" not in short:
        selector["matchLabels"] = dict(short.get("sel", {"tier": "web"}))
    if "exp" in short:
        selector["matchExpressions"] = [
            {"key": key, "operator": operator, **({"values": list(values[0])} if values else {})}
            for key, operator, *values in short["exp"]
        ]
    metadata = {"name": short["n"], "resourceVersion": short.get("rv", "70")}
    if kind != "cluster":
        metadata["namespace"] = short.get("ns", "edge")
    return {
        "apiVersion": API_VERSIONS["settings" if kind == "settings" else "podward"],
        "kind": "ClusterPodPreset" if kind == "cluster" else "PodPreset",
        "metadata": metadata,
        "spec": {"selector": selector, **lists(short), **short.get("spec", {})},
    }


def pod(short: Mapping[str, Any] | None) -> Document:
    """`ns` (edge; null for none), `labels` ({tier: web}), `ann`, `vol`, `c` containers and `i` init containers,
    each with `n` name and its lists, `spec` whatever else."""
    short = short or {}
    metadata: Document = {"name": "web", "labels": short.get("labels", {"tier": "web"})}
    if short.get("ns", "edge") is not None:
        metadata["namespace"] = short.get("ns", "edge")
    if "ann" in short:
        metadata["annotations"] = short["ann"]
    spec: Document = {
        "containers": [container(c, i, "app") for i, c in enumerate(short.get("c", [{}]))]
    }
    if "i" in short:
        spec["initContainers"] = [container(c, i, "init") for i, c in enumerate(short["i"])]
    document = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "spec": spec | lists({k: v for k, v in short.items() if k == "vol"}),
    }
    document["spec"] |= short.get("spec", {})
    return copy.deepcopy(document)


def container(short: Mapping[str, Any], index: int, stem: str) -> Document:
    name = short.get("n", stem if index == 0 else f"{stem}{index}")
    return {"name": name, "image": "busybox:1.36", **lists(short), **short.get("spec", {})}
