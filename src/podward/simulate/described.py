"""A described command as a process: it starts, listens, ends by itself, by SIGTERM or for want of memory."""

import asyncio
import signal

from podward.simulate.answers import Behaviour, Ends, Listens
from podward.simulate.commands.system import for_ever
from podward.simulate.ports import Listener
from podward.simulate.processes import Process, Program
from podward.simulate.serving import server


def program(behaviour: Behaviour) -> Program:
    async def run(process: Process) -> int:
        tasks = [asyncio.ensure_future(_until_term(process, behaviour.term))]
        tasks.append(asyncio.ensure_future(_life(process, behaviour)))
        if behaviour.out_of_memory_after is not None:
            tasks.append(asyncio.ensure_future(_grow(behaviour.out_of_memory_after)))
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            code = next(task for task in tasks if task in done).result()
            if len(tasks) == 3 and tasks[2] in done:
                process.group.out_of_memory = True
            return code
        finally:
            for task in tasks:
                task.cancel()

    return run


async def _life(process: Process, behaviour: Behaviour) -> int:
    await asyncio.sleep(behaviour.starts)
    if behaviour.prints:
        process.stdout.write(f"{behaviour.prints}\n".encode())
    parts = [asyncio.ensure_future(_ports(process, behaviour.listens))]
    parts.append(asyncio.ensure_future(_until_exit(behaviour.exits)))
    try:
        done, _ = await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
        return next(part for part in parts if part in done).result()
    finally:
        for part in parts:
            part.cancel()


async def _until_exit(exits: Ends | None) -> int:
    if exits is None:
        await for_ever()
        return 0
    await asyncio.sleep(exits.after)
    return exits.code


async def _ports(process: Process, listens: tuple[Listens, ...]) -> int:
    """Open and close each port at its time; the exit code if one cannot be had."""
    loop, group = asyncio.get_running_loop(), process.group
    began = loop.time()
    opened: dict[int, Listener] = {}
    try:
        for moment, opens, i in _changes(listens):
            await asyncio.sleep(began + moment - loop.time())
            if opens:
                serve = server(listens[i], lambda: loop.time() - began)
                opened[i] = group.network.listen(
                    group.address, listens[i].port, serve, tls=listens[i].tls
                )
            else:
                group.network.close(opened.pop(i))
        await for_ever()
        return 0
    except OSError as error:
        text = f"{process.argv[0]}: bind {group.address}:{listens[i].port}: {error.strerror}\n"
        process.stderr.write(text.encode())
        return 1
    finally:
        for listener in opened.values():
            group.network.close(listener)


def _changes(listens: tuple[Listens, ...]) -> list[tuple[float, bool, int]]:
    """(moment, whether it opens, which); what closes comes before what opens at the same moment."""
    begins = [(one.begin, True, i) for i, one in enumerate(listens)]
    ends = [(one.end, False, i) for i, one in enumerate(listens) if one.end is not None]
    return sorted(begins + ends)


async def _until_term(process: Process, term: Ends | None) -> int:
    if term is None:
        await for_ever()
    process.handlers[signal.SIGTERM] = "described"
    await process.signalled.wait()
    assert term is not None
    await asyncio.sleep(term.after)
    return term.code


async def _grow(after: float) -> int:
    await asyncio.sleep(after)
    return 128 + signal.SIGKILL
