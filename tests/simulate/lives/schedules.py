"""Trouble by dice, in the words of `podward simulate --faults`: a life that failed can be handed to anybody."""

from typing import Any

from tests.simulate.lives.draws import Draws
from tests.simulate.lives.manifests import Manifest

TROUBLE_SECONDS = 80
"""After that everything is calm."""


def faults(draws: Draws, pods: list[Manifest]) -> list[dict[str, Any]]:
    return [_fault(draws, pods) for _ in range(draws.whole(1, 6))]


def _fault(draws: Draws, pods: list[Manifest]) -> dict[str, Any]:
    at = round(draws.whole(0, 10 * TROUBLE_SECONDS) / 10, 1)
    pod = draws.one_of(pods)
    name = pod["metadata"]["name"]
    container = draws.one_of(pod["spec"]["containers"] + pod["spec"].get("initContainers", []))
    match draws.one_of(
        ("podward", "podward", "podward", "runtime", "runtime", "api", "api", "store", "kill",
         "oom", "delete", "delete", "clock", "lose_sandbox")
    ):  # fmt: skip
        case "podward":
            down = min(draws.one_of((0, 1, 5, 20)), TROUBLE_SECONDS - int(at))
            return {"at": at, "steps": draws.whole(0, 400), "kill": "podward", "for": down}
        case "delete":
            grace = draws.one_of(({}, {}, {"grace": 0}, {"grace": 1}, {"grace": 4}))
            return {"at": at, "delete": name, **grace}
        case "clock":
            return {"at": at, "clock": draws.one_of(("+2s", "-2s", "+61m", "-1m"))}
        case "lose_sandbox":
            return {"at": at, "lose_sandbox": name}
        case "kill" | "oom" as verb:
            return {"at": at, verb: f"{name}/{container['name']}"}
        case edge:
            until = min(at + draws.one_of((1, 5, 20, 60)), TROUBLE_SECONDS + 1)
            return {"from": at, "to": until, edge: _rates(draws, edge)}


def _rates(draws: Draws, edge: str) -> Any:
    if edge == "api" and draws.happens(40):
        return "unavailable"
    often = (0, 3, 10, 40)
    return {name: draws.one_of(often) for name in ("errors", "lost", "slow")}
