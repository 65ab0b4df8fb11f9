"""Programs that a simulated container has: row = name and what it does."""

from podward.simulate.commands import conditions, files, filters, network, system, text
from podward.simulate.processes import Program

PROGRAMS: dict[str, Program] = {
    **text.PROGRAMS,
    **filters.PROGRAMS,
    **files.PROGRAMS,
    **system.PROGRAMS,
    **network.PROGRAMS,
    "test": conditions.test,
    "[": conditions.test,
    "[[": conditions.test,
}
