"""The checks: one row each, and what the facts mean. Pure.

An error is what keeps a runtime from running Pods as it should; a warning is what it can live with. Each says
what mends it, where something does.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from podward.doctor.facts import Engine, EngineConfig, Facts, Machine, NoEngine

_GIB = 1024**3
_NETWORK = (
    '{"cniVersion": "0.4.0", "name": "pods", "plugins": [{"type": "bridge", "bridge": "cni0", '
    '"isGateway": true, "ipMasq": true, "hairpinMode": true, "ipam": {"type": "host-local", '
    '"ranges": [[{"subnet": "10.88.0.0/16"}]], "routes": [{"dst": "0.0.0.0/0"}]}}, '
    '{"type": "portmap", "capabilities": {"portMappings": true}}]}'
)
_PLUGIN_PACKAGE = "apt-get install containernetworking-plugins"


class Severity(StrEnum):
    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


class About(StrEnum):
    """Whom a check concerns."""

    MACHINE = "machine"
    """Every runtime."""
    PROCESS = "process"
    CRI = "cri"


@dataclass(frozen=True, slots=True)
class Finding:
    severity: Severity
    text: str
    mend: str = ""


def ok(text: str) -> Finding:
    return Finding(Severity.OK, text)


def warning(text: str, mend: str = "") -> Finding:
    return Finding(Severity.WARNING, text, mend)


def error(text: str, mend: str = "") -> Finding:
    return Finding(Severity.ERROR, text, mend)


@dataclass(frozen=True, slots=True)
class Check:
    name: str
    about: About
    judge: Callable[[Facts], Finding | None]
    """None: it does not apply."""


# ---- the machine


def python(facts: Facts) -> Finding:
    machine = facts.machine
    absent = [name for name, version in machine.libraries.items() if not version]
    if absent:
        return error(f"missing: {', '.join(absent)}", f"pip install {' '.join(absent)}")
    listed = ", ".join(f"{name} {version}" for name, version in machine.libraries.items())
    return ok(f"{machine.python}; {listed}")


def data_dir(facts: Facts) -> Finding:
    machine = facts.machine
    if machine.data_dir_failure:
        return error(
            f"{machine.data_dir} cannot be used: {machine.data_dir_failure}",
            "podward up --data-dir FOLDER, in a folder that is yours",
        )
    return _room(machine.data_dir, machine.disk_free_bytes, machine.disk_bytes)


def _room(folder: str, free: int, size: int) -> Finding:
    text = f"{folder}: {free / _GIB:.1f} of {size / _GIB:.1f} GiB are free"
    if free < _GIB // 16:
        return error(text, f"make room below {folder}")
    if free < size // 10:
        return warning(text, f"make room below {folder}")
    return ok(text)


def port(facts: Facts) -> Finding:
    machine = facts.machine
    if machine.listen_failure:
        return warning(
            f"{machine.listen} cannot be listened at: {machine.listen_failure}",
            "podward up --listen 127.0.0.1:PORT, unless it is a podward that listens there",
        )
    return ok(f"{machine.listen} is free")


def clock(facts: Facts) -> Finding:
    if facts.machine.year < 2024:
        return error(
            f"it is the year {facts.machine.year} here: no certificate will be valid",
            "timedatectl set-ntp true",
        )
    if facts.machine.clock_in_step is False:
        return warning(
            "nothing keeps the clock right: times in statuses and events may jump",
            "timedatectl set-ntp true",
        )
    return ok("right, as far as the kernel knows")


# ---- the process runtime


def bubblewrap(facts: Facts) -> Finding:
    tool = facts.machine.bubblewrap
    without = "containers are plain processes, with nothing of their own"
    if not tool.path:
        return warning(f"not installed: {without}", "apt-get install bubblewrap")
    if tool.failure:
        return warning(
            f"{tool.version} does not work ({tool.failure}): {without}", _let_bubblewrap(facts)
        )
    how = "as root" if facts.machine.as_root else "in user namespaces"
    return ok(f"{tool.version} works {how}")


def _let_bubblewrap(facts: Facts) -> str:
    if facts.machine.as_root:
        return "run podward where namespaces may be made (a container needs --privileged)"
    for name, closed, opened in (
        ("user.max_user_namespaces", "0", "15000"),
        ("kernel.unprivileged_userns_clone", "0", "1"),
        ("kernel.apparmor_restrict_unprivileged_userns", "1", "0"),
    ):
        if facts.machine.user_namespaces.get(name) == closed:
            return f"as root: sysctl -w {name}={opened}"
    return "run podward as root"


def entering(facts: Facts) -> Finding:
    tools = {"nsenter": facts.machine.nsenter, "setpriv": facts.machine.setpriv}
    absent = [name for name, tool in tools.items() if not tool.path]
    if absent:
        return warning(
            f"not installed: {', '.join(absent)}; kubectl exec and exec probes may not enter containers",
            "apt-get install util-linux",
        )
    return ok("nsenter and setpriv are here")


def memory_limits(facts: Facts) -> Finding:
    groups = facts.machine.cgroups
    if "memory" in groups.writable:
        return ok(f"kept by cgroup {groups.version}")
    text = "not kept: a container may take all memory"
    if "memory" not in groups.controllers:
        return warning(f"{text} (this kernel has no memory controller)")
    return warning(text, "" if facts.machine.as_root else "run podward as root")


# ---- the engine


def engine(facts: Facts) -> Finding | None:
    match facts.engine:
        case NoEngine(message, mend):
            return error(message, mend)
        case Engine(socket, name, version):
            return ok(f"{name} {version} at {socket} speaks runtime.v1")
    return None


def _about_engine(judge: Callable[[Machine, Engine], Finding | None]) -> "_Judge":
    def judged(facts: Facts) -> Finding | None:
        return judge(facts.machine, facts.engine) if isinstance(facts.engine, Engine) else None

    return judged


def _about_config(judge: Callable[[Machine, Engine, EngineConfig], Finding | None]) -> "_Judge":
    def judged(machine: Machine, engine: Engine) -> Finding | None:
        return judge(machine, engine, engine.config) if engine.config is not None else None

    return _about_engine(judged)


_Judge = Callable[[Facts], Finding | None]


def runtime_ready(_: Machine, engine: Engine) -> Finding:
    condition = engine.conditions.get("RuntimeReady")
    if condition is None or not condition.status:
        why = f"{condition.reason}: {condition.message}" if condition else "it does not say why"
        return error(f"the engine is not ready ({why})", "journalctl -u containerd -n 50")
    return ok("the engine says it is ready")


def network_ready(_: Machine, engine: Engine) -> Finding:
    condition = engine.conditions.get("NetworkReady")
    if condition is not None and condition.status:
        name = engine.config.network.name if engine.config else ""
        return ok(f"the engine's network is ready{f' ({name})' if name else ''}")
    why = f"{condition.reason}: {condition.message}" if condition else "it does not say why"
    folder = (engine.config.network.config_dir if engine.config else "") or "/etc/cni/net.d"
    mend = f"mkdir -p {folder} && echo '{_NETWORK}' > {folder}/10-pods.conflist"
    if engine.config is not None and engine.config.network.config_files:
        mend = f"mend or remove {engine.config.network.config_files[0]}"
    return error(f"Pods get no network ({why})", mend)


def network_plugins(_: Machine, __: Engine, config: EngineConfig) -> Finding:
    network = config.network
    where = ", ".join(network.bin_dirs) or "nowhere"
    if not network.missing_plugins:
        return ok(f"what the network needs is in {where}")
    text = f"not in {where}: {', '.join(network.missing_plugins)}"
    if network.plugins_elsewhere:
        return error(
            f"{text}, but in {network.plugins_elsewhere}",
            f'in the engine\'s configuration, below cni: bin_dir = "{network.plugins_elsewhere}"',
        )
    return error(text, _PLUGIN_PACKAGE)


def sandbox_image(_: Machine, engine: Engine, config: EngineConfig) -> Finding | None:
    name = config.sandbox_image
    if not name or engine.sandbox_image_here is None:
        return None
    if engine.sandbox_image_here:
        return ok(f"{name} is here")
    ctr = f"ctr --address {engine.socket} --namespace k8s.io images"
    return warning(
        f"{name} is not here: the first Pod waits until the engine has pulled it, or never starts",
        f"{ctr} pull {name} (without its registry: {ctr} import ARCHIVE)",
    )


def engine_disk(_: Machine, engine: Engine, config: EngineConfig) -> Finding | None:
    if not engine.disk_bytes:
        return None
    return _room(config.root, engine.disk_free_bytes, engine.disk_bytes)


def oom_scores(_: Machine, engine: Engine, config: EngineConfig) -> Finding | None:
    if config.restricts_oom_score:
        return ok("the engine lowers none below its own (restrict_oom_score_adj)")
    if engine.lowers_oom_scores is None:
        return None
    if engine.lowers_oom_scores:
        return ok("the engine may lower them")
    return error(
        "the engine lacks CAP_SYS_RESOURCE and will try to lower oom_score_adj: no sandbox will start",
        f'in /etc/containerd/config.toml, below [plugins."{_plugin(engine, "runtime")}"]: '
        "restrict_oom_score_adj = true; then restart containerd",
    )


def cgroup_driver(machine: Machine, _: Engine, config: EngineConfig) -> Finding:
    under_systemd = machine.init == "systemd"
    if config.systemd_cgroups and not under_systemd:
        return error(
            f"the engine asks systemd for cgroups, but process 1 is {machine.init or 'unknown'}",
            "in the engine's configuration, in the options of runc: SystemdCgroup = false",
        )
    if under_systemd and not config.systemd_cgroups:
        return warning(
            "the engine makes cgroups beside systemd, which thinks they are its own",
            "in the engine's configuration, in the options of runc: SystemdCgroup = true",
        )
    return ok(f"{'systemd' if under_systemd else 'cgroupfs'}, as the machine has it")


def cgroups(facts: Facts) -> Finding | None:
    if not isinstance(facts.engine, Engine):
        return None
    groups = facts.machine.cgroups
    absent = sorted({"cpu", "memory", "pids"} - groups.controllers)
    if absent:
        return warning(
            f"{groups.version}, without {', '.join(absent)}: limits of it cannot be kept",
            f"on the kernel's command line: cgroup_enable={','.join(absent)}",
        )
    return ok(f"{groups.version}, with cpu, memory and pids")


def _plugin(engine: Engine, part: str) -> str:
    """containerd's own name for its CRI; version 2 has divided it."""
    return (
        f"io.containerd.cri.v1.{part}"
        if engine.version[:2] == "2."
        else "io.containerd.grpc.v1.cri"
    )


def snapshots(machine: Machine, engine: Engine, config: EngineConfig) -> Finding | None:
    if not config.snapshotter:
        return None
    if config.snapshotter == "native":
        return warning(
            "native: every container has a copy of its whole image",
            f'in /etc/containerd/config.toml, below [plugins."{_plugin(engine, "images")}"'
            f'{"" if engine.version[:2] == "2." else ".containerd"}]: snapshotter = "overlayfs"',
        )
    if config.snapshotter == "overlayfs" and not machine.overlay:
        return error("overlayfs, which this kernel does not have", "modprobe overlay")
    return ok(config.snapshotter)


def seccomp(machine: Machine, _: Engine) -> Finding:
    if not machine.seccomp:
        return warning("this kernel has no seccomp: Pods that name a profile do not start")
    apparmor = "AppArmor too" if machine.apparmor else "no AppArmor: its profiles are refused"
    return ok(f"the kernel has it; {apparmor}")


def forwarding(machine: Machine, _: Engine) -> Finding | None:
    if machine.ip_forward is False:
        return warning(
            "the kernel forwards nothing: Pods reach this machine only",
            "sysctl -w net.ipv4.ip_forward=1",
        )
    if machine.bridge_filter is None:
        return warning(
            "iptables does not see what passes a bridge: hostPorts may fail between Pods",
            "modprobe br_netfilter",
        )
    if not machine.bridge_filter:
        return warning(
            "iptables does not see what passes a bridge: hostPorts may fail between Pods",
            "sysctl -w net.bridge.bridge-nf-call-iptables=1",
        )
    return ok("the kernel forwards, and iptables sees what passes a bridge")


def strangers(machine: Machine, engine: Engine) -> Finding:
    own = "or give podward an engine of its own"
    if machine.kubelets:
        pids = ", ".join(map(str, machine.kubelets))
        return warning(
            f"a kubelet runs here (pid {pids}): on the same engine it removes our Pods as orphans",
            f"systemctl disable --now kubelet, {own}",
        )
    if engine.strangers:
        shown = ", ".join(engine.strangers[:3]) + (", ..." if len(engine.strangers) > 3 else "")
        return warning(
            f"{len(engine.strangers)} Pods on this engine are nobody's of ours ({shown}): "
            "a kubelet that comes back for them removes ours as orphans",
            f"see that no kubelet uses it (systemctl status kubelet), {own}",
        )
    return ok("no kubelet, and no Pods that are not ours")


def trial(facts: Facts) -> Finding | None:
    if facts.trial is None:
        return None
    times = ", ".join(f"{name} {seconds:.3f} s" for name, seconds in facts.trial.steps)
    if facts.trial.failed:
        before = f" (before: {times})" if times else ""
        return error(f"{facts.trial.failed} does not work: {facts.trial.failure}{before}")
    return ok(times)


CHECKS = (
    Check("python", About.MACHINE, python),
    Check("data directory", About.MACHINE, data_dir),
    Check("port", About.MACHINE, port),
    Check("clock", About.MACHINE, clock),
    Check("bubblewrap", About.PROCESS, bubblewrap),
    Check("entering", About.PROCESS, entering),
    Check("memory limits", About.PROCESS, memory_limits),
    Check("engine", About.CRI, engine),
    Check("runtime", About.CRI, _about_engine(runtime_ready)),
    Check("network", About.CRI, _about_engine(network_ready)),
    Check("CNI plugins", About.CRI, _about_config(network_plugins)),
    Check("sandbox image", About.CRI, _about_config(sandbox_image)),
    Check("engine disk", About.CRI, _about_config(engine_disk)),
    Check("OOM scores", About.CRI, _about_config(oom_scores)),
    Check("cgroups", About.CRI, cgroups),
    Check("cgroup driver", About.CRI, _about_config(cgroup_driver)),
    Check("snapshots", About.CRI, _about_config(snapshots)),
    Check("seccomp", About.CRI, _about_engine(seccomp)),
    Check("forwarding", About.CRI, _about_engine(forwarding)),
    Check("strangers", About.CRI, _about_engine(strangers)),
    Check("trial", About.CRI, trial),
)
"""In the order in which they are told."""

RUNTIMES = (About.PROCESS, About.CRI)


@dataclass(frozen=True, slots=True)
class Verdict:
    check: str
    about: About
    finding: Finding


def judge(facts: Facts, asked: About | None) -> list[Verdict]:
    """`asked`: the one runtime that matters, None for all."""
    out = []
    for check in CHECKS:
        if asked is None or check.about in (About.MACHINE, asked):
            finding = check.judge(facts)
            if finding is not None:
                out.append(Verdict(check.name, check.about, finding))
    return out


def works(verdicts: list[Verdict], runtime: About) -> bool:
    """Nothing that it needs is broken."""
    return not any(
        verdict.finding.severity is Severity.ERROR
        for verdict in verdicts
        if verdict.about in (About.MACHINE, runtime)
    )
