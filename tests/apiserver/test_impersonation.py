"""Acting as somebody else: what is asked for, and what it takes."""

import pytest

from podward.api.errors import ApiStatusError
from podward.apiserver.attributes import Attributes
from podward.apiserver.identity import Identity
from podward.apiserver.impersonation import impersonation


def asked(*headers: tuple[str, str]) -> tuple[Identity, list[Attributes]]:
    found = impersonation([(name.encode(), value.encode()) for name, value in headers])
    assert found is not None
    return found.identity, list(found.rights)


def right(resource: str, name: str, group: str = "", **more: str) -> Attributes:
    return Attributes("impersonate", group, resource, name=name, **more)


def test_nobody_asks() -> None:
    assert impersonation([(b"authorization", b"Bearer x"), (b"accept", b"*/*")]) is None


def test_a_user_is_known_and_has_the_groups_that_were_named() -> None:
    identity, rights = asked(
        ("Impersonate-User", "jane"), ("impersonate-group", "devs"), ("Impersonate-Group", "ops")
    )
    assert identity == Identity("jane", ("devs", "ops", "system:authenticated"))
    assert rights == [right("users", "jane"), right("groups", "devs"), right("groups", "ops")]


def test_a_service_account_has_its_own_groups() -> None:
    identity, rights = asked(("impersonate-user", "system:serviceaccount:team:robot"))
    assert identity.groups == (
        "system:serviceaccounts", "system:serviceaccounts:team", "system:authenticated",
    )  # fmt: skip
    assert rights == [right("serviceaccounts", "robot", namespace="team")]


def test_a_name_that_only_looks_like_an_accounts_is_a_users() -> None:
    for name in ("system:serviceaccount:team", "system:serviceaccount::x", "serviceaccount:a:b"):
        assert asked(("impersonate-user", name))[1] == [right("users", name)]


def test_a_uid_and_extras_are_rights_too() -> None:
    identity, rights = asked(
        ("impersonate-user", "jane"), ("impersonate-uid", "u-1"),
        ("impersonate-extra-acme.com%2fproject", "a"), ("impersonate-extra-acme.com%2fproject", "b"),
    )  # fmt: skip
    assert identity.uid == "u-1"
    assert identity.extra == {"acme.com/project": ("a", "b")}
    group = "authentication.k8s.io"
    assert rights[1:] == [
        right("uids", "u-1", group),
        right("userextras", "a", group, subresource="acme.com/project"),
        right("userextras", "b", group, subresource="acme.com/project"),
    ]


def test_masters_are_no_groups_of_nobody() -> None:
    with pytest.raises(ApiStatusError) as refused:
        impersonation([(b"impersonate-group", b"system:masters")])
    assert refused.value.status.code == 400
