"""Programs about processes and time."""

import asyncio
import re
import signal

from podward.simulate.processes import Process, Program

_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}


async def for_ever() -> None:
    """Until the process is ended; a timer, so that the loop knows that time may pass."""
    await asyncio.sleep(86400 * 365 * 100)


async def sleep(process: Process) -> int:
    total = 0.0
    for word in process.argv[1:]:
        if word in ("infinity", "inf"):
            await for_ever()
        match = re.fullmatch(r"(\d*\.?\d+|\d+\.)([smhd]?)", word)
        if match is None:
            process.stderr.write(f"sleep: invalid number '{word}'\n".encode())
            return 1
        total += float(match[1]) * _UNITS[match[2]]
    if not process.argv[1:]:
        process.stderr.write(b"sleep: missing operand\n")
        return 1
    await asyncio.sleep(total)
    return 0


async def true(process: Process) -> int:
    return 0


async def false(process: Process) -> int:
    return 1


async def kill(process: Process) -> int:
    """Also `killall` and `pkill`, which take names."""
    number, targets = int(signal.SIGTERM), process.argv[1:]
    if targets and targets[0] in ("-s", "-n") and len(targets) > 1:
        targets = [f"-{targets[1]}", *targets[2:]]
    if targets and re.fullmatch(r"-(\d+|[A-Za-z]+\d*)", targets[0]) and len(targets) > 1:
        number = signal_number(targets.pop(0)[1:])
    name = process.argv[0].rpartition("/")[2]
    code = int(not targets)
    for target in targets:
        found = [
            p
            for p in list(process.group.processes.values())
            if p is not process and _meant(p, target, name)
        ]
        for one in found:
            if number:
                one.signal(number)
        if not found:
            why = "no process found" if name == "killall" else "No such process"
            process.stderr.write(f"{name}: {target}: {why}\n".encode())
            code = 1
    return code


def signal_number(word: str) -> int:
    if word.isdigit():
        return int(word)
    return signal.Signals[f"SIG{word.upper().removeprefix('SIG')}"].value


def _meant(process: Process, target: str, command: str) -> bool:
    if command == "kill":
        return str(process.pid) == target
    own = process.argv[0].rpartition("/")[2]
    return own == target if command == "killall" else target in own


async def ps(process: Process) -> int:
    process.stdout.write(b"PID   USER     TIME  COMMAND\n")
    for pid, one in sorted(process.group.processes.items()):
        process.stdout.write(f"{pid:>5} root      0:00 {' '.join(one.argv)}\n".encode())
    return 0


async def pgrep(process: Process) -> int:
    words = [w for w in process.argv[1:] if not w.startswith("-")]
    whole = "-f" in process.argv
    found = [
        pid
        for pid, p in sorted(process.group.processes.items())
        if p is not process
        and words
        and re.search(words[0], " ".join(p.argv) if whole else p.argv[0].rpartition("/")[2])
    ]
    process.stdout.write("".join(f"{pid}\n" for pid in found).encode())
    return int(not found)


async def hostname(process: Process) -> int:
    process.stdout.write(f"{process.group.hostname}\n".encode())
    return 0


async def pwd(process: Process) -> int:
    process.stdout.write(f"{process.cwd}\n".encode())
    return 0


async def print_env(process: Process) -> int:
    names = process.argv[1:]
    for name, value in sorted(process.env.items()):
        if not names:
            process.stdout.write(f"{name}={value}\n".encode())
        elif name in names:
            process.stdout.write(f"{value}\n".encode())
    return int(bool(names) and not all(name in process.env for name in names))


async def identity(process: Process) -> int:
    process.stdout.write(b"uid=0(root) gid=0(root)\n" if process.argv[0] == "id" else b"root\n")
    return 0


PROGRAMS: dict[str, Program] = {
    "sleep": sleep, "true": true, "false": false, "kill": kill, "killall": kill, "pkill": kill, "ps": ps,
    "pgrep": pgrep, "pidof": pgrep, "hostname": hostname, "pwd": pwd, "printenv": print_env,
    "env": print_env, "id": identity, "whoami": identity, "sync": true,
}  # fmt: skip
