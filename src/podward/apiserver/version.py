"""`/version`: which Kubernetes this API follows, and that it is Podward."""

import platform

from podward import __version__
from podward.apiserver.request import Request, Response

FOLLOWS = "1.36.2"


def _body() -> bytes:
    import msgspec

    major, minor, _ = FOLLOWS.split(".")
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    return msgspec.json.encode(
        {
            "major": major,
            "minor": minor,
            "gitVersion": f"v{FOLLOWS}+podward.{__version__}",
            "gitCommit": "",
            "gitTreeState": "clean",
            "buildDate": "1970-01-01T00:00:00Z",
            "goVersion": "none",
            "compiler": "CPython",
            "platform": f"linux/{machine}",
        }
    )


async def version(request: Request) -> Response:
    return Response(200, _body())
