"""`podward describe` says what kubectl says, byte for byte, whatever a Pod is made of."""

from difflib import unified_diff

import pytest
from tests.e2e.support import Kubectl, Podward, eventually

EVERYTHING = """
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, labels: {a: b}}
data: {colour: blue, text: "one\\ntwo\\n"}
---
apiVersion: v1
kind: Secret
metadata: {name: password}
stringData: {word: hush, other: "12"}
---
apiVersion: v1
kind: Pod
metadata:
  name: everything
  labels: {app: web, tier: front}
  annotations:
    note: "first\\nsecond"
    plain: short
    long: "LONG"
spec:
  terminationGracePeriodSeconds: 0
  nodeSelector: {kubernetes.io/os: linux}
  tolerations:
  - {key: zone, operator: Equal, value: a, effect: NoSchedule}
  - {operator: Exists}
  readinessGates: [{conditionType: example.com/gate}]
  initContainers:
  - {name: first, image: busybox, command: ["true"]}
  containers:
  - name: main
    image: busybox
    command: [sh, -c, "echo a\\nsleep 600"]
    ports: [{containerPort: 80, name: web}, {containerPort: 53, protocol: UDP, hostPort: 0}]
    resources: {limits: {cpu: 500m, memory: 64Mi}, requests: {cpu: 100m}}
    livenessProbe: {exec: {command: [cat, /tmp/a b]}, initialDelaySeconds: 100}
    readinessProbe: {httpGet: {path: "/ok?a=b c", port: web, scheme: HTTPS}, initialDelaySeconds: 100}
    startupProbe: {tcpSocket: {port: 8080}, initialDelaySeconds: 100}
    env:
    - {name: PLAIN, value: x}
    - {name: LINES, value: "one\\ntwo"}
    - {name: POD, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
    - {name: LABEL, valueFrom: {fieldRef: {fieldPath: "metadata.labels['app']"}}}
    - {name: IP, valueFrom: {fieldRef: {fieldPath: status.podIP}}}
    - {name: CPU, valueFrom: {resourceFieldRef: {resource: limits.cpu}}}
    - {name: MEMORY, valueFrom: {resourceFieldRef: {resource: limits.memory, divisor: 1Mi}}}
    - {name: WORD, valueFrom: {secretKeyRef: {name: password, key: word}}}
    - {name: COLOUR, valueFrom: {configMapKeyRef: {name: settings, key: colour, optional: true}}}
    envFrom:
    - {configMapRef: {name: settings}, prefix: P_}
    - {secretRef: {name: password, optional: true}}
    volumeMounts:
    - {name: scratch, mountPath: /scratch}
    - {name: settings, mountPath: /etc/settings, readOnly: true}
    - {name: password, mountPath: /etc/password}
    - {name: about, mountPath: /etc/about}
    - {name: host, mountPath: /host, subPath: a}
  - {name: other, image: busybox, args: [sleep, "600"], command: [],
     livenessProbe: {grpc: {port: 9000, service: s}, initialDelaySeconds: 100}}
  volumes:
  - {name: scratch, emptyDir: {sizeLimit: 1Mi}}
  - {name: settings, configMap: {name: settings}}
  - {name: password, secret: {secretName: password, optional: true}}
  - {name: about, downwardAPI: {items: [{path: labels, fieldRef: {fieldPath: metadata.labels}}]}}
  - {name: host, hostPath: {path: /tmp, type: Directory}}
---
apiVersion: v1
kind: Pod
metadata: {name: fails}
spec:
  restartPolicy: Never
  containers:
  - {name: main, image: busybox, command: [sh, -c, "echo -n why > /dev/termination-log; exit 3"]}
---
apiVersion: v1
kind: Pod
metadata: {name: nowhere}
spec:
  nodeSelector: {no: where}
  containers:
  - {name: main, image: busybox, command: [sleep, "1"]}
""".replace("LONG", "x" * 150)


@pytest.fixture
def described(podward: Podward, recent_kubectl: Kubectl, namespace: str) -> str:
    recent_kubectl.apply(EVERYTHING, "-n", namespace)
    for name, wanted in {"everything": "Running", "fails": "Failed", "nowhere": "Pending"}.items():
        eventually(
            lambda name=name, wanted=wanted: (  # type: ignore[misc]
                recent_kubectl.json("get", "pod", name, "-n", namespace)["status"]["phase"]
                == wanted
            ),
            what=f"{name} is {wanted}",
        )
    return namespace


THINGS = [
    ("pod", "everything"),
    ("pod", "fails"),
    ("pod", "nowhere"),
    ("configmap", "settings"),
    ("secret", "password"),
]


def test_podward_describes_as_kubectl_does(
    podward: Podward, recent_kubectl: Kubectl, described: str
) -> None:
    for kind, name in THINGS:

        def same(kind: str = kind, name: str = name) -> bool:
            # Ages tick and events come in between two calls: equal once is equal.
            ours = podward.cli("describe", kind, name, "-n", described)
            theirs = recent_kubectl("describe", kind, name, "-n", described)
            assert theirs
            print(*unified_diff(ours.splitlines(), theirs.splitlines(), lineterm=""), sep="\n")
            return ours == theirs

        eventually(same, timeout=10, what=f"the same description of {kind} {name}")


def test_the_first_letters_of_a_name_are_enough(podward: Podward, described: str) -> None:
    assert podward.cli("describe", "pod", "every", "-n", described).startswith("Name:")


def test_what_is_not_there_is_said_in_one_line(podward: Podward, described: str) -> None:
    answer = podward.cli("describe", "pod", "zzz", "-n", described, check=False)
    assert answer == 'Error from server (NotFound): pods "zzz" not found\n'
