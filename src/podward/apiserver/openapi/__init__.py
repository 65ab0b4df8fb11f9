"""OpenAPI: what kubectl validates manifests against and `kubectl explain` reads."""

from podward.apiserver.openapi.v3 import routes

__all__ = ["routes"]
