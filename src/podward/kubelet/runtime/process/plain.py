"""A container as a plain session of processes: what is left where bubblewrap cannot work.

A small shell outside supervises it and writes down its exit code in the form that bubblewrap has, so that it is
known whoever is alive. The command leads a session of its own, so its whole group can be signalled.
"""

from collections.abc import Sequence

MISSING = (
    "containers are plain process groups: no private /tmp, no read-only host, no pid namespace, volumes are "
    "not mounted, and whatever a container leaves in the background outlives it"
)

_SUPERVISOR = """
trap : TERM INT HUP
setsid "$@" <&5 3>&- 4>&- 5<&- &
exec 5<&-
child=$!
echo "{ \\"child-pid\\": $child }" >&4
exec 4>&-
code=0
while kill -0 $child 2>/dev/null; do wait $child; code=$?; done
echo "{ \\"exit-code\\": $code }" >&3
"""

# A shell names only single digits, so another one gives our descriptors their numbers first.
_RENUMBER = (
    'exec 5<&0 </dev/null 3>>/proc/self/fd/$1 4>/proc/self/fd/$2; shift 2; exec /bin/sh -c "$@"'
)


def command_line(command: Sequence[str], *, status_fd: int, info_fd: int) -> list[str]:
    """The supervisor writes its status to one descriptor and tells the child's pid on the other."""
    first = ["/bin/sh", "-c", _RENUMBER, "sh", str(status_fd), str(info_fd)]
    return [*first, _SUPERVISOR, "podward-supervisor", *command]
