"""Is the image here, and if not: pull it, or wait before trying again (spec/health.md 4.4, 4.6, 7.2)."""

from collections.abc import Callable

from podward.kubelet.runtime.base import ImageStatus, Runtime, RuntimeFailure
from podward.machinery.backoff import Backoff, go_duration
from podward.machinery.clock import Clock

Tell = Callable[[str, str, str], None]
"""(type, reason, message) of an event about the container."""


class ImageFailure(Exception):
    """No image, no container; `reason` is the waiting reason. `retry_after`: seconds, None for the usual."""

    def __init__(self, reason: str, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.retry_after = retry_after


class ImagePuller:
    """Pulls for one kubelet; what failed is tried again after 10 s, 20 s ... 5 min, for each Pod and image."""

    def __init__(self, runtime: Runtime, clock: Clock) -> None:
        self._runtime = runtime
        self._clock = clock
        self._backoff = Backoff()
        self._failures: dict[str, str] = {}

    async def ensure(self, pod_uid: str, image: str, policy: str, tell: Tell) -> ImageStatus:
        """Raises `ImageFailure` after the events that tell of it."""
        found = await self._runtime.image_status(image)
        if found is not None:
            text = f'Container image "{image}" already present on machine'
            tell("Normal", "Pulled", f"{text} ({found.note})" if found.note else text)
            return found
        if policy == "Never":
            text = f'Container image "{image}" is not present with pull policy of Never'
            tell("Warning", "ErrImageNeverPull", text)
            raise self._told("ErrImageNeverPull", text, tell)
        return await self._pull(f"{pod_uid}_{image}", image, tell)

    async def _pull(self, key: str, image: str, tell: Tell) -> ImageStatus:
        remaining = self._backoff.remaining_since_update(key, self._clock.now().timestamp())
        if remaining > 0:
            text = f'Back-off pulling image "{image}"'
            tell("Normal", "BackOff", text)
            whole = f"{text}: ErrImagePull: {self._failures.get(key, '')}"
            raise self._told("ImagePullBackOff", whole, tell, remaining)
        tell("Normal", "Pulling", f'Pulling image "{image}"')
        began = self._clock.monotonic()
        try:
            found = await self._runtime.pull_image(image)
        except RuntimeFailure as error:
            now = self._clock.now().timestamp()
            self._backoff.advance(key, now, now)
            self._failures[key] = str(error)
            tell("Warning", "Failed", f'Failed to pull image "{image}": {error}')
            raise self._told("ErrImagePull", str(error), tell, _AGAIN_SECONDS) from error
        self._failures.pop(key, None)
        took = go_duration(round(self._clock.monotonic() - began, 3))
        text = f'Successfully pulled image "{image}" in {took} ({took} including waiting).'
        tell("Normal", "Pulled", text)
        return found

    def collect(self, now: float) -> None:
        """Forget what nobody has tried for long, the words of its failure too."""
        self._backoff.collect(now)
        self._failures = {k: v for k, v in self._failures.items() if self._backoff.current(k)}

    def _told(
        self, reason: str, message: str, tell: Tell, retry_after: float | None = None
    ) -> ImageFailure:
        tell("Warning", "Failed", f"Error: {reason}")
        return ImageFailure(reason, message, retry_after)


_AGAIN_SECONDS = 1.0
"""After a failed pull the Pod is looked at again: that look finds it backing off, and says so."""
