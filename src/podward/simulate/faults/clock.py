"""A wall clock that can jump, as when NTP or a person sets it; waiting knows nothing of it."""

from datetime import datetime, timedelta

from podward.machinery.clock import LoopClock


class JumpingClock(LoopClock):
    def __init__(self, epoch: datetime) -> None:
        super().__init__(epoch)
        self._set_forward = timedelta()

    def jump(self, seconds: float) -> None:
        """Forward, or back if negative. `monotonic` and the loop's time do not move."""
        self._set_forward += timedelta(seconds=seconds)
        self._told = None

    def _at(self, seconds: float) -> datetime:
        return super()._at(seconds) + self._set_forward
