"""The chain: every plug-in may change the object, in order; when all have, every plug-in may refuse it.

If a plug-in asks for it, because somebody outside changed the object after the plug-ins before it had seen
it, all may change it once more (`Rounds`).
"""

from collections.abc import Sequence
from typing import Any

from podward.admission.base import AdmissionPlugin, AdmissionRequest


class AdmissionChain:
    def __init__(self, plugins: Sequence[AdmissionPlugin] = ()) -> None:
        self._plugins = tuple(plugins)
        idle = AdmissionPlugin
        self._mutating = [p for p in plugins if type(p).mutate is not idle.mutate]
        self._validating = [p for p in plugins if type(p).validate is not idle.validate]

    def followed_by(self, plugin: AdmissionPlugin) -> "AdmissionChain":
        """This chain, and then one more."""
        return AdmissionChain((*self._plugins, plugin))

    async def mutate(self, request: AdmissionRequest) -> Any:
        await self._round(request)
        if request.rounds is not None and request.rounds.again:
            request.rounds.second = True
            await self._round(request)
        return request.object

    async def _round(self, request: AdmissionRequest) -> None:
        for plugin in self._mutating:
            request.object = await plugin.mutate(request)

    async def validate(self, request: AdmissionRequest) -> None:
        for plugin in self._validating:
            await plugin.validate(request)
