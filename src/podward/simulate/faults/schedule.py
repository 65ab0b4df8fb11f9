"""What shall go wrong and when: a file that people write, and the same as plain records. Pure.

faults:
- {at: 60s, kill: podward, for: 20s}      # as by kill -9; back 20 s later, containers live on
- {at: 60s, steps: 17, kill: podward}     # 17 steps of the program later: between any two awaits
- {at: 90s, kill: web/app}                # kill -9 of a container's process: exit code 137
- {at: 2m, oom: web/app}                  # OOMKilled
- {at: 3m, lose_sandbox: web}             # the Pod's sandbox dies, with all that runs in it
- {at: 4m, delete: web, grace: 5s}        # kubectl delete pod; without `grace`, the Pod's own; 0s: by force
- {at: 100s, clock: +1h}                  # the wall clock jumps
- {from: 2m, to: 3m, api: unavailable}    # nobody reaches the API server, watches break off
- {from: 2m, to: 3m, runtime: {errors: 10%, lost: 5%, slow: 20%, up_to: 5s}}    # also api, store

Times count from the moment at which the manifests were applied. `errors`: nothing was done. `lost`: done, but
the answer never comes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from podward.simulate.faults.trouble import EdgeName, Rates
from podward.simulate.reading import DescriptionError, documents, fields, only_field, seconds


@dataclass(frozen=True, slots=True)
class KillPodward:
    at: float
    down: float
    """Seconds until it is started again."""
    steps: int = 0
    """Steps of the event loop between `at` and the death."""


@dataclass(frozen=True, slots=True)
class KillContainer:
    at: float
    pod: str
    container: str
    out_of_memory: bool = False


@dataclass(frozen=True, slots=True)
class LoseSandbox:
    at: float
    pod: str


@dataclass(frozen=True, slots=True)
class DeletePod:
    at: float
    pod: str
    grace: int | None


@dataclass(frozen=True, slots=True)
class JumpClock:
    at: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Disturb:
    """The calls over one edge go wrong for a while."""

    at: float
    until: float
    edge: EdgeName
    rates: Rates


Fault = KillPodward | KillContainer | LoseSandbox | DeletePod | JumpClock | Disturb


def load(paths: Sequence[Path]) -> list[Fault]:
    """`DescriptionError`, with the path of the mistake."""
    return [
        fault
        for path in paths
        for document in documents(path)
        for fault in read(document, str(path))
    ]


def read(document: Any, where: str) -> list[Fault]:
    listed = only_field(document, "faults", where)
    if not isinstance(listed, list):
        raise DescriptionError(f"{where}: faults: expected a list")
    return [_fault(one, f"{where}: faults[{i}]") for i, one in enumerate(listed)]


def _fault(value: Any, where: str) -> Fault:
    if not isinstance(value, dict):
        raise DescriptionError(f"{where}: expected an object")
    named = [name for name in _READERS if name in value]
    if len(named) != 1:
        found = " and ".join(named) if named else "none"
        raise DescriptionError(f"{where}: expected one of {', '.join(_READERS)}; found {found}")
    return _READERS[named[0]](value, named[0], where)


def _kill(value: Any, name: str, where: str) -> Fault:
    if value[name] != "podward":
        fields(value, ("at", name), where)
        return KillContainer(_at(value, where), *_container(value[name], f"{where}.{name}"))
    fields(value, ("at", "steps", name, "for"), where)
    steps = value.get("steps", 0)
    if not isinstance(steps, int) or isinstance(steps, bool) or steps < 0:
        raise DescriptionError(f"{where}.steps: {steps!r} is no number of steps")
    return KillPodward(_at(value, where), seconds(value.get("for", 1), f"{where}.for"), steps)


def _oom(value: Any, name: str, where: str) -> Fault:
    fields(value, ("at", name), where)
    pod, container = _container(value[name], f"{where}.{name}")
    return KillContainer(_at(value, where), pod, container, out_of_memory=True)


def _lose_sandbox(value: Any, name: str, where: str) -> Fault:
    fields(value, ("at", name), where)
    return LoseSandbox(_at(value, where), _pod(value[name], f"{where}.{name}"))


def _delete(value: Any, name: str, where: str) -> Fault:
    fields(value, ("at", name, "grace"), where)
    grace = int(seconds(value["grace"], f"{where}.grace")) if "grace" in value else None
    return DeletePod(_at(value, where), _pod(value[name], f"{where}.{name}"), grace)


def _clock(value: Any, name: str, where: str) -> Fault:
    fields(value, ("at", name), where)
    text = str(value[name])
    if text[:1] not in ("+", "-"):
        raise DescriptionError(f"{where}.{name}: {text!r} is no jump (+1h, -90s)")
    by = seconds(text[1:], f"{where}.{name}")
    return JumpClock(_at(value, where), by if text[0] == "+" else -by)


def _disturb(value: Any, name: Any, where: str) -> Fault:
    fields(value, ("from", "to", name), where)
    begin, end = (_time(value, field, where) for field in ("from", "to"))
    if end <= begin:
        raise DescriptionError(f"{where}.to: must come after `from`")
    return Disturb(begin, end, name, _rates(value[name], f"{where}.{name}"))


_READERS = {
    "kill": _kill, "oom": _oom, "lose_sandbox": _lose_sandbox, "delete": _delete, "clock": _clock,
    "api": _disturb, "runtime": _disturb, "store": _disturb,
}  # fmt: skip
"""Row = kind of fault, under the field that names it."""


def _rates(value: Any, where: str) -> Rates:
    if value == "unavailable":
        return Rates(unavailable=True)
    if not isinstance(value, dict):
        raise DescriptionError(
            f"{where}: expected `unavailable` or {{errors: 10%, lost: 5%, slow: 20%, up_to: 5s}}"
        )
    fields(value, ("errors", "lost", "slow", "up_to"), where)
    return Rates(
        errors=_percent(value.get("errors", 0), f"{where}.errors"),
        lost=_percent(value.get("lost", 0), f"{where}.lost"),
        slow=_percent(value.get("slow", 0), f"{where}.slow"),
        up_to=seconds(value.get("up_to", 5), f"{where}.up_to"),
    )


def _percent(value: Any, where: str) -> float:
    text = str(value).removesuffix("%")
    try:
        percent = float(text)
    except ValueError:
        percent = -1
    if isinstance(value, bool) or not 0 <= percent <= 100:
        raise DescriptionError(f"{where}: {value!r} is no share (10%)")
    return percent


def _at(value: Any, where: str) -> float:
    return _time(value, "at", where)


def _time(value: Any, field: str, where: str) -> float:
    if field not in value:
        raise DescriptionError(f"{where}: {field!r} is missing: when does it happen?")
    return seconds(value[field], f"{where}.{field}")


def _pod(value: Any, where: str) -> str:
    if not isinstance(value, str) or not value or "/" in value:
        raise DescriptionError(f"{where}: {value!r} is no name of a Pod")
    return value


def _container(value: Any, where: str) -> tuple[str, str]:
    pod, slash, container = str(value).partition("/")
    if not slash or not pod or not container or "/" in container:
        raise DescriptionError(f"{where}: {value!r} is no POD/CONTAINER")
    return pod, container
