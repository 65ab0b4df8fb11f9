"""CPU of one exec, http, tcp and grpc probe: the server's own and its children's, over many probes."""

import http.server
import threading
import time

from harness import Server, report, server

PODS = 10
SECONDS = 12


def probe_cpu_ms(podward: Server, name: str, probe: str, idle_cpu: float) -> float:
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
    livenessProbe: {{{probe}, periodSeconds: 1, timeoutSeconds: 1, failureThreshold: 1000}}
"""
        for i in range(PODS)
    )
    podward.cli("apply", "-f", "-", input=manifest)
    time.sleep(4)
    before = podward.cpu_s()
    time.sleep(SECONDS)
    cpu = podward.cpu_s() - before - idle_cpu
    podward.cli("delete", "pods", "-l", f"probe={name}")
    return round(cpu / (PODS * SECONDS) * 1000, 3)


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
    with server() as podward:
        time.sleep(2)
        before = podward.cpu_s()
        time.sleep(SECONDS)
        idle = podward.cpu_s() - before
        report(
            "probe_cpu",
            probes=PODS * SECONDS,
            exec_ms=probe_cpu_ms(podward, "exec", "exec: {command: [/bin/true]}", idle),
            http_ms=probe_cpu_ms(podward, "http", f"httpGet: {{port: {port}}}", idle),
            tcp_ms=probe_cpu_ms(podward, "tcp", f"tcpSocket: {{port: {port}}}", idle),
            grpc_ms=probe_cpu_ms(podward, "grpc", f"grpc: {{port: {grpc_port}}}", idle),
            idle_cpu_percent=round(idle / SECONDS * 100, 2),
        )
    del health


if __name__ == "__main__":
    main()
