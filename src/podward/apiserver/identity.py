"""Who makes a request."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Identity:
    """A user as authentication found it: certificate subject (CN, O), token owner, or in-process component.

    Trusted code of this very process (the in-process transport) says itself who it is; requests that come in
    an ASGI scope are authenticated by the server.
    """

    name: str
    groups: tuple[str, ...] = ()
    uid: str = ""
    extra: Mapping[str, tuple[str, ...]] = field(default_factory=dict, hash=False)
    """What else authentication found out, e.g. the Pod that a token is bound to."""


SYSTEM = Identity("system:podward", ("system:masters",))
ANONYMOUS = Identity("system:anonymous", ("system:unauthenticated",))
