"""Dice at the edges of the cluster, and whether the Podward behind them still lives.

A call may fail before anything happened, or afterwards, so that the caller believes it failed though it
worked: the harder of the two. And whoever is dead calls nobody: a death cuts Podward off at its edges in the
very step in which it strikes, whatever its tasks go on to do until they are taken away.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal, TypeVar

from podward.machinery.entropy import Entropy

T = TypeVar("T")
EdgeName = Literal["api", "runtime", "store"]


@dataclass(frozen=True, slots=True)
class Rates:
    """Of a hundred calls, how many go wrong in which way; and how long a slow one takes (seconds, at most)."""

    errors: float = 0.0
    lost: float = 0.0
    """Done, but the answer never comes."""
    slow: float = 0.0
    up_to: float = 5.0
    unavailable: bool = False
    """Nothing gets through, and what was open breaks off."""


class Incarnation:
    """One life of Podward, from its start to its death."""

    def __init__(self) -> None:
        self.dead = False

    def must_live(self) -> None:
        """What a dead process would have done does not happen; its task ends here."""
        if self.dead:
            raise asyncio.CancelledError


class Edge:
    """One edge of the cluster: what goes wrong there now. It outlives the Podwards that use it."""

    def __init__(self, entropy: Entropy) -> None:
        self._entropy = entropy
        self._rates: list[Rates] = []
        self._open: dict[int, Callable[[], None]] = {}
        self._opened = 0

    def begin(self, rates: Rates) -> None:
        """Several may be in force at once; each has its own dice."""
        self._rates.append(rates)
        if rates.unavailable:
            for break_off in list(self._open.values()):
                break_off()

    def end(self, rates: Rates) -> None:
        self._rates.remove(rates)

    def opened(self, break_off: Callable[[], None]) -> Callable[[], None]:
        """Something long is open: `break_off` ends it. Returns what says that it was closed."""
        self._opened += 1
        number = self._opened
        self._open[number] = break_off

        def closed() -> None:
            self._open.pop(number, None)

        return closed

    async def call(
        self,
        life: Incarnation,
        do: Callable[[], Awaitable[T]],
        failure: Callable[[str], Exception],
        lost: Callable[[str], Exception] | None = None,
    ) -> T:
        """`failure`: nothing was done. `lost`: nobody knows; the same, if the caller cannot tell them apart."""
        life.must_live()
        for rates in tuple(self._rates):
            if self._roll(rates.slow):
                await asyncio.sleep(self._entropy.uniform(0, rates.up_to))
                life.must_live()
            if rates.unavailable or self._roll(rates.errors):
                raise failure("simulated: the call failed")
        result = await do()
        life.must_live()
        for rates in tuple(self._rates):
            if self._roll(rates.lost):
                raise (lost or failure)("simulated: the answer was lost")
        return result

    def _roll(self, percent: float) -> bool:
        return percent > 0 and self._entropy.uniform(0, 100) < percent


class Trouble:
    """All edges of one machine."""

    def __init__(self, seed: int) -> None:
        self.api, self.runtime, self.store = (Edge(Entropy(seed + i)) for i in range(3))

    def edge(self, name: EdgeName) -> Edge:
        edge: Edge = getattr(self, name)
        return edge
