"""Who makes a request."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Identity:
    """A user as authentication found it: certificate subject (CN, O), token owner, or in-process component.

    Trusted code of this very process (the in-process transport) says itself who it is; requests that come in
    an ASGI scope are authenticated by the server.
    """

    name: str
    groups: tuple[str, ...] = ()


SYSTEM = Identity("system:podward", ("system:masters",))
ANONYMOUS = Identity("system:anonymous", ("system:unauthenticated",))
