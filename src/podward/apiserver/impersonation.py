"""`kubectl --as`: who may, acts as somebody else. Pure.

Each part of the other identity is a right of its own, with the verb `impersonate`. What is asked for is granted
or refused and never passed over: who asks for fewer rights must not get more.
"""

from collections.abc import Iterable
from urllib.parse import unquote

import msgspec

from podward.api.errors import bad_request
from podward.apiserver.attributes import Attributes
from podward.apiserver.identity import Identity

_ACCOUNT = "system:serviceaccount:"
_AUTHENTICATION = "authentication.k8s.io"
_EXTRA = "impersonate-extra-"


class Impersonation(msgspec.Struct, frozen=True):
    identity: Identity
    rights: tuple[Attributes, ...]
    """All that it takes."""


def impersonation(headers: Iterable[tuple[bytes, bytes]]) -> Impersonation | None:
    """What the headers ask for; None if nothing. 400 if nobody is named."""
    user, uid = "", ""
    groups: list[str] = []
    extra: dict[str, tuple[str, ...]] = {}
    for raw_name, raw_value in headers:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        if name == "impersonate-user":
            user = value
        elif name == "impersonate-uid":
            uid = value
        elif name == "impersonate-group":
            groups.append(value)
        elif name.startswith(_EXTRA):
            key = unquote(name.removeprefix(_EXTRA))
            extra[key] = (*extra.get(key, ()), value)
    if not user:
        if uid or groups or extra:
            raise bad_request("requested to impersonate groups, a UID or extras without a user")
        return None
    namespace, name = _account(user)
    rights = [
        Attributes("impersonate", "", "serviceaccounts", "", namespace, name)
        if namespace
        else Attributes("impersonate", "", "users", name=user)
    ]
    rights += [Attributes("impersonate", "", "groups", name=group) for group in groups]
    if uid:
        rights.append(Attributes("impersonate", _AUTHENTICATION, "uids", name=uid))
    rights += [
        Attributes("impersonate", _AUTHENTICATION, "userextras", key, name=value)
        for key, values in extra.items()
        for value in values
    ]
    if namespace and not groups:
        groups = ["system:serviceaccounts", f"system:serviceaccounts:{namespace}"]
    known = "system:unauthenticated" if user == "system:anonymous" else "system:authenticated"
    if known not in groups:
        groups.append(known)
    return Impersonation(Identity(user, tuple(groups), uid, extra), tuple(rights))


def _account(user: str) -> tuple[str, str]:
    """(namespace, name) of a service account's user name; both empty if it is another's."""
    parts = user.removeprefix(_ACCOUNT).split(":")
    if user.startswith(_ACCOUNT) and len(parts) == 2 and all(parts):
        return parts[0], parts[1]
    return "", ""
