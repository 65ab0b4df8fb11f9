"""Names of images: `[registry/]path[:tag][@digest]`, and how a short one is completed. Pure.

The grammar is the one of registries (distribution's `reference` package); Docker's habits of leaving out
`docker.io/` and `library/` are part of it. The words of a refusal end in a Pod's status.
"""

import re
from dataclasses import dataclass

DEFAULT_DOMAIN = "docker.io"
_LEGACY_DOMAIN = "index.docker.io"
_NAME_LIMIT = 255

_DOMAIN_PART = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_DOMAIN = rf"(?:{_DOMAIN_PART}(?:\.{_DOMAIN_PART})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?"
_PART = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_REFERENCE = re.compile(
    rf"(?P<name>(?P<domain>{_DOMAIN})/(?P<path>{_PART}(?:/{_PART})*))"
    r"(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}))?"
    r"(?:@(?P<digest>[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}))?"
)
_IDENTIFIER = re.compile(r"[a-f0-9]{64}")
_DIGESTS = {"sha256": 64, "sha384": 96, "sha512": 128}


class InvalidReference(ValueError):
    """No image can have this name."""


@dataclass(frozen=True, slots=True)
class ImageReference:
    domain: str
    path: str
    tag: str = ""
    digest: str = ""

    @property
    def repository(self) -> str:
        return f"{self.domain}/{self.path}"

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        return f"{self.repository}{tag}" + (f"@{self.digest}" if self.digest else "")


def parse(text: str) -> ImageReference:
    """Complete but for the tag: `busybox` -> `docker.io/library/busybox`. Raises `InvalidReference`."""
    if _IDENTIFIER.fullmatch(text):
        what = "cannot specify 64-byte hexadecimal strings"
        raise InvalidReference(f"invalid repository name ({text}), {what}")
    domain, rest = _split_domain(text)
    remote = rest.partition(":")[0]
    if remote.lower() != remote:
        raise InvalidReference(
            f"invalid reference format: repository name ({remote}) must be lowercase"
        )
    found = _REFERENCE.fullmatch(f"{domain}/{rest}")
    if found is None:
        raise InvalidReference("invalid reference format")
    if len(found["name"]) > _NAME_LIMIT:
        raise InvalidReference(f"repository name must not be more than {_NAME_LIMIT} characters")
    _check_digest(found["digest"])
    return ImageReference(found["domain"], found["path"], found["tag"] or "", found["digest"] or "")


def _split_domain(text: str) -> tuple[str, str]:
    """What stands before the first slash is a registry if it looks like one: a dot, a port, or localhost."""
    first, slash, rest = text.partition("/")
    plain = not set(first) & {".", ":"} and first != "localhost" and first.lower() == first
    if not slash or plain:
        domain, rest = DEFAULT_DOMAIN, text
    else:
        domain = DEFAULT_DOMAIN if first == _LEGACY_DOMAIN else first
    if domain == DEFAULT_DOMAIN and "/" not in rest:
        rest = f"library/{rest}"
    return domain, rest


def _check_digest(digest: str | None) -> None:
    if digest is None:
        return
    algorithm, _, hexadecimal = digest.partition(":")
    if algorithm not in _DIGESTS:
        raise InvalidReference("unsupported digest algorithm")
    if len(hexadecimal) != _DIGESTS[algorithm]:
        raise InvalidReference("invalid checksum digest length")
    if hexadecimal.lower() != hexadecimal:
        raise InvalidReference("invalid checksum digest format")


def with_default_tag(text: str) -> str:
    """What is asked of an engine: the name as it was written, `:latest` added where it says no version.

    Its registry is left to the engine, which may have a default of its own. Raises `InvalidReference`.
    """
    reference = parse(text)
    return text if reference.tag or reference.digest else f"{text}:latest"
