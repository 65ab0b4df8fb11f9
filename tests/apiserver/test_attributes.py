"""What a request is about, and how it is refused."""

import pytest

from podward.apiserver.attributes import Attributes, attributes_of, refusal

NS = "/api/v1/namespaces"


@pytest.mark.parametrize(
    ("method", "path", "query", "wanted"),
    [
        ("GET", f"{NS}/a/pods", {}, Attributes("list", "", "pods", "", "a")),
        ("HEAD", f"{NS}/a/pods/x", {}, Attributes("get", "", "pods", "", "a", "x")),
        ("GET", f"{NS}/a/pods", {"watch": "true"}, Attributes("watch", "", "pods", "", "a")),
        ("GET", f"{NS}/a/pods", {"watch": "0"}, Attributes("list", "", "pods", "", "a")),
        ("GET", "/api/v1/watch/namespaces/a/pods/x", {},
         Attributes("watch", "", "pods", "", "a", "x")),
        ("GET", "/api/v1/pods", {}, Attributes("list", "", "pods")),
        ("GET", f"{NS}/a/pods", {"fieldSelector": "metadata.name=x"},
         Attributes("list", "", "pods", "", "a", "x")),
        ("GET", f"{NS}/a/pods", {"fieldSelector": "metadata.name!=x"},
         Attributes("list", "", "pods", "", "a")),
        ("POST", f"{NS}/a/pods", {"fieldSelector": "metadata.name=x"},
         Attributes("create", "", "pods", "", "a")),
        ("POST", f"{NS}/a/pods/x/binding", {},
         Attributes("create", "", "pods", "binding", "a", "x")),
        ("GET", f"{NS}/a/pods/x/log", {}, Attributes("get", "", "pods", "log", "a", "x")),
        ("PUT", f"{NS}/a/pods/x", {}, Attributes("update", "", "pods", "", "a", "x")),
        ("PATCH", f"{NS}/a/pods/x", {}, Attributes("patch", "", "pods", "", "a", "x")),
        ("DELETE", f"{NS}/a/pods/x", {}, Attributes("delete", "", "pods", "", "a", "x")),
        ("DELETE", f"{NS}/a/pods", {}, Attributes("deletecollection", "", "pods", "", "a")),
        ("GET", NS, {}, Attributes("list", "", "namespaces")),
        ("GET", f"{NS}/a", {}, Attributes("get", "", "namespaces", "", "a", "a")),
        ("PUT", f"{NS}/a/finalize", {}, Attributes("update", "", "namespaces", "finalize", "a", "a")),
        ("GET", "/apis/g.io/v1/things/x", {}, Attributes("get", "g.io", "things", "", "", "x")),
        ("GET", "/apis/g.io/v1/namespaces/a/things", {},
         Attributes("list", "g.io", "things", "", "a")),
        ("GET", "/apis/g.io/v1", {}, Attributes("get", path="/apis/g.io/v1")),
        ("GET", "/api", {}, Attributes("get", path="/api")),
        ("POST", "/metrics", {}, Attributes("post", path="/metrics")),
        ("BREW", f"{NS}/a/pods", {}, Attributes("", "", "pods", "", "a")),
    ],
)  # fmt: skip
def test_what_a_path_is_about(
    method: str, path: str, query: dict[str, str], wanted: Attributes
) -> None:
    assert attributes_of(method, path, query) == wanted


ROBOT = "system:serviceaccount:default:default"


@pytest.mark.parametrize(
    ("asked", "reason", "text"),
    [
        (Attributes("list", "", "pods", "", "default"), "",
         f'pods is forbidden: User "{ROBOT}" cannot list resource "pods" in API group "" in the namespace '
         '"default"'),
        (Attributes("get", "g.io", "things", "status", "", "x"), "RBAC: it is so",
         f'things.g.io "x" is forbidden: User "{ROBOT}" cannot get resource "things/status" in API group '
         '"g.io" at the cluster scope: RBAC: it is so'),
        (Attributes("get", path="/metrics"), "",
         f'forbidden: User "{ROBOT}" cannot get path "/metrics"'),
    ],
)  # fmt: skip
def test_a_refusal_says_who_may_not_do_what(asked: Attributes, reason: str, text: str) -> None:
    status = refusal(ROBOT, asked, reason).status
    assert (status.code, status.reason, status.message) == (403, "Forbidden", text)
    assert status.details is not None
    assert status.details.kind == (asked.resource or None)
    assert status.details.name == (asked.name or None)
