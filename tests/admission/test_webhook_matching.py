"""Whether a webhook is to be asked: rules, scopes, selectors, conditions."""

from typing import Any

import pytest
from lightkube.models import admissionregistration_v1 as v1
from lightkube.models import core_v1, meta_v1

from podward.admission.base import AdmissionRequest, Operation
from podward.admission.plugins.admission_webhooks.matching import (
    ConditionsError,
    brings_its_namespace,
    conditions_match,
    is_exempt,
    namespace_in_question,
    object_matches,
    rule_matches,
)
from podward.admission.plugins.admission_webhooks.model import _rule, selector_of, webhooks_of
from podward.api.scheme import RESOURCES, SCHEME
from podward.machinery.cel import compile_expression

ROWS = {row.group_resource: row for row in RESOURCES}
POD = SCHEME.of_type(core_v1.Pod)
NAMESPACE = SCHEME.of_type(core_v1.Namespace)


def matches(
    rule: str, resource: str = "pods", subresource: str = "", operation: str = "CREATE"
) -> bool:
    """`rule`: operations, groups, versions, resources, scope; each a list of words joined by `,`."""
    operations, groups, versions, resources, scope = rule.split(" ")
    read = _rule(
        v1.RuleWithOperations(
            operations=operations.split(","),
            apiGroups=["" if g == "core" else g for g in groups.split(",")],
            apiVersions=versions.split(","),
            resources=resources.split(","),
            scope=scope,
        )
    )
    return rule_matches(read, operation, ROWS[resource], subresource)


@pytest.mark.parametrize(
    ("rule", "resource", "subresource", "operation", "expected"),
    [
        ("CREATE core v1 pods *", "pods", "", "CREATE", True),
        ("CREATE core v1 pods *", "pods", "", "UPDATE", False),
        ("UPDATE,CREATE core v1 pods *", "pods", "", "UPDATE", True),
        ("* core v1 pods *", "pods", "", "CONNECT", True),
        ("CREATE apps v1 pods *", "pods", "", "CREATE", False),
        ("CREATE apps,core v1 pods *", "pods", "", "CREATE", True),
        ("CREATE * v1 leases *", "leases.coordination.k8s.io", "", "CREATE", True),
        ("CREATE core v1 leases *", "leases.coordination.k8s.io", "", "CREATE", False),
        ("CREATE core v1beta1 pods *", "pods", "", "CREATE", False),
        ("CREATE core * pods *", "pods", "", "CREATE", True),
        ("CREATE core v1 configmaps,pods *", "pods", "", "CREATE", True),
        ("* core v1 pods *", "pods", "status", "UPDATE", False),
        ("* core v1 pods/status *", "pods", "status", "UPDATE", True),
        ("* core v1 pods/status *", "pods", "", "UPDATE", False),
        ("* core v1 pods/* *", "pods", "status", "UPDATE", True),
        ("* core v1 pods/* *", "pods", "", "UPDATE", True),
        ("* core v1 pods/* *", "nodes", "status", "UPDATE", False),
        ("* core v1 * *", "nodes", "", "UPDATE", True),
        ("* core v1 * *", "nodes", "status", "UPDATE", False),
        ("* core v1 */status *", "nodes", "status", "UPDATE", True),
        ("* core v1 */status *", "nodes", "", "UPDATE", False),
        ("* core v1 */* *", "nodes", "status", "UPDATE", True),
        ("* core v1 */* *", "events", "", "CREATE", True),
        ("* core v1 */* Namespaced", "pods", "status", "UPDATE", True),
        ("* core v1 */* Namespaced", "nodes", "", "UPDATE", False),
        ("* core v1 */* Namespaced", "namespaces", "", "UPDATE", False),
        ("* core v1 */* Cluster", "namespaces", "finalize", "UPDATE", True),
        ("* core v1 */* Cluster", "nodes", "", "UPDATE", True),
        ("* core v1 */* Cluster", "pods", "", "UPDATE", False),
    ],
)  # fmt: skip
def test_a_rule(rule: str, resource: str, subresource: str, operation: str, expected: bool) -> None:
    assert matches(rule, resource, subresource, operation) is expected


@pytest.mark.parametrize("row", RESOURCES, ids=lambda row: row.group_resource)
def test_what_is_never_sent_to_webhooks(row: Any) -> None:
    assert is_exempt(row) is row.kind.endswith("WebhookConfiguration")


def test_every_kind_is_served_under_one_name() -> None:
    """Else matchPolicy Equivalent would have something to decide."""
    assert len({row.type for row in RESOURCES}) == len(RESOURCES)


# ---- selectors


def request(
    obj: Any,
    old: Any = None,
    *,
    operation: Operation = "CREATE",
    kind: type[Any] = core_v1.Pod,
    namespace: str = "",
    name: str = "",
    subresource: str = "",
) -> AdmissionRequest:
    return AdmissionRequest(
        operation=operation, resource=SCHEME.of_type(kind), subresource=subresource,
        namespace=namespace, name=name, object=obj, old_object=old, user="jane",
    )  # fmt: skip


def pod(**labels: str) -> core_v1.Pod:
    return core_v1.Pod(metadata=meta_v1.ObjectMeta(name="web", labels=labels or None))


WEB = selector_of(meta_v1.LabelSelector(matchLabels={"tier": "web"}))
NOT_DB = selector_of(
    meta_v1.LabelSelector(
        matchExpressions=[meta_v1.LabelSelectorRequirement("tier", "NotIn", ["db"])]
    )
)


@pytest.mark.parametrize(
    ("selector", "new", "old", "expected"),
    [
        (WEB, pod(tier="web"), None, True),
        (WEB, pod(tier="db"), None, False),
        (WEB, pod(), pod(tier="web"), True),
        (WEB, None, pod(tier="web"), True),
        (WEB, None, pod(tier="db"), False),
        (WEB, {"kind": "PodExecOptions"}, None, False),
        (NOT_DB, pod(), None, True),
        (NOT_DB, pod(tier="db"), None, False),
        (NOT_DB, pod(tier="db"), pod(tier="db"), False),
        (NOT_DB, {"kind": "PodExecOptions"}, None, False),
        (selector_of(None), {"kind": "PodExecOptions"}, None, True),
        (selector_of(meta_v1.LabelSelector()), None, None, True),
    ],
)
def test_an_object_selector_looks_at_both_forms(
    selector: Any, new: Any, old: Any, expected: bool
) -> None:
    assert object_matches(selector, request(new, old)) is expected


@pytest.mark.parametrize(
    ("operator", "values", "labels", "expected"),
    [
        ("In", ["a", "b"], {"k": "b"}, True), ("In", ["a"], {}, False),
        ("NotIn", ["a"], {"k": "a"}, False), ("NotIn", ["a"], {}, True),
        ("Exists", None, {"k": ""}, True), ("Exists", None, {}, False),
        ("DoesNotExist", None, {"k": ""}, False), ("DoesNotExist", None, {}, True),
    ],
)  # fmt: skip
def test_expressions_of_selectors(
    operator: str, values: Any, labels: dict[str, str], expected: bool
) -> None:
    expression = meta_v1.LabelSelectorRequirement("k", operator, values)
    selector = selector_of(meta_v1.LabelSelector(matchExpressions=[expression]))
    assert selector.matches(labels) is expected


def test_whose_namespace_is_in_question() -> None:
    space = core_v1.Namespace(metadata=meta_v1.ObjectMeta(name="edge"))
    asked = request(space, kind=core_v1.Namespace)
    assert (namespace_in_question(asked), brings_its_namespace(asked)) == ("edge", True)
    asked = request(space, space, kind=core_v1.Namespace, operation="UPDATE", name="edge")
    assert (namespace_in_question(asked), brings_its_namespace(asked)) == ("edge", True)
    asked = request(None, space, kind=core_v1.Namespace, operation="DELETE", name="edge")
    assert (namespace_in_question(asked), brings_its_namespace(asked)) == ("edge", False)
    asked = request(pod(), namespace="edge")
    assert (namespace_in_question(asked), brings_its_namespace(asked)) == ("edge", False)
    asked = request(core_v1.Node(), kind=core_v1.Node, name="n")
    assert namespace_in_question(asked) == ""


# ---- conditions


@pytest.mark.parametrize(
    ("expressions", "expected"),
    [
        ([], True),
        (["true", "true"], True),
        (["true", "false"], False),
        (["object.no", "false"], False),
        (["false", "object.no"], False),
    ],
)
def test_conditions(expressions: list[str], expected: bool) -> None:
    conditions = [compile_expression(e, ["object"]) for e in expressions]
    assert conditions_match(conditions, {"object": {}}) is expected


@pytest.mark.parametrize(
    ("expressions", "text"),
    [
        (["true", "object.no"], "expression 'object.no' resulted in error: no such key: no"),
        (["object.no", "object.no"], "expression 'object.no' resulted in error: no such key: no"),
        (["1", "object.no"], "[expression '1' resulted in error: not a bool, "
         "expression 'object.no' resulted in error: no such key: no]"),
    ],
)  # fmt: skip
def test_conditions_without_a_value_are_an_error(expressions: list[str], text: str) -> None:
    conditions = [compile_expression(e, ["object"]) for e in expressions]
    with pytest.raises(ConditionsError) as caught:
        conditions_match(conditions, {"object": {}})
    assert str(caught.value) == text


# ---- order


def configuration(name: str, *webhooks: str, **fields: Any) -> v1.MutatingWebhookConfiguration:
    client = v1.WebhookClientConfig(url="https://a.b/c")
    listed = [v1.MutatingWebhook(["v1"], client, hook, "None", **fields) for hook in webhooks]
    return v1.MutatingWebhookConfiguration(metadata=meta_v1.ObjectMeta(name=name), webhooks=listed)


def test_they_are_asked_by_configuration_then_as_listed() -> None:
    found = webhooks_of([configuration("b", "x.y.z", "a.y.z"), configuration("a", "z.y.z")])
    assert [w.uid for w in found] == ["a/z.y.z/0", "b/x.y.z/0", "b/a.y.z/1"]


def test_a_stored_condition_that_cannot_be_read_is_a_call_that_cannot_be_made() -> None:
    """Stored by a Podward that could. The others go on."""
    bad = [v1.MatchCondition(expression="what(", name="x")]
    broken, whole = webhooks_of(
        [configuration("a", "x.y.z", matchConditions=bad), configuration("b", "x.y.z")]
    )
    assert broken.unreachable.startswith("its matchConditions cannot be read: ")
    assert whole.unreachable == ""
