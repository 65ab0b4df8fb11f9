"""What lives by dice brought to light: each a manifest and a schedule of faults in `tests/seeds/`, lived again.

`podward simulate tests/seeds/NAME.pod.yaml --faults tests/seeds/NAME.faults.yaml` shows it to people.
"""

from dataclasses import dataclass
from pathlib import Path

from tests.simulate.lives.life import Scenario

from podward.simulate.reading import documents

FOLDER = Path(__file__).resolve().parents[2] / "seeds"


@dataclass(frozen=True, slots=True)
class Found:
    seed: int
    """Of the life in which it was met first, as seeds were then."""
    says: str
    """A part of the complaint, as the invariant puts it."""
    wrong: str
    """The defect, as short as it can be told."""
    cure: str = ""
    dice: int = 1
    """How many seeds the scenario is lived with: more than one, if what must fail is left to dice."""


CURED: dict[str, Found] = {
    "half-deleted": Found(
        30, "is still being deleted",
        "the look after the last kill failed, and nobody looked again: half deleted for ever",
        "a Pod that is terminated is looked at and told of again at each turn",
        dice=12,
    ),
    "status-refused-once": Found(
        24, "told running True, the truth is False",
        "a status that the server answered with 5xx was dropped as if it had been refused",
        "5xx is no answer: it waits and is written again",
    ),
    "adopted-and-not-probed": Found(
        3652, "a probe that would have it killed fails",
        "a restarted kubelet made probe workers only when it had something to start",
        "they are made in the first turn of every Pod",
    ),
    "ladder-forgotten": Found(
        47, "before its back-off was over",
        "pruning removes the only dead instance of a container that this turn did not start anew, "
        "so that its next kill finds no exited instance: restarted at once, ladder untouched (4.4, 4.5)",
        cure="the newest dead instance of each container stays",
    ),
    "clock-set-back": Found(
        46, "other of it still runs",
        "the newest instance is the one created last by the wall clock; set back, it names a dead one",
        cure="newest is by attempt, then by time",
    ),
    "sweep-ends-podward": Found(
        1482, "podward ended by itself",
        "a store that fails while old events are swept ends the whole server",
        cure="it is logged, and swept again a minute later",
    ),
    "restarted-after-its-end": Found(
        54, "is started, and its Pod is",
        "a restarted kubelet does not know that the Pod is over: a new sandbox, and a container whose "
        "own policy is Never starts again (5.1)",
        cure="a Pod adopted with a terminal phase has ended",
    ),
    "never-probed-again": Found(
        1143, "is told ready=False, and its probe says True",
        "a probe worker that left because its container is over is not made anew when a new sandbox has "
        "that container started all the same (2.1): never ready again",
        cure="a start brings back the workers that left",
    ),
    "failed-and-started": Found(
        4721, "still runs, and its Pod is over or gone",
        "killed between creating and starting a container whose last run ended with 0, the kubelet comes "
        "back, tells the phase Failed (5.1: it may start) and then starts it",
        cure="the phase asks the runtime's truth whether a container may start",
    ),
    "pending-for-ever": Found(
        3067, "neither runs nor waits nor is done",
        "policy Never, sandbox lost before the first regular container: nothing is started any more and "
        "the phase stays Pending",
        cure="nothing will run again and something never ran: Failed",
    ),
    "failed-and-anew": Found(
        4465, "is started, and its Pod is Failed",
        "a Pod whose containers may all not restart lost its sandbox: told Failed, and given a new sandbox",
        "what was told is over is over: the worker ends with it",
    ),
}  # fmt: skip
"""Must be lived without a complaint."""


def scenarios(name: str) -> list[Scenario]:
    (faults,) = documents(FOLDER / f"{name}.faults.yaml")
    manifests = list(documents(FOLDER / f"{name}.pod.yaml"))
    found = CURED[name]
    return [Scenario(manifests, faults["faults"], seed) for seed in range(found.dice)]
