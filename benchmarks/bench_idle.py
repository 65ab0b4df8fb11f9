"""Time to ready, idle CPU and memory of `podward up`, wall time of `podward get pods`."""

import time

from harness import report, server, spread

RUNS = 11


def main() -> None:
    with server() as podward:
        podward.cli("get", "pods")
        walls = []
        for _ in range(RUNS):
            began = time.monotonic()
            podward.cli("get", "pods")
            walls.append(time.monotonic() - began)
        time.sleep(2)
        before = podward.cpu_s()
        time.sleep(20)
        report(
            "idle",
            ready_s=round(podward.ready_s, 3),
            cpu_percent=round((podward.cpu_s() - before) / 20 * 100, 2),
            rss_mb=podward.rss_mb(),
            get_pods=spread(walls, "s"),
        )


if __name__ == "__main__":
    main()
