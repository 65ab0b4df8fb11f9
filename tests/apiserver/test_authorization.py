"""Rules, bindings and what they add up to."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lightkube.models import meta_v1, rbac_v1

from podward.apiserver.attributes import Attributes
from podward.apiserver.authorization import Policy, allows, compact, rule_text
from podward.apiserver.identity import Identity
from podward.apiserver.policy_bootstrap import (
    CLUSTER_ROLE_BINDINGS,
    CLUSTER_ROLES,
    brought_up_to_date,
)

GROUP = "rbac.authorization.k8s.io"


def rule(verbs: str, resources: str = "", **more: Any) -> rbac_v1.PolicyRule:
    given: dict[str, Any] = {"apiGroups": [""]} if resources else {}
    if resources:
        given["resources"] = resources.split()
    return rbac_v1.PolicyRule(verbs=verbs.split(), **given | more)


def asked(verb: str, resource: str = "", namespace: str = "a", **more: str) -> Attributes:
    name, _, subresource = resource.partition("/")
    return Attributes(verb, more.pop("group", ""), name, subresource, namespace, **more)


def url(path: str, verb: str = "get") -> Attributes:
    return Attributes(verb, path=path)


@pytest.mark.parametrize(
    ("given", "wanted", "allowed"),
    [
        (rule("get", "pods"), asked("get", "pods"), True),
        (rule("get list", "nodes pods"), asked("list", "pods"), True),
        (rule("get", "pods"), asked("list", "pods"), False),
        (rule("get", "pods"), asked("get", "secrets"), False),
        (rule("get", "pods"), asked("get", "pods", group="apps"), False),
        (rule("get", "pods", apiGroups=["*"]), asked("get", "pods", group="apps"), True),
        (rule("*", "*", apiGroups=["*"]), asked("anything", "of/all", group="x"), True),
        (rule("get", "pods"), asked("get", "pods/log"), False),
        (rule("get", "pods/log"), asked("get", "pods/log"), True),
        (rule("get", "pods/log"), asked("get", "pods"), False),
        (rule("get", "pods/*"), asked("get", "pods/log"), False),
        (rule("get", "*/log"), asked("get", "pods/log"), True),
        (rule("get", "*/log"), asked("get", "log"), False),
        (rule("get", "*"), asked("get", "pods/log"), True),
        (rule("get", "pods", resourceNames=["x"]), asked("get", "pods", name="x"), True),
        (rule("get", "pods", resourceNames=["x"]), asked("get", "pods", name="y"), False),
        (rule("list", "pods", resourceNames=["x"]), asked("list", "pods"), False),
        (rule("get", nonResourceURLs=["/metrics"]), url("/metrics"), True),
        (rule("get", nonResourceURLs=["/metrics"]), url("/metrics/more"), False),
        (rule("get", nonResourceURLs=["/api/*"]), url("/api/v1"), True),
        (rule("get", nonResourceURLs=["/api/*"]), url("/api"), False),
        (rule("get", nonResourceURLs=["*"]), url("/whatever"), True),
        (rule("get", nonResourceURLs=["*"]), url("/whatever", "post"), False),
        (rule("*", "*", apiGroups=["*"]), url("/metrics"), False),
        (rule("get", nonResourceURLs=["*"]), asked("get", "pods"), False),
    ],
)
def test_what_a_rule_allows(given: rbac_v1.PolicyRule, wanted: Attributes, allowed: bool) -> None:
    assert allows(given, wanted) is allowed


def meta(name: str, namespace: str = "", **labels: str) -> meta_v1.ObjectMeta:
    return meta_v1.ObjectMeta(name=name, namespace=namespace or None, labels=labels or None)


def user(name: str) -> rbac_v1.Subject:
    return rbac_v1.Subject(kind="User", name=name, apiGroup=GROUP)


def bound(
    role: str, namespace: str, *subjects: rbac_v1.Subject, kind: str = "Role"
) -> rbac_v1.RoleBinding:
    reference = rbac_v1.RoleRef(kind=kind, name=role, apiGroup=GROUP)
    return rbac_v1.RoleBinding(
        metadata=meta("b", namespace), roleRef=reference, subjects=list(subjects)
    )


def bound_everywhere(role: str, *subjects: rbac_v1.Subject) -> rbac_v1.ClusterRoleBinding:
    reference = rbac_v1.RoleRef(kind="ClusterRole", name=role, apiGroup=GROUP)
    return rbac_v1.ClusterRoleBinding(
        metadata=meta("b"), roleRef=reference, subjects=list(subjects)
    )


READER = rbac_v1.Role(metadata=meta("reader", "a"), rules=[rule("get", "pods")])
OVERALL = rbac_v1.ClusterRole(metadata=meta("overall"), rules=[rule("get", "pods nodes")])


def may(policy: Policy, who: str | Identity, wanted: Attributes) -> tuple[bool, str]:
    return policy.authorize(Identity(who) if isinstance(who, str) else who, wanted)


def test_a_role_holds_in_its_namespace_for_whom_it_is_bound_to() -> None:
    policy = Policy([READER], [], [bound("reader", "a", user("jane"))])
    assert may(policy, "jane", asked("get", "pods")) == (
        True, 'RBAC: allowed by RoleBinding "b/a" of Role "reader" to User "jane"',
    )  # fmt: skip
    assert may(policy, "jane", asked("get", "pods", "b")) == (False, "")
    assert may(policy, "jane", asked("get", "pods", "")) == (False, "")
    assert may(policy, "john", asked("get", "pods")) == (False, "")


def test_a_cluster_role_can_be_given_for_one_namespace_or_for_all() -> None:
    one = Policy([], [OVERALL], [bound("overall", "a", user("jane"), kind="ClusterRole")])
    every = Policy([], [OVERALL], [], [bound_everywhere("overall", user("jane"))])
    for policy, places in ((one, ["a"]), (every, ["a", "b", ""])):
        allowed = [n for n in ("a", "b", "") if may(policy, "jane", asked("get", "pods", n))[0]]
        assert allowed == places


def test_groups_and_service_accounts_are_subjects() -> None:
    robot = rbac_v1.Subject(kind="ServiceAccount", name="robot", namespace="b")
    native = rbac_v1.Subject(kind="ServiceAccount", name="native")
    devs = rbac_v1.Subject(kind="Group", name="devs", apiGroup=GROUP)
    policy = Policy([READER], [], [bound("reader", "a", robot, native, devs)])
    for who in (
        Identity("system:serviceaccount:b:robot"),
        Identity("system:serviceaccount:a:native"),
        Identity("jane", ("devs",)),
    ):
        assert may(policy, who, asked("get", "pods"))[0]
    for who in (Identity("robot"), Identity("devs"), Identity("system:serviceaccount:a:robot")):
        assert not may(policy, who, asked("get", "pods"))[0]


def test_a_binding_whose_role_is_gone_gives_nothing_and_is_named() -> None:
    policy = Policy([], [], [bound("reader", "a", user("jane"))])
    text = 'RBAC: role.rbac.authorization.k8s.io "reader" not found'
    assert may(policy, "jane", asked("get", "pods")) == (False, text)
    two = Policy([], [], [bound("reader", "a", user("jane"))],
                 [bound_everywhere("none", user("jane"))])  # fmt: skip
    text = (
        'RBAC: [role.rbac.authorization.k8s.io "reader" not found, '
        'clusterrole.rbac.authorization.k8s.io "none" not found]'
    )
    assert sorted(may(two, "jane", asked("get", "pods"))[1][7:-1].split(", ")) == sorted(
        text[7:-1].split(", ")
    )


def test_masters_may_everything_whatever_the_rules_are() -> None:
    assert may(Policy(), Identity("root", ("system:masters",)), asked("any", "thing")) == (True, "")


def test_aggregating_roles_have_the_rules_of_those_that_they_select() -> None:
    def gathering(name: str, label: str, **labels: str) -> rbac_v1.ClusterRole:
        selector = meta_v1.LabelSelector(matchLabels={label: "true"})
        rule_ = rbac_v1.AggregationRule([selector])
        return rbac_v1.ClusterRole(metadata=meta(name, **labels), aggregationRule=rule_)

    roles = [
        gathering("edit", "toEdit"),
        gathering("view", "toView", toEdit="true"),
        gathering("ring", "toRing", toRing="true", toEdit="true"),
        rbac_v1.ClusterRole(metadata=meta("own", toView="true"), rules=[rule("get", "widgets")]),
    ]
    policy = Policy([], roles, [], [bound_everywhere("edit", user("jane"))])
    assert may(policy, "jane", asked("get", "widgets"))[0]
    assert not may(policy, "jane", asked("get", "pods"))[0]


# ---- what may be given away

texts = st.sampled_from(["*", "get", "list"])
resources = st.sampled_from(["*", "pods", "pods/log", "*/log", "nodes"])
rules = st.builds(
    lambda v, g, r, n: rbac_v1.PolicyRule(verbs=v, apiGroups=g, resources=r, resourceNames=n),
    st.lists(texts, min_size=1, max_size=2),
    st.lists(st.sampled_from(["*", "", "apps"]), min_size=1, max_size=2),
    st.lists(resources, min_size=1, max_size=2),
    st.none() | st.lists(st.sampled_from(["x", "y"]), min_size=1, max_size=2),
)
questions = st.builds(
    asked, st.sampled_from(["get", "list", "watch"]),
    st.sampled_from(["pods", "pods/log", "nodes", "nodes/log"]),
    group=st.sampled_from(["", "apps"]), name=st.sampled_from(["", "x", "y"]),
)  # fmt: skip


def policy_of(held: list[rbac_v1.PolicyRule]) -> Policy:
    role = rbac_v1.ClusterRole(metadata=meta("r"), rules=held)
    return Policy([], [role], [], [bound_everywhere("r", user("jane"))])


@given(st.lists(rules, max_size=3), st.lists(rules, max_size=2), questions)
def test_who_lacks_nothing_of_it_may_do_all_that_it_allows(
    held: list[rbac_v1.PolicyRule], wanted: list[rbac_v1.PolicyRule], question: Attributes
) -> None:
    policy = policy_of(held)
    if not policy.lacking(Identity("jane"), "", wanted) and any(
        allows(r, question) for r in wanted
    ):
        assert may(policy, "jane", question)[0]


@given(st.lists(rules, max_size=3))
def test_what_one_has_one_does_not_lack(held: list[rbac_v1.PolicyRule]) -> None:
    assert policy_of(held).lacking(Identity("jane"), "", held) == []


@given(st.lists(rules, max_size=3), questions)
def test_compacted_rules_allow_the_same(
    given_: list[rbac_v1.PolicyRule], question: Attributes
) -> None:
    before = [list(r.verbs) for r in given_]
    assert any(allows(r, question) for r in compact(given_)) == any(
        allows(r, question) for r in given_
    )
    assert [r.verbs for r in given_] == before  # they are shared


def test_what_is_lacking_is_shown_as_a_server_shows_it() -> None:
    lacking = policy_of([rule("get", "pods")]).lacking(
        Identity("jane"), "", [rule("get list watch", "pods")]
    )
    assert [rule_text(r) for r in compact(lacking)] == [
        '{APIGroups:[""], Resources:["pods"], Verbs:["list" "watch"]}'
    ]


# ---- what every cluster begins with

BOOTSTRAPPED = Policy([], CLUSTER_ROLES, [
    bound(role, "a", user(role), kind="ClusterRole") for role in ("admin", "edit", "view")
], CLUSTER_ROLE_BINDINGS)  # fmt: skip


@pytest.mark.parametrize(
    ("wanted", "who"),
    [
        (asked("list", "pods"), "admin edit view"),
        (asked("get", "pods/log"), "admin edit view"),
        (asked("get", "secrets"), "admin edit"),
        (asked("create", "pods"), "admin edit"),
        (asked("create", "pods/exec"), "admin edit"),
        (asked("create", "serviceaccounts/token"), "admin edit"),
        (asked("create", "rolebindings", group=GROUP), "admin"),
        (asked("list", "clusterroles", "", group=GROUP), ""),
        (asked("list", "nodes", ""), ""),
        (asked("get", "namespaces", "a", name="a"), "admin edit view"),
        (asked("delete", "namespaces", "a", name="a"), ""),
        (asked("update", "pods/status"), ""),
    ],
)
def test_the_roles_for_people(wanted: Attributes, who: str) -> None:
    allowed = [name for name in ("admin", "edit", "view") if may(BOOTSTRAPPED, name, wanted)[0]]
    assert " ".join(allowed) == who


def test_whoever_is_known_may_look_around_and_ask_about_himself() -> None:
    somebody = Identity("x", ("system:authenticated",))
    for path in ("/api", "/api/v1", "/apis", "/apis/apps/v1", "/openapi/v3", "/version"):
        assert may(BOOTSTRAPPED, somebody, url(path))[0]
    for resource in ("selfsubjectaccessreviews", "selfsubjectrulesreviews"):
        question = asked("create", resource, "", group="authorization.k8s.io")
        assert may(BOOTSTRAPPED, somebody, question)[0]
        assert not may(BOOTSTRAPPED, Identity("x"), question)[0]
    assert not may(BOOTSTRAPPED, somebody, url("/metrics"))[0]


def test_a_newer_podward_adds_rules_unless_it_is_forbidden() -> None:
    ours = next(r for r in CLUSTER_ROLES if r.metadata and r.metadata.name == "view")
    mine = [rule("get", "widgets")]
    auto = {f"{GROUP}/autoupdate": "true"}
    old = rbac_v1.ClusterRole(
        metadata=meta_v1.ObjectMeta(name="view", annotations=auto), rules=mine
    )
    new = brought_up_to_date(old, ours)
    assert new.rules == [*mine, *(ours.rules or ())]
    assert brought_up_to_date(new, ours) is new
    frozen = rbac_v1.ClusterRole(metadata=meta("view"), rules=mine)
    assert brought_up_to_date(frozen, ours) is frozen
