"""Pods and presets by dice: few names and few numbers, so that they meet."""

import json
from typing import Any

from hypothesis import strategies as st
from tests.admission.plugins.pod_preset.sections.support import errors, pod, preset

Documents = st.SearchStrategy[dict[str, Any]]


def some(**fields: Any) -> Documents:
    """An object with any of these fields."""
    return st.fixed_dictionaries({}, optional=fields)


def any_of(**fields: Any) -> Documents:
    """An object with at least one of them, beside `match`."""
    return some(**fields).filter(lambda drawn: any(drawn[n] for n in drawn if n != "match"))


def of(mode: Any, value: Any) -> Documents:
    return st.fixed_dictionaries({"value": value}, optional={"mode": st.sampled_from(mode)})


WHOLE, WORD, NUMBER = (
    ["ifAbsent", "override"],
    ["ifDefault", "override"],
    ["ifDefault", "override", "floor", "ceiling"],
)

ports = st.sampled_from([80, 8080, "http"])
handlers = st.one_of(
    st.builds(lambda p, x: {"httpGet": {"port": p, **x}}, ports, some(path=st.just("/"))),
    st.builds(lambda p: {"tcpSocket": {"port": p}}, ports),
    st.just({"exec": {"command": ["true"]}}),
)
probes = st.builds(
    lambda handler, numbers: {**handler, **numbers},
    st.one_of(handlers, st.just({"grpc": {"port": 80}})),
    some(
        timeoutSeconds=st.sampled_from([1, 2]),
        periodSeconds=st.sampled_from([0, 10]),
        initialDelaySeconds=st.sampled_from([0, 5]),
        newField=st.just({"x": 1}),
    ),
)
sleeps = st.sampled_from([0, 10, 30, 45, 60])
hooks = st.one_of(handlers, st.builds(lambda s: {"sleep": {"seconds": s}}, sleeps))
lifecycles = some(preStop=hooks, postStart=hooks).filter(bool)
policies = st.sampled_from(["File", "FallbackToLogsOnError"])
_amounts = some(
    cpu=st.sampled_from(["100m", "0.1", "1", "1000m", "2"]), memory=st.sampled_from(["1Gi", "2Gi"])
)
resources = some(requests=_amounts, limits=_amounts).filter(
    lambda drawn: not errors(pod({"resources": drawn}))
)
graces = st.sampled_from([10, 30, 45, 60, 90])


def in_container(value: Any) -> Any:
    return some(
        livenessProbe=probes,
        readinessProbe=probes,
        lifecycle=lifecycles,
        resources=resources,
        terminationMessagePolicy=policies,
        env=st.just([{"name": "A", "value": "1"}]),
        ports=st.just([{"containerPort": 80, "name": "http"}]),
    ).map(lambda drawn: {**value, **drawn})


_PLAIN = some(resources=resources, terminationMessagePolicy=policies)
inits = st.builds(
    lambda name, image, drawn: {"name": name, "image": image, **drawn},
    st.sampled_from(["prep", "proxy"]),
    st.sampled_from(["busybox", "envoy"]),
    _PLAIN,
)
sidecars = st.builds(
    lambda name, drawn: {**drawn, "name": name, "image": "envoy"},
    st.sampled_from(["proxy", "logs", "app"]),
    in_container({}),
)
tolerations = st.builds(
    lambda key, more: {"key": key, "effect": "NoExecute", **more},
    st.sampled_from(["gpu", "lost"]),
    some(operator=st.just("Exists"), tolerationSeconds=st.sampled_from([5, 60])),
)
texts = st.dictionaries(st.sampled_from(["a", "b/c"]), st.sampled_from(["1", "2", ""]))
affinities = st.sampled_from(
    [
        {"nodeAffinity": None, "podAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}},
        {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [
            {"topologyKey": "zone", "labelSelector": {}}]}},
    ]
)  # fmt: skip


@st.composite
def pods(draw: st.DrawFn) -> dict[str, Any]:
    containers = [
        draw(in_container({"name": n})) for n in draw(st.sampled_from([["app"], ["app", "db"]]))
    ]
    wholes = [
        {**sidecar, "restartPolicy": "Always"} for sidecar in draw(st.lists(sidecars, max_size=1))
    ]
    spec = draw(
        some(
            terminationGracePeriodSeconds=graces,
            restartPolicy=st.sampled_from(["Always", "Never"]),
            tolerations=st.lists(tolerations, max_size=2),
            affinity=affinities,
        )
    )
    found = pod(*containers, initContainers=[*draw(st.lists(inits, max_size=1)), *wholes], **spec)
    found["metadata"] |= draw(some(labels=texts, annotations=texts))
    parsed: dict[str, Any] = json.loads(
        json.dumps(found)
    )  # no object is in two places of a document
    return parsed


matches = some(
    names=st.sampled_from([["app"], ["*"], ["p*"]]),
    images=st.just(["*"]),
    ports=st.sampled_from([["http"], [80]]),
    **{"class": st.sampled_from(["app", "init", "sidecar"])},
)
entries = any_of(
    match=matches,
    startupProbe=of(WHOLE, probes),
    livenessProbe=of(WHOLE, probes),
    readinessProbe=of(WHOLE, probes),
    lifecycle=of(WHOLE, lifecycles),
    resources=of(
        [*WHOLE, "floor", "ceiling"],
        resources.filter(lambda drawn: any(drawn.get(g) for g in ("requests", "limits"))),
    ),
    terminationMessagePolicy=of(WORD, policies),
)
specs = any_of(
    includeJobs=st.booleans(),
    labels=texts,
    annotations=texts,
    terminationGracePeriodSeconds=of(NUMBER, graces),
    initContainers=st.lists(
        st.builds(
            lambda c, where: {"container": c, **where},
            inits,
            some(position=st.sampled_from(["first", "last"])),
        ),
        max_size=2,
    ),
    sidecars=st.lists(sidecars, max_size=1),
    tolerations=st.lists(tolerations, max_size=2),
    affinity=of(WHOLE, affinities),
    containers=st.lists(entries, max_size=2),
)


def presets(strategies: Any, most: int) -> Any:
    drawn = st.lists(st.tuples(st.sampled_from(strategies), specs), min_size=1, max_size=most)
    return drawn.map(
        lambda many: [preset(f"p{i}", how, **spec) for i, (how, spec) in enumerate(many)]
    )
