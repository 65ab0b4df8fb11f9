"""Configurations of admission webhooks: what is filled in, what is refused and with which words."""

import base64
from pathlib import Path
from typing import Any

import msgspec
import pytest
from lightkube.models import admissionregistration_v1 as v1
from tests.api.support import causes, made, update_causes

from podward.api.merge_keys import schema_of
from podward.apiserver.certificates import ensure_authority
from podward.machinery.clock import SystemClock

KINDS = (v1.MutatingWebhookConfiguration, v1.ValidatingWebhookConfiguration)
RULE = {"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"]}
FORM = "; desired format: https://host[/path]"


def webhook(**fields: Any) -> dict[str, Any]:
    """A good one; a field that is None is left out."""
    found = {
        "name": "pods.hooks.example.org",
        "clientConfig": {"url": "https://hooks.example.org/mutate"},
        "rules": [RULE],
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
    }
    return {k: v for k, v in {**found, **fields}.items() if v is not None}


def configuration(*webhooks: dict[str, Any], kind: type[Any] = KINDS[0]) -> Any:
    return made(kind, {"webhooks": list(webhooks)})


def found(**fields: Any) -> list[tuple[str, str]]:
    """What is wrong with a webhook of such fields; paths below the webhook."""
    told = [causes(configuration(webhook(**fields), kind=kind)) for kind in KINDS]
    assert told[0] == told[1]
    return [(path.removeprefix("webhooks[0]."), text) for path, text in told[0]]


def rule(**fields: Any) -> list[tuple[str, str]]:
    changed = {k: v for k, v in {**RULE, **fields}.items() if v is not None}
    return [(path.removeprefix("rules[0]."), text) for path, text in found(rules=[changed])]


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_left_out_is_filled_in(kind: type[Any]) -> None:
    client = {"service": {"name": "hook", "namespace": "edge"}}
    obj = configuration(webhook(clientConfig=client), kind=kind)
    (hook,) = obj.webhooks
    assert (hook.failurePolicy, hook.matchPolicy, hook.timeoutSeconds) == ("Fail", "Equivalent", 10)
    assert hook.rules[0].scope == "*"
    assert hook.clientConfig.service.port == 443
    assert hook.namespaceSelector.to_dict() == hook.objectSelector.to_dict() == {}
    if kind is v1.MutatingWebhookConfiguration:
        assert hook.reinvocationPolicy == "Never"
    assert causes(obj) == []


def test_what_is_said_stays() -> None:
    said = {"failurePolicy": "Ignore", "matchPolicy": "Exact", "timeoutSeconds": 3}
    (hook,) = configuration(
        webhook(**said, reinvocationPolicy="IfNeeded", rules=[{**RULE, "scope": "Namespaced"}])
    ).webhooks
    assert {name: getattr(hook, name) for name in said} == said
    assert (hook.reinvocationPolicy, hook.rules[0].scope) == ("IfNeeded", "Namespaced")


def test_no_webhooks_are_no_mistake() -> None:
    assert [causes(configuration(kind=kind)) for kind in KINDS] == [[], []]


# ---- names


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("", "Required value"),
        ("hooks.example", 'Invalid value: "hooks.example": should be a domain with at least three '
         "segments separated by dots"),
    ],
)  # fmt: skip
def test_a_name_is_fully_qualified(name: str, text: str) -> None:
    assert found(name=name) == [("name", text)]


def test_a_name_is_a_domain() -> None:
    ((path, text),) = found(name="Hooks.example.org")
    assert path == "name"
    assert text.startswith('Invalid value: "Hooks.example.org": a lowercase RFC 1123 subdomain')


def test_names_are_unique_within_a_configuration() -> None:
    double = configuration(webhook(), webhook(name="other.example.org"), webhook())
    assert causes(double) == [("webhooks[2].name", 'Duplicate value: "pods.hooks.example.org"')]


# ---- choices


@pytest.mark.parametrize(
    ("field", "value", "text"),
    [
        ("failurePolicy", "Panic", '"Panic": supported values: "Fail", "Ignore"'),
        ("matchPolicy", "Most", '"Most": supported values: "Equivalent", "Exact"'),
        ("sideEffects", "Some", '"Some": supported values: "None", "NoneOnDryRun"'),
        ("sideEffects", "Unknown", '"Unknown": supported values: "None", "NoneOnDryRun"'),
    ],
)
def test_a_choice_is_one_of_those_that_there_are(field: str, value: str, text: str) -> None:
    assert found(**{field: value}) == [(field, f"Unsupported value: {text}")]


def test_side_effects_must_be_said() -> None:
    text = "Required value: must specify one of None, NoneOnDryRun"
    assert found(sideEffects=None) == [("sideEffects", text)]


def test_reinvocation_is_a_choice() -> None:
    obj = configuration(webhook(reinvocationPolicy="Always"))
    text = 'Unsupported value: "Always": supported values: "IfNeeded", "Never"'
    assert causes(obj) == [("webhooks[0].reinvocationPolicy", text)]


@pytest.mark.parametrize(("seconds", "good"), [(0, False), (1, True), (30, True), (31, False)])
def test_a_timeout_is_1_to_30_seconds(seconds: int, good: bool) -> None:
    text = f"Invalid value: {seconds}: the timeout value must be between 1 and 30 seconds"
    assert found(timeoutSeconds=seconds) == ([] if good else [("timeoutSeconds", text)])


@pytest.mark.parametrize(
    ("versions", "text"),
    [
        ([], "Required value: must specify one of v1"),
        (["v1beta1"], 'Invalid value: ["v1beta1"]: must include at least one of v1'),
        (["v1beta1", "v1"], ""),
    ],
)
def test_v1_reviews_must_be_understood(versions: list[str], text: str) -> None:
    expected = [("admissionReviewVersions", text)] if text else []
    assert found(admissionReviewVersions=versions) == expected


def test_review_versions_are_labels_said_once() -> None:
    told = found(admissionReviewVersions=["v1", "v1", "1"])
    assert told[0] == ("admissionReviewVersions[1]", 'Invalid value: "v1": duplicate version')
    assert told[1][0] == "admissionReviewVersions[2]"
    assert told[1][1].startswith('Invalid value: "1": a DNS-1035 label must consist of')


@pytest.mark.parametrize("name", ["namespaceSelector", "objectSelector"])
def test_selectors_can_be_evaluated(name: str) -> None:
    selector = {
        "matchExpressions": [{"key": "a", "operator": "In"}, {"key": "a", "operator": "Is"}]
    }
    assert found(**{name: selector}) == [
        (f"{name}.matchExpressions[0].values",
         "Required value: must be specified when `operator` is 'In' or 'NotIn'"),
        (f"{name}.matchExpressions[1].operator",
         'Invalid value: "Is": not a valid selector operator'),
    ]  # fmt: skip
    values = {"matchExpressions": [{"key": "a", "operator": "In", "values": ["no no"]}]}
    ((path, text),) = found(**{name: values})
    assert path == f"{name}.matchExpressions[0].values[0]"
    assert text.startswith('Invalid value: "no no": a valid label must be')


# ---- rules


@pytest.mark.parametrize("field", ["operations", "apiGroups", "apiVersions", "resources"])
def test_a_rule_says_all_four(field: str) -> None:
    assert rule(**{field: None}) == rule(**{field: []}) == [(field, "Required value")]


@pytest.mark.parametrize(
    ("field", "values", "text"),
    [
        ("operations", ["*", "CREATE"], "operations"),
        ("apiGroups", ["*", "apps"], "API groups"),
        ("apiVersions", ["v1", "*"], "API versions"),
    ],
)
def test_a_star_stands_alone(field: str, values: list[str], text: str) -> None:
    shown = str(values).replace("'", '"').replace(" ", "")
    told = f"Invalid value: {shown}: if '*' is present, must not specify other {text}"
    assert rule(**{field: values}) == [(field, told)]


@pytest.mark.parametrize(
    ("field", "values", "path", "text"),
    [
        ("operations", ["PATCH"], "operations[0]", 'Unsupported value: "PATCH": supported values: '
         '"*", "CONNECT", "CREATE", "DELETE", "UPDATE"'),
        ("apiVersions", [""], "apiVersions[0]", "Required value"),
        ("resources", [""], "resources[0]", "Required value"),
        ("scope", "Cell", "scope", 'Unsupported value: "Cell": supported values: "*", "Cluster", '
         '"Namespaced"'),
        ("resources", ["pods/*", "pods/status"], "resources[1]", 'Invalid value: "pods/status": '
         "if 'pods/*' is present, must not specify pods/status"),
        ("resources", ["*/scale", "pods/scale"], "resources[1]", 'Invalid value: "pods/scale": '
         "if '*/scale' is present, must not specify pods/scale"),
        ("resources", ["*/*", "pods"], "resources", 'Invalid value: ["*/*","pods"]: '
         "if '*/*' is present, must not specify other resources"),
        ("resources", ["*", "pods"], "resources", 'Invalid value: ["*","pods"]: '
         "if '*' is present, must not specify other resources without subresources"),
    ],
)  # fmt: skip
def test_what_a_rule_may_say(field: str, values: Any, path: str, text: str) -> None:
    assert rule(**{field: values}) == [(path, text)]


@pytest.mark.parametrize(
    "resources", [["*"], ["*/*"], ["*", "pods/status"], ["pods", "pods/*"], ["*", "*/scale"]]
)
def test_wildcards_that_do_not_meet_are_good(resources: list[str]) -> None:
    assert rule(resources=resources) == []


# ---- where it is


@pytest.mark.parametrize(
    "client", [{}, {"url": "https://a.b/c", "service": {"name": "a", "namespace": "b"}}]
)
def test_it_is_at_a_url_or_a_service(client: dict[str, Any]) -> None:
    text = "Required value: exactly one of url or service is required"
    assert found(clientConfig=client) == [("clientConfig", text)]


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("http://a.b/c", f"\"http\": 'https' is the only allowed URL scheme{FORM}"),
        ("https:///c", f'"": host must be provided{FORM}'),
        ("https://u:p@a.b", '"u": user information is not permitted in the URL'),
        ("https://a.b/#x", '"x": fragments are not permitted in the URL'),
        ("https://a.b/?x=y", '"x=y": query parameters are not permitted in the URL'),
    ],
)
def test_a_url_is_https_and_no_more_than_a_place(url: str, text: str) -> None:
    assert found(clientConfig={"url": url}) == [("clientConfig.url", f"Invalid value: {text}")]


@pytest.mark.parametrize("url", ["https://a.b:port/", "https://[::1/"])
def test_a_url_can_be_read(url: str) -> None:
    ((path, text),) = found(clientConfig={"url": url})
    assert path == "clientConfig.url"
    assert text.startswith("Required value: url must be a valid URL: ")
    assert text.endswith(FORM)


@pytest.mark.parametrize(
    ("service", "path", "text"),
    [
        ({"namespace": "b"}, "name", "Required value: service name is required"),
        ({"name": "a"}, "namespace", "Required value: service namespace is required"),
        ({"name": "a", "namespace": "b", "port": 0}, "port",
         "Invalid value: 0: port is not valid: must be between 1 and 65535, inclusive"),
        ({"name": "a", "namespace": "b", "path": "x"}, "path",
         "Invalid value: \"x\": must start with a '/'"),
        ({"name": "a", "namespace": "b", "path": "//"}, "path",
         'Invalid value: "//": segment[0] may not be empty'),
        ({"name": "a", "namespace": "b", "path": "/x//y"}, "path",
         'Invalid value: "/x//y": segment[1] may not be empty'),
    ],
)  # fmt: skip
def test_a_service_is_named(service: dict[str, Any], path: str, text: str) -> None:
    told = found(clientConfig={"service": service})
    assert ("clientConfig.service." + path, text) in told


@pytest.mark.parametrize("path", ["", "/", "/mutate", "/mutate/", "/a.b/c-d"])
def test_paths_of_a_service(path: str) -> None:
    assert found(clientConfig={"service": {"name": "a", "namespace": "b", "path": path}}) == []


@pytest.mark.parametrize(
    ("bundle", "text"),
    [
        ("%", "illegal base64 data"),
        (base64.b64encode(b"no pem").decode(),
         "unable to load root certificates: unable to parse bytes as PEM block"),
        (base64.b64encode("é".encode()).decode(),
         "unable to load root certificates: unable to parse bytes as PEM block"),
        ("", ""),
        ("Cg==", ""),
    ],
)  # fmt: skip
def test_a_bundle_holds_certificates_or_is_blank(bundle: str, text: str) -> None:
    told = found(clientConfig={"url": "https://a.b", "caBundle": bundle})
    expected = [("clientConfig.caBundle", f'Invalid value: "<value>": {text}')]
    assert told == (expected if text else [])


def test_a_good_bundle(tmp_path: Path) -> None:
    pem = ensure_authority(tmp_path, SystemClock(), []).ca_certificate.read_bytes()
    bundle = base64.b64encode(pem).decode()
    assert found(clientConfig={"url": "https://a.b", "caBundle": bundle}) == []


# ---- conditions


def conditions(*pairs: tuple[str, str]) -> list[tuple[str, str]]:
    listed = [{"name": name, "expression": text} for name, text in pairs]
    told = found(matchConditions=listed)
    return [(path.removeprefix("matchConditions"), text) for path, text in told]


def test_good_conditions() -> None:
    assert (
        conditions(("a", "request.dryRun"), ("b.c/d", "object == null || oldObject == null")) == []
    )


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        (" ", "Required value"),
        ("true &", 'Invalid value: "true &": compilation failed: <input>:1:6: Syntax error'),
        ("foo", "Invalid value: \"foo\": compilation failed: undeclared reference to 'foo'"),
        ("authorizer.x", "Invalid value: \"authorizer.x\": compilation failed: undeclared reference to "
         "'authorizer': Podward authorizes nobody, so there is none to ask"),
    ],
)  # fmt: skip
def test_an_expression_can_be_read(expression: str, text: str) -> None:
    ((path, told),) = conditions(("a", expression))
    assert path == "[0].expression"
    assert told.startswith(text)


def test_conditions_have_names_of_their_own() -> None:
    told = conditions(("a", "true"), ("a", "true"), ("", "true"), ("no no", "true"))
    assert told[:2] == [("[1].name", 'Duplicate value: "a"'), ("[2].name", "Required value")]
    assert told[2][0] == "[3].name"
    assert told[2][1].startswith('Invalid value: "no no": name part must consist of')


def test_64_conditions_are_enough() -> None:
    many = [(f"c{i}", "true") for i in range(65)]
    assert conditions(*many[:64]) == []
    assert conditions(*many) == [("", "Too many: 65: must have at most 64 items")]


# ---- updates and patches


def test_an_update_is_checked_as_a_whole() -> None:
    old = configuration(webhook())
    assert update_causes(configuration(webhook(timeoutSeconds=9)), old) == []
    told = update_causes(configuration(webhook(timeoutSeconds=99)), old)
    assert [path for path, _ in told] == ["webhooks[0].timeoutSeconds"]


@pytest.mark.parametrize("kind", KINDS)
def test_webhooks_and_conditions_are_merged_by_name(kind: type[msgspec.Struct]) -> None:
    schema = schema_of(kind)
    assert schema.merge_keys["webhooks"] == "name"
    assert schema.child("webhooks").merge_keys["matchConditions"] == "name"
    assert "rules" not in schema.child("webhooks").merge_keys
