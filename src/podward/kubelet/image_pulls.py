"""Is the image here, and if not: pull it, or wait before trying again (spec/health.md 4.4, 4.6, 7.2)."""

import asyncio
import math
from collections.abc import Callable, Sequence

from lightkube.models import core_v1

from podward.kubelet.image_credentials import CredentialsError, Places, credentials_for
from podward.kubelet.runtime.base import ImageStatus, Runtime, RuntimeFailure
from podward.machinery.backoff import Backoff, go_duration
from podward.machinery.clock import Clock
from podward.machinery.gotext import quote
from podward.machinery.image_reference import InvalidReference, with_default_tag

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
    """Pulls for one kubelet, one image at a time, in the order in which they were asked for.

    What failed is tried again after 10 s, 20 s ... 5 min, for each Pod and image.
    """

    def __init__(
        self, runtime: Runtime, clock: Clock, machine: Callable[[], Places] = dict
    ) -> None:
        """`machine`: the credentials that the machine itself has."""
        self._runtime = runtime
        self._clock = clock
        self._machine = machine
        self._backoff = Backoff()
        self._failures: dict[str, str] = {}
        self._turn = asyncio.Lock()

    async def ensure(
        self,
        pod_uid: str,
        image: str,
        policy: str,
        tell: Tell,
        pull_secrets: Sequence[core_v1.Secret] = (),
    ) -> ImageStatus:
        """Raises `ImageFailure` after the events that tell of it."""
        try:
            asked = with_default_tag(image)
        except InvalidReference as error:
            text = f"couldn't parse image name {quote(image)}: {error}"
            text = f"Failed to apply default image tag {quote(image)}: {text}"
            tell("Warning", "InspectFailed", text)
            raise self._told("InvalidImageName", text, tell) from error
        try:
            found = await self._runtime.image_status(asked)
        except RuntimeFailure as error:
            text = f'Failed to inspect image "{image}": {error}'
            tell("Warning", "InspectFailed", text)
            raise self._told("ImageInspectError", text, tell) from error
        if found is not None and not (policy == "Always" and found.from_registry):
            text = f'Container image "{image}" already present on machine'
            tell("Normal", "Pulled", f"{text} ({found.note})" if found.note else text)
            return found
        if policy == "Never":
            text = f'Container image "{image}" is not present with pull policy of Never'
            tell("Warning", "ErrImageNeverPull", text)
            raise self._told("ErrImageNeverPull", text, tell)
        return await self._pull(f"{pod_uid}_{image}", image, asked, tell, pull_secrets)

    async def _pull(
        self,
        key: str,
        image: str,
        asked: str,
        tell: Tell,
        pull_secrets: Sequence[core_v1.Secret],
    ) -> ImageStatus:
        remaining = self._backoff.remaining_since_update(key, self._clock.now().timestamp())
        if remaining > 0:
            text = f'Back-off pulling image "{image}"'
            tell("Normal", "BackOff", text)
            whole = f"{text}: {self._failures.get(key, '')}"
            raise self._told("ImagePullBackOff", whole, tell, remaining)
        tell("Normal", "Pulling", f'Pulling image "{image}"')
        wanted = self._clock.monotonic()
        try:
            async with self._turn:
                began = self._clock.monotonic()
                found = await self._fetch(asked, pull_secrets)
        except (RuntimeFailure, CredentialsError) as error:
            now = self._clock.now().timestamp()
            self._backoff.advance(key, now, now)
            reason, message = pull_error(image, str(error))
            self._failures[key] = f"{reason}: {message}"
            tell("Warning", "Failed", f'Failed to pull image "{image}": {error}')
            raise self._told(reason, message, tell, _AGAIN_SECONDS) from error
        self._failures.pop(key, None)
        ended = self._clock.monotonic()
        text = (
            f'Successfully pulled image "{image}" in {_milliseconds(ended - began)} '
            f"({_milliseconds(ended - wanted)} including waiting)."
        )
        size = f" Image size: {found.size_bytes} bytes." if found.size_bytes else ""
        tell("Normal", "Pulled", text + size)
        return found

    async def _fetch(self, asked: str, pull_secrets: Sequence[core_v1.Secret]) -> ImageStatus:
        """With each of the credentials that fit until one does; as anybody only if there are none."""
        failures: list[str] = []
        for credentials in credentials_for(asked, pull_secrets, self._machine()) or (None,):
            try:
                return await self._runtime.pull_image(asked, credentials)
            except RuntimeFailure as error:
                if str(error) not in failures:
                    failures.append(str(error))
        raise RuntimeFailure(failures[0] if len(failures) == 1 else f"[{', '.join(failures)}]")

    def collect(self, now: float) -> None:
        """Forget what nobody has tried for long, the words of its failure too."""
        self._backoff.collect(now)
        self._failures = {k: v for k, v in self._failures.items() if self._backoff.current(k)}

    def _told(
        self, reason: str, message: str, tell: Tell, retry_after: float | None = None
    ) -> ImageFailure:
        tell("Warning", "Failed", f"Error: {reason}")
        return ImageFailure(reason, message, retry_after)


def pull_error(image: str, failure: str) -> tuple[str, str]:
    """(waiting reason, message): an engine says of two kinds of failure which they are."""
    for kind, what in _KINDS.items():
        if failure.startswith(kind):
            return kind, f"image pull failed for {image} because {what}{failure.removeprefix(kind)}"
    return "ErrImagePull", failure


def _milliseconds(seconds: float) -> str:
    # A float's last digits are no time: 0.7 * 1000 is 700, and 0.29 * 1000 is not less than 290.
    return go_duration(math.floor(seconds * 1000 + 1e-6) / 1000)


_KINDS = {
    "RegistryUnavailable": "the registry is unavailable",
    "SignatureValidationFailed": "the signature validation failed",
}
_AGAIN_SECONDS = 1.0
"""After a failed pull the Pod is looked at again: that look finds it backing off, and says so."""
