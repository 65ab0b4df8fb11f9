"""CPU of one exec, http, tcp and grpc probe: the server's own and its children's, over many probes.

What the same Pods cost without probes is taken off.
"""

import http.server
import threading
import time

from harness import Server, report, server

PODS = 50
SECONDS = 12


def pods_cpu_s(podward: Server, name: str, probe: str) -> float:
    """CPU seconds that Pods with this probe cost in `SECONDS`, beginning when they all run."""
    manifest = "".join(
        f"""---
apiVersion: v1
kind: Pod
metadata: {{name: {name}{i}, labels: {{probe: {name}}}}}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - name: c
    image: busybox
    command: [sleep, "3600"]
    {probe and f"livenessProbe: {{{probe}, periodSeconds: 1, failureThreshold: 1000}}"}
"""
        for i in range(PODS)
    )
    podward.cli("apply", "-f", "-", input=manifest)
    time.sleep(6)
    before = podward.cpu_s()
    time.sleep(SECONDS)
    cpu = podward.cpu_s() - before
    podward.cli("delete", "pods", "-l", f"probe={name}")
    time.sleep(1)
    return cpu


def grpc_server() -> tuple[object, int]:
    from concurrent.futures import ThreadPoolExecutor

    import grpc
    from grpc_health.v1 import health, health_pb2, health_pb2_grpc

    serving = grpc.server(ThreadPoolExecutor(2))
    servicer = health.HealthServicer()
    servicer.set("", health_pb2.HealthCheckResponse.SERVING)
    health_pb2_grpc.add_HealthServicer_to_server(servicer, serving)
    port = serving.add_insecure_port("0.0.0.0:0")
    serving.start()
    return serving, port


class Ok(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def main() -> None:
    web = http.server.ThreadingHTTPServer(("0.0.0.0", 0), Ok)
    threading.Thread(target=web.serve_forever, daemon=True).start()
    port = web.server_address[1]
    health, grpc_port = grpc_server()
    probes = {
        "exec": "exec: {command: [/bin/true]}",
        "http": f"httpGet: {{port: {port}}}",
        "tcp": f"tcpSocket: {{port: {port}}}",
        "grpc": f"grpc: {{port: {grpc_port}}}",
    }
    with server() as podward:
        without = pods_cpu_s(podward, "none", "")
        report(
            "probe_cpu",
            probes_each=PODS * SECONDS,
            without_probes_cpu_percent=round(without / SECONDS * 100, 2),
            **{
                f"{name}_ms": round(
                    (pods_cpu_s(podward, name, probe) - without) / (PODS * SECONDS) * 1000, 3
                )
                for name, probe in probes.items()
            },
        )
    del health


if __name__ == "__main__":
    main()
