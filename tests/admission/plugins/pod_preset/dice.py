"""Pods and presets by dice, from alphabets so small that they meet, agree and clash all the time."""

from typing import Any

from hypothesis import strategies as st
from tests.admission.plugins.pod_preset import shorthand

from podward.admission.plugins.pod_preset.model import Preset
from podward.admission.plugins.pod_preset.parse import preset_of

Document = dict[str, Any]

ENV = st.sampled_from(
    ["A=1", "A=2", "B=1", "B=", {"name": "B"}, "a=1", "C<sec:s/k", "C<sec:s/l", "C<field:spec.nodeName",
     {"name": "C", "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "spec.nodeName"}}},
     {"name": "C", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k", "optional": False}}}]
)  # fmt: skip
PLAIN_SOURCES = st.sampled_from(["cm:a", "sec:a", "P@cm:a", "cm:b"])
SOURCES = st.one_of(
    PLAIN_SOURCES,
    st.sampled_from(["cm:a?", {"configMapRef": {"name": "a", "optional": False}}, "sec:a?"]),
)
VOLUMES = st.sampled_from(
    ["u=empty", {"name": "u"}, "u=cm:x", "u=cm:x,mode=420", "u=cm:x,mode=0", "v=sec:x", "v=host:/p",
     {"name": "v", "hostPath": {"path": "/p", "type": ""}}, {"name": "w", "emptyDir": {"sizeLimit": "1Gi"}},
     {"name": "w", "emptyDir": {"sizeLimit": "1024Mi"}}, {"name": "w", "emptyDir": {}, "new": {"x": [1]}}]
)  # fmt: skip
PATHS = st.sampled_from(["/a", "/a/", "/b", "/b/./c", "/b/c"])
SHAPES: st.SearchStrategy[Document] = st.sampled_from(
    [{}, {"readOnly": True}, {"readOnly": False}, {"subPath": "s"}]
)
LABELS = st.dictionaries(st.sampled_from(["tier", "zone"]), st.sampled_from(["web", "db"]))
STRATEGIES = st.sampled_from(["SkipAll", "SkipPreset", "KeepPod", "Override", "Reject"])


def by(name: str, items: list[Document]) -> list[Document]:
    """No two with one value of that field: a preset, or a Pod, with two would be refused."""
    return list({item[name]: item for item in items}.values())


@st.composite
def mounts(draw: st.DrawFn, volumes: list[str]) -> list[Document]:
    if not volumes:
        return []
    found = draw(st.lists(st.tuples(st.sampled_from(volumes), PATHS, SHAPES), max_size=3))
    return by("mountPath", [{"name": n, "mountPath": p, **shape} for n, p, shape in found])


@st.composite
def lists(draw: st.DrawFn, volumes: list[str], sources: Any) -> Document:
    give_empty: st.SearchStrategy[bool] = st.booleans()
    found: Document = {
        "env": [shorthand.env(e) for e in draw(st.lists(ENV, max_size=3))],
        "envFrom": [shorthand.env_from(s) for s in draw(st.lists(sources, max_size=2))],
        "volumeMounts": draw(mounts(volumes)),
    }
    return {name: items for name, items in found.items() if items or draw(give_empty)}


def volumes() -> st.SearchStrategy[list[Document]]:
    found = st.lists(VOLUMES, max_size=3)
    return found.map(lambda items: by("name", [shorthand.volume(v) for v in items]))


@st.composite
def pods(draw: st.DrawFn, sources: Any = SOURCES) -> Document:
    held = draw(volumes())
    names = [volume["name"] for volume in held]

    def containers(stem: str, count: int) -> list[Document]:
        return [
            {"name": f"{stem}{i}", "image": "busybox", **draw(lists(names, sources))}
            for i in range(count)
        ]

    spec: Document = {"containers": containers("app", draw(st.integers(1, 2)))}
    if draw(st.booleans()):
        spec["initContainers"] = containers("init", draw(st.integers(0, 2)))
    give_empty: bool = draw(st.booleans())
    if held or give_empty:
        spec["volumes"] = held
    metadata: Document = {"name": "web", "labels": draw(LABELS)}
    if draw(st.booleans()):
        metadata["annotations"] = draw(st.sampled_from([{}, {"mine": "x/y~z"}]))
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


@st.composite
def preset_documents(draw: st.DrawFn, name: str, kinds: Any, sources: Any = SOURCES) -> Document:
    kind = draw(kinds)
    held = draw(volumes())
    names = [volume["name"] for volume in held]
    spec: Document = {"volumes": held, **draw(lists(names, sources))}
    if not any(spec.values()):
        spec["env"] = [{"name": "A", "value": "1"}]
    if kind != "settings":
        spec["env"] = by("name", spec.get("env") or [{"name": "A", "value": "1"}])
        spec |= {"onConflict": draw(STRATEGIES), "priority": draw(st.integers(-1, 1))}
        if draw(st.booleans()):
            match = draw(st.sampled_from([{"names": ["app*"]}, {"class": "init"}, {}]))
            entry = draw(lists(names, sources))
            entry["env"] = by("name", entry.get("env") or [{"name": "B", "value": "1"}])
            spec["containers"] = [{"match": match, **entry}]
    written = shorthand.preset(
        {"n": name, "kind": kind, "sel": draw(LABELS.filter(lambda s: len(s) < 2)), "spec": spec}
    )
    created = draw(st.sampled_from(["", "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"]))
    if created:
        written["metadata"]["creationTimestamp"] = created
    return written


ALL_KINDS = st.sampled_from(["settings", "podward", "cluster"])
SETTINGS = st.just("settings")


@st.composite
def presets(
    draw: st.DrawFn,
    kinds: Any = ALL_KINDS,
    sources: Any = SOURCES,
    most: int = 4,
) -> list[Preset]:
    names = ["cal", "reg", "tls", "zed"][: draw(st.integers(1, most))]
    return [preset_of(draw(preset_documents(name, kinds, sources))) for name in names]
