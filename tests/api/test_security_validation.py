"""Security contexts, names, ports and addresses that are refused: the field, and the words."""

from typing import Any

import pytest
from lightkube.models import core_v1, node_v1
from tests.api.support import Causes, causes, made, pod, update_causes

from podward.api.validation.security import SIGNALS

ID = "must be between 0 and 2147483647, inclusive"
IP = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
PROFILES = 'supported values: "Localhost", "RuntimeDefault", "Unconfined"'
SYSCTL = (
    r"must have at most 253 characters and match regex ^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\./])*"
    "[a-z0-9]([-_a-z0-9]*[a-z0-9])?$"
)


def of_pod(context: dict[str, Any], **spec: Any) -> Causes:
    root = "spec.securityContext."
    found = causes(pod(securityContext=context, **spec))
    return [(path.removeprefix(root), message) for path, message in found]


def of_container(context: dict[str, Any], **spec: Any) -> Causes:
    root = "spec.containers[0].securityContext"
    found = causes(pod({"securityContext": context}, **spec))
    return [(path.removeprefix(root).lstrip("."), message) for path, message in found]


def sysctls(*names: str) -> dict[str, Any]:
    return {"sysctls": [{"name": name, "value": "1"} for name in names]}


@pytest.mark.parametrize(
    ("context", "expected"),
    [
        ({"runAsUser": 0, "runAsGroup": 2**31 - 1, "fsGroup": 5}, []),
        ({"runAsUser": -1}, [("runAsUser", f"Invalid value: -1: {ID}")]),
        ({"runAsGroup": 2**31}, [("runAsGroup", f"Invalid value: 2147483648: {ID}")]),
        (
            {"runAsUser": -1, "fsGroup": -2, "supplementalGroups": [1, -3]},
            [
                ("fsGroup", f"Invalid value: -2: {ID}"),
                ("runAsUser", f"Invalid value: -1: {ID}"),
                ("supplementalGroups[1]", f"Invalid value: -3: {ID}"),
            ],
        ),
        (
            {"fsGroupChangePolicy": "Never"},
            [
                (
                    "fsGroupChangePolicy",
                    'Unsupported value: "Never": supported values: "Always", "OnRootMismatch"',
                )
            ],
        ),
        (
            {"supplementalGroupsPolicy": "Some"},
            [
                (
                    "supplementalGroupsPolicy",
                    'Unsupported value: "Some": supported values: "Merge", "Strict"',
                )
            ],
        ),
        (sysctls("net.ipv4.tcp_syncookies", "net/ipv4/ip_forward", "kernel.shm-x_y"), []),
        (sysctls(""), [("sysctls[0].name", "Required value")]),
        (sysctls("Net.core"), [("sysctls[0].name", f'Invalid value: "Net.core": {SYSCTL}')]),
        (sysctls("a..b"), [("sysctls[0].name", f'Invalid value: "a..b": {SYSCTL}')]),
        (sysctls("a" * 254), [("sysctls[0].name", f'Invalid value: "{"a" * 254}": {SYSCTL}')]),
        (sysctls("a.b", "a.b"), [("sysctls[1].name", 'Duplicate value: "a.b"')]),
        (
            {"seccompProfile": {"type": "Mine"}},
            [("seccompProfile.type", f'Unsupported value: "Mine": {PROFILES}')],
        ),
        (
            {"seccompProfile": {"type": ""}},
            [
                (
                    "seccompProfile.type",
                    "Required value: type is required when seccompProfile is set",
                )
            ],
        ),
        (
            {"seccompProfile": {"type": "Localhost"}},
            [
                (
                    "seccompProfile.localhostProfile",
                    "Required value: must be set when seccomp type is Localhost",
                )
            ],
        ),
        (
            {"seccompProfile": {"type": "Localhost", "localhostProfile": "/a/../b"}},
            [
                (
                    "seccompProfile.localhostProfile",
                    'Invalid value: "/a/../b": must be a relative path',
                ),
                (
                    "seccompProfile.localhostProfile",
                    "Invalid value: \"/a/../b\": must not contain '..'",
                ),
            ],
        ),
        (
            {"seccompProfile": {"type": "Unconfined", "localhostProfile": "a"}},
            [
                (
                    "seccompProfile.localhostProfile",
                    'Invalid value: {"Type":"Unconfined","LocalhostProfile":"a"}: can only be set when '
                    "seccomp type is Localhost",
                )
            ],
        ),
        (
            {"appArmorProfile": {"type": "Localhost", "localhostProfile": " a"}},
            [
                (
                    "appArmorProfile.localhostProfile",
                    'Invalid value: " a": must not be padded with whitespace',
                )
            ],
        ),
        (
            {"appArmorProfile": {"type": "Localhost"}},
            [
                (
                    "appArmorProfile.localhostProfile",
                    "Required value: must be set when AppArmor type is Localhost",
                )
            ],
        ),
        (
            {"appArmorProfile": {"type": "RuntimeDefault", "localhostProfile": "a"}},
            [
                (
                    "appArmorProfile.localhostProfile",
                    'Invalid value: "a": can only be set when AppArmor type is Localhost',
                )
            ],
        ),
        (
            {"appArmorProfile": {"type": "Localhost", "localhostProfile": "a" * 4096}},
            [
                (
                    "appArmorProfile.localhostProfile",
                    "Too long: may not be more than 4095 bytes",
                )
            ],
        ),
    ],
)
def test_of_a_pod(context: dict[str, Any], expected: Causes) -> None:
    assert of_pod(context) == expected


@pytest.mark.parametrize(
    ("name", "spec", "shared"),
    [
        ("net.ipv4.ip_forward", {"hostNetwork": True}, "hostNetwork"),
        ("net/ipv4/ip_forward", {"hostNetwork": True}, "hostNetwork"),
        ("kernel.shmmax", {"hostNetwork": True}, ""),
        ("kernel.shmmax", {"hostIPC": True}, "hostIPC"),
        ("kernel.sem", {"hostIPC": True}, "hostIPC"),
        ("fs.mqueue.msg_max", {"hostIPC": True}, "hostIPC"),
        ("net.ipv4.ip_forward", {"hostIPC": True}, ""),
    ],
)
def test_sysctls_of_namespaces_that_are_the_nodes(
    name: str, spec: dict[str, Any], shared: str
) -> None:
    text = f"Invalid value: \"{name}\": may not be specified when '{shared}' is true"
    assert of_pod(sysctls(name), **spec) == ([("sysctls[0].name", text)] if shared else [])


def test_processes_are_shared_in_the_pod_or_with_the_node() -> None:
    text = "Invalid value: true: ShareProcessNamespace and HostPID cannot both be enabled"
    assert of_pod({}, shareProcessNamespace=True, hostPID=True) == [("shareProcessNamespace", text)]
    assert of_pod({}, shareProcessNamespace=False, hostPID=True) == []


CONTEXT = (
    'Invalid value: {"Capabilities":%s,"Privileged":%s,"SELinuxOptions":null,"WindowsOptions":null,'
    '"RunAsUser":null,"RunAsGroup":null,"RunAsNonRoot":null,"ReadOnlyRootFilesystem":null,'
    '"AllowPrivilegeEscalation":false,"ProcMount":null,"SeccompProfile":null,"AppArmorProfile":null}: '
    "cannot set `allowPrivilegeEscalation` to false and %s"
)


@pytest.mark.parametrize(
    ("context", "expected"),
    [
        ({"runAsUser": -1}, [("runAsUser", f"Invalid value: -1: {ID}")]),
        ({"privileged": True, "allowPrivilegeEscalation": True}, []),
        (
            {"privileged": True, "allowPrivilegeEscalation": False},
            [("", CONTEXT % ("null", "true", "`privileged` to true"))],
        ),
        (
            {"capabilities": {"add": ["CAP_SYS_ADMIN"]}, "allowPrivilegeEscalation": False},
            [
                (
                    "",
                    CONTEXT
                    % (
                        '{"Add":["CAP_SYS_ADMIN"],"Drop":null}',
                        "null",
                        "`capabilities.Add` CAP_SYS_ADMIN",
                    ),
                )
            ],
        ),
        (
            {"procMount": "Half"},
            [("procMount", 'Unsupported value: "Half": supported values: "Default", "Unmasked"')],
        ),
        (
            {"procMount": "Unmasked"},
            [
                (
                    "procMount",
                    'Invalid value: "Unmasked": `hostUsers` must be false to use `Unmasked`',
                )
            ],
        ),
        (
            {"seccompProfile": {"type": "Mine"}},
            [("seccompProfile.type", f'Unsupported value: "Mine": {PROFILES}')],
        ),
        (
            {"appArmorProfile": {"type": ""}},
            [
                (
                    "appArmorProfile.type",
                    "Required value: type is required when appArmorProfile is set",
                )
            ],
        ),
    ],
)
def test_of_a_container(context: dict[str, Any], expected: Causes) -> None:
    assert of_container(context) == expected


def test_an_unmasked_proc_needs_users_of_its_own() -> None:
    assert of_container({"procMount": "Unmasked"}, hostUsers=False) == []


# ---- names, ports, addresses


def port(number: int, **fields: Any) -> dict[str, Any]:
    return {"ports": [{"containerPort": number, **fields}]}


def test_a_port_of_the_node_is_one_containers() -> None:
    found = causes(pod(port(80, hostPort=8080), port(81, hostPort=8080)))
    assert found == [("spec.containers[1].ports[0].hostPort", 'Duplicate value: "TCP//8080"')]
    udp = port(81, hostPort=8080, protocol="UDP")
    local = port(82, hostPort=8080, hostIP="127.0.0.1")
    assert causes(pod(port(80, hostPort=8080), udp, local)) == []
    init = {"name": "i", "image": "x", **port(80, hostPort=8080)}
    assert causes(pod(port(80, hostPort=8080), initContainers=[init])) == []
    init["ports"] = [init["ports"][0], init["ports"][0]]
    assert causes(pod(initContainers=[init])) == [
        ("spec.initContainers[0].ports[1].hostPort", 'Duplicate value: "TCP//8080"')
    ]


def test_in_the_nodes_network_a_containers_port_is_the_nodes() -> None:
    assert causes(pod(port(80), hostNetwork=True)) == []
    assert causes(pod(port(80, hostPort=8080), hostNetwork=True)) == [
        (
            "spec.containers[0].ports[0].hostPort",
            "Invalid value: 8080: must match `containerPort` when `hostNetwork` is true",
        )
    ]


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"dnsConfig": {"nameservers": ["1.1.1.1", "2.2.2.2", "::1"]}}, []),
        (
            {"dnsPolicy": "None"},
            [
                (
                    "dnsConfig",
                    "Required value: must provide `dnsConfig` when `dnsPolicy` is None",
                )
            ],
        ),
        (
            {"dnsPolicy": "None", "dnsConfig": {}},
            [
                (
                    "dnsConfig.nameservers",
                    "Required value: must provide at least one DNS nameserver when `dnsPolicy` is None",
                )
            ],
        ),
        (
            {"dnsConfig": {"nameservers": ["1.1.1.1", "2.2.2.2", "3.3.3.3", "four"]}},
            [
                (
                    "dnsConfig.nameservers",
                    'Invalid value: ["1.1.1.1","2.2.2.2","3.3.3.3","four"]: must not have more than 3 '
                    "nameservers",
                ),
                ("dnsConfig.nameservers[3]", f'Invalid value: "four": {IP}'),
            ],
        ),
        ({"dnsConfig": {"searches": [".", "a.example.", "under_score.example"]}}, []),
        (
            {"dnsConfig": {"options": [{"name": "ndots"}, {"value": "1"}]}},
            [("dnsConfig.options[1]", "Required value: must not be empty")],
        ),
        (
            {"hostAliases": [{"ip": "1.2.3.4", "hostnames": ["ok.local"]}, {"ip": "1.2.3"}]},
            [("hostAliases[1].ip", f'Invalid value: "1.2.3": {IP}')],
        ),
        ({"os": {"name": ""}}, [("os.name", "Required value: cannot be empty")]),
        (
            {"os": {"name": "plan9"}},
            [("os.name", 'Unsupported value: "plan9": supported values: "linux", "windows"')],
        ),
    ],
)
def test_names_and_addresses(spec: dict[str, Any], expected: Causes) -> None:
    found = [(path.removeprefix("spec."), message) for path, message in causes(pod(**spec))]
    assert found == expected


def test_too_many_search_paths_and_too_long() -> None:
    many = [f"s{number}" for number in range(33)]
    [(path, message)] = causes(pod(dnsConfig={"searches": many}))
    assert path == "spec.dnsConfig.searches"
    assert message.endswith("must not have more than 32 search paths")
    long = [f"{'a' * 60}.{'b' * 60}.{number}" for number in range(17)]
    [(path, message)] = causes(pod(dnsConfig={"searches": long}))
    assert path == "spec.dnsConfig.searches"
    assert message.endswith(
        "must not have more than 2048 characters (including spaces) in the search list"
    )


@pytest.mark.parametrize(
    ("field", "value"), [("hostname", "A"), ("subdomain", "a.b"), ("runtimeClassName", "A")]
)
def test_names_that_are_none(field: str, value: str) -> None:
    [(path, message)] = causes(pod(**{field: value}))
    assert path == f"spec.{field}"
    assert message.startswith(f'Invalid value: "{value}": a lowercase RFC 1123 ')


def test_names_of_aliases() -> None:
    [(path, _)] = causes(pod(hostAliases=[{"ip": "::1", "hostnames": ["a", "B"]}]))
    assert path == "spec.hostAliases[0].hostnames[1]"


# ---- stop signals


def stop(signal: str, **spec: Any) -> Causes:
    return causes(pod({"lifecycle": {"stopSignal": signal}}, **spec))


def test_a_stop_signal_needs_a_system_to_be_one_of() -> None:
    where = "spec.containers[0].lifecycle.stopSignal"
    assert stop("SIGUSR1", os={"name": "linux"}) == []
    assert stop("SIGRTMIN+3", os={"name": "linux"}) == []
    assert stop("SIGUSR1") == [
        (where, "Forbidden: may not be set for containers with empty `spec.os.name`")
    ]
    [(path, message)] = stop("USR1", os={"name": "linux"})
    assert path == where
    assert message.startswith('Unsupported value: "USR1": supported values: "SIGABRT", "SIGALRM"')
    assert stop("SIGUSR1", os={"name": "windows"}) == [
        (where, 'Unsupported value: "SIGUSR1": supported values: "SIGKILL", "SIGTERM"')
    ]
    assert len(SIGNALS) == 65


# ---- templates and runtime classes


def test_a_template_is_looked_at_as_the_pods_it_makes() -> None:
    def template(**spec: Any) -> core_v1.PodTemplate:
        whole = {"containers": [{"name": "a", "image": "x"}], **spec}
        found = made(core_v1.PodTemplate, {"template": {"metadata": {}, "spec": whole}})
        assert isinstance(found, core_v1.PodTemplate)
        return found

    assert causes(template()) == []
    assert causes(template(restartPolicy="x"))[0][0] == "template.spec.restartPolicy"
    debugger = {"name": "d", "image": "x"}
    assert causes(template(ephemeralContainers=[debugger])) == [
        (
            "template.spec.ephemeralContainers",
            "Forbidden: ephemeral containers not allowed in pod template",
        )
    ]
    assert causes(made(core_v1.PodTemplate, {})) == [("template.spec.containers", "Required value")]
    assert update_causes(template(dnsPolicy="None"), template())[0][0] == "template.spec.dnsConfig"
    [(path, _)] = causes(
        made(
            core_v1.PodTemplate,
            {
                "template": {
                    "metadata": {"labels": {"a b": "c"}},
                    "spec": {"containers": [{"name": "a", "image": "x"}]},
                }
            },
        )
    )
    assert path == "template.labels"


def test_a_runtime_class_has_a_handler_for_good() -> None:
    def named(handler: str, **fields: Any) -> node_v1.RuntimeClass:
        found = made(node_v1.RuntimeClass, {"handler": handler, **fields})
        assert isinstance(found, node_v1.RuntimeClass)
        return found

    assert causes(named("kata", overhead={"podFixed": {"cpu": "1"}})) == []
    assert causes(named("Kata"))[0][0] == "handler"
    assert causes(named("kata", overhead={"podFixed": {"cpu": "-1"}})) == [
        ("overhead.limits[cpu]", 'Invalid value: "-1": must be greater than or equal to 0')
    ]
    toleration = {"key": "a", "operator": "Exists"}
    [(path, message)] = causes(named("kata", scheduling={"tolerations": [toleration, toleration]}))
    assert path == "scheduling.tolerations[1]"
    assert message.startswith("Duplicate value: ")
    assert causes(named("kata", scheduling={"nodeSelector": {"a b": "c"}}))
    assert update_causes(named("runc"), named("kata")) == [
        ("handler", 'Invalid value: "runc": field is immutable')
    ]
    assert update_causes(named("kata"), named("kata")) == []
