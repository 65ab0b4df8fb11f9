"""The chain: every plug-in may change the object, in order; when all have, every plug-in may refuse it."""

from collections.abc import Sequence
from typing import Any

from podward.admission.base import AdmissionPlugin, AdmissionRequest


class AdmissionChain:
    def __init__(self, plugins: Sequence[AdmissionPlugin] = ()) -> None:
        self._plugins = tuple(plugins)

    async def mutate(self, request: AdmissionRequest) -> Any:
        for plugin in self._plugins:
            request.object = await plugin.mutate(request)
        return request.object

    async def validate(self, request: AdmissionRequest) -> None:
        for plugin in self._plugins:
            await plugin.validate(request)
