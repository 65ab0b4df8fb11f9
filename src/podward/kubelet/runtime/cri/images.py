"""Images of an engine: is it here, and fetch it (spec/health.md 4.6)."""

from podward.kubelet.runtime.base import Credentials, ImageStatus, NotFound, RuntimeFailure
from podward.kubelet.runtime.cri import runtime_v1_pb2 as pb
from podward.kubelet.runtime.cri.client import CriClient, EngineFailure

PULL_SECONDS = 3600.0
"""An engine itself ends a pull that makes no progress; this one is for an engine that hangs."""
_CODE_OF_NO_WORTH = "rpc error: code = Unknown desc = "


class CriImages:
    def __init__(self, client: CriClient) -> None:
        self._client = client

    async def status(self, image: str) -> ImageStatus | None:
        """None if it is not here."""
        request = pb.ImageStatusRequest(image=pb.ImageSpec(image=image))
        answer = await self._client.images("ImageStatus", request, pb.ImageStatusResponse)
        return image_status(answer.image, image) if answer.HasField("image") else None

    async def pull(self, image: str, credentials: Credentials | None) -> ImageStatus:
        request = pb.PullImageRequest(image=pb.ImageSpec(image=image))
        if credentials is not None:
            request.auth.CopyFrom(
                pb.AuthConfig(
                    username=credentials.username,
                    password=credentials.password,
                    auth=credentials.auth,
                    server_address=credentials.server_address,
                    identity_token=credentials.identity_token,
                    registry_token=credentials.registry_token,
                )
            )
        try:
            answer = await self._client.images(
                "PullImage", request, pb.PullImageResponse, PULL_SECONDS
            )
        except EngineFailure as error:
            raise RuntimeFailure(failure_text(str(error))) from error
        found = await self.status(answer.image_ref or image)
        if found is None:
            raise NotFound(f'image "{image}" was pulled and is not there')
        return found


def failure_text(failure: str) -> str:
    """As a kubelet tells it: an unknown kind of failure is not worth naming, and what an engine calls
    `RegistryUnavailable: ...` or `SignatureValidationFailed: ...` must begin with that."""
    return failure.removeprefix(_CODE_OF_NO_WORTH)


def image_status(found: pb.Image, asked: str) -> ImageStatus:
    """`asked`: its name in the Pod; the engine's own tag for it is shown, if it has one."""
    user = str(found.uid.value) if found.HasField("uid") else found.username
    name = found.repo_tags[0] if found.repo_tags else asked
    shown = found.repo_digests[0] if found.repo_digests else found.id
    return ImageStatus(
        name, shown, user=user, ref=found.id, size_bytes=found.size, from_registry=True
    )
