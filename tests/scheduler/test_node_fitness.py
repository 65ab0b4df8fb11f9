"""Which node a Pod accepts and which node accepts it: tolerations, selectors and affinity in tables."""

from typing import Any

import pytest
from lightkube.models import core_v1
from tests.scheduler.support import assert_fits, node, pod

from podward.scheduler.filters import tolerates

AFFINITY = "node(s) didn't match Pod's node affinity/selector"
TAINTED = "node(s) had untolerated taint"
TAINT = core_v1.Taint(key="gpu", value="yes", effect="NoSchedule")


@pytest.mark.parametrize(
    ("toleration", "expected"),
    [
        ({"operator": "Exists"}, True),
        ({"key": "gpu", "operator": "Exists"}, True),
        ({"key": "gpu", "operator": "Exists", "effect": "NoSchedule"}, True),
        ({"key": "gpu", "operator": "Exists", "effect": "NoExecute"}, False),
        ({"operator": "Exists", "effect": "NoExecute"}, False),
        ({"key": "cpu", "operator": "Exists"}, False),
        ({"key": "gpu", "operator": "Equal", "value": "yes"}, True),
        ({"key": "gpu", "value": "yes"}, True),
        ({"key": "gpu", "value": "yes", "effect": "NoSchedule"}, True),
        ({"key": "gpu", "value": "no"}, False),
        ({"key": "gpu"}, False),
        ({"key": "cpu", "value": "yes"}, False),
    ],
    ids=str,
)
def test_which_toleration_covers_a_taint(toleration: dict[str, Any], expected: bool) -> None:
    assert tolerates(core_v1.Toleration(**toleration), TAINT) is expected


@pytest.mark.parametrize("effect", ["NoSchedule", "NoExecute"])
def test_every_hard_taint_needs_a_toleration(effect: str) -> None:
    offered = node(taints=[TAINT, core_v1.Taint(key="disk", effect=effect)])
    one, other = (core_v1.Toleration(key=k, operator="Exists") for k in ("gpu", "disk"))
    assert_fits(pod(), offered, TAINTED)
    assert_fits(pod(tolerations=[one]), offered, TAINTED)
    assert_fits(pod(tolerations=[other]), offered, TAINTED)
    assert_fits(pod(tolerations=[one, other]), offered, None)


def test_a_soft_taint_needs_none() -> None:
    assert_fits(pod(), node(taints=[core_v1.Taint(key="gpu", effect="PreferNoSchedule")]), None)


def requires(*terms: list[tuple[str, str, list[str]]], fields: bool = False) -> core_v1.Affinity:
    """Terms are alternatives; the requirements within one hold together."""
    made = []
    for term in terms:
        rows = [core_v1.NodeSelectorRequirement(key=k, operator=o, values=v) for k, o, v in term]
        made.append(
            core_v1.NodeSelectorTerm(matchFields=rows)
            if fields
            else core_v1.NodeSelectorTerm(matchExpressions=rows)
        )
    selector = core_v1.NodeSelector(nodeSelectorTerms=made)
    return core_v1.Affinity(
        nodeAffinity=core_v1.NodeAffinity(requiredDuringSchedulingIgnoredDuringExecution=selector)
    )


@pytest.mark.parametrize(
    ("key", "operator", "values", "expected"),
    [
        ("zone", "In", ["a", "b"], True),
        ("zone", "In", ["b"], False),
        ("none", "In", ["a"], False),
        ("zone", "NotIn", ["b"], True),
        ("zone", "NotIn", ["a"], False),
        ("none", "NotIn", ["a"], True),
        ("zone", "Exists", [], True),
        ("none", "Exists", [], False),
        ("zone", "DoesNotExist", [], False),
        ("none", "DoesNotExist", [], True),
        ("size", "Gt", ["2"], True),
        ("size", "Gt", ["3"], False),
        ("size", "Lt", ["4"], True),
        ("size", "Lt", ["3"], False),
        ("none", "Gt", ["0"], False),
        ("zone", "Gt", ["0"], False),
    ],
)
def test_what_a_requirement_asks_of_a_label(
    key: str, operator: str, values: list[str], expected: bool
) -> None:
    wanted = pod(affinity=requires([(key, operator, values)]))
    offered = node(labels={"zone": "a", "size": "3"})
    assert_fits(wanted, offered, None if expected else AFFINITY)


IN_A, BIG = ("zone", "In", ["a"]), ("size", "Gt", ["5"])


@pytest.mark.parametrize(
    ("affinity", "expected"),
    [
        (requires([IN_A, BIG]), False),
        (requires([IN_A], [BIG]), True),
        (requires([]), False),
        (requires([], [IN_A]), True),
        (requires([("metadata.name", "In", ["n1"])], fields=True), True),
        (requires([("metadata.name", "In", ["n2"])], fields=True), False),
        (requires([("metadata.name", "NotIn", ["n1"])], fields=True), False),
    ],
    ids=["all of a term", "any term", "an empty term", "beside an empty term",
         "its name", "another name", "not its name"],
)  # fmt: skip
def test_how_terms_add_up(affinity: core_v1.Affinity, expected: bool) -> None:
    assert_fits(
        pod(affinity=affinity), node(labels={"zone": "a", "size": "3"}), None if expected else AFFINITY
    )  # fmt: skip


def test_selector_and_affinity_must_both_agree() -> None:
    offered = node(labels={"zone": "a", "size": "3"})
    near = requires([IN_A])
    assert_fits(pod(nodeSelector={"size": "3", "zone": "a"}, affinity=near), offered, None)
    assert_fits(pod(nodeSelector={"size": "4"}, affinity=near), offered, AFFINITY)
    assert_fits(pod(nodeSelector={"size": "3"}, affinity=requires([BIG])), offered, AFFINITY)
    assert_fits(pod(nodeSelector={"size": "3", "rack": "1"}), offered, AFFINITY)


def test_a_preference_keeps_nobody_away() -> None:
    term = core_v1.NodeSelectorTerm(
        matchExpressions=[core_v1.NodeSelectorRequirement(key="zone", operator="In", values=["b"])]
    )
    preferred = core_v1.PreferredSchedulingTerm(preference=term, weight=1)
    affinity = core_v1.Affinity(
        nodeAffinity=core_v1.NodeAffinity(
            preferredDuringSchedulingIgnoredDuringExecution=[preferred]
        )
    )
    assert_fits(pod(affinity=affinity), node(labels={"zone": "a"}), None)
