"""Commands beyond what busybox can be asked: servers, clients, and what they refuse to guess."""

import pytest
from tests.simulate.shells import simulated

OK = r"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@pytest.mark.parametrize(
    ("script", "out"),
    [
        ("wget -q -O- http://localhost:8080/", "index\n"),
        ("wget -qO- localhost:8080/none || echo $?", "1\n"),
        ("wget -q --spider http://127.0.0.1:8080/ && echo there", "there\n"),
        ("wget -q -T 1 -O /tmp/got localhost:8080 && cat /tmp/got", "index\n"),
        ("cd /; wget -q http://localhost:8080/index.html && cat /index.html", "index\n"),
        ("curl -sf http://10.0.0.1:8080/index.html", "index\n"),
        ("curl -s -o /dev/null -w '%{http_code}' http://localhost:8080/none", "404"),
        (
            "curl -fsS -o /dev/null http://localhost:8080/none 2>&1; echo $?",
            "curl: (22) The requested URL returned error: 404\n22\n",
        ),
        ("curl -sI localhost:8080 | head -n 1", "HTTP/1.1 200 OK\r\n"),
        ("curl -s -X POST -d a=b -w '%{http_code}\\n' localhost:8080", "501\n"),
        ("curl -s localhost:1; echo $?", "7\n"),
        ("curl -s http://no-such-host/; echo $?; wget -q -O- no-such-host; echo $?", "6\n1\n"),
        (
            "nc -z localhost 8080 && echo open; nc -z -w 1 localhost 8081 || echo closed",
            "open\nclosed\n",
        ),
        ("printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc localhost 8080 | tail -n 1", "index\n"),
        ("wget -q -O- localhost:8080/sub/ || echo no listing", "no listing\n"),
        ("rm /tmp/www/index.html; wget -q -O- localhost:8080 || echo gone", "gone\n"),
        ("kill $!; wait $!; nc -z localhost 8080 || echo closed", "closed\n"),
    ],
)
def test_a_client_asks_httpd(script: str, out: str) -> None:
    done = simulated(
        "mkdir -p /tmp/www/sub; echo index > /tmp/www/index.html\n"
        f"httpd -f -p 8080 -h /tmp/www & sleep 1\n{script}"
    )
    assert (done.out, done.problem) == (out, "")


@pytest.mark.parametrize(
    ("script", "out"),
    [
        (
            f"(while true; do printf '{OK}' | nc -l -p 80; done) > /dev/null & sleep 1\n"
            "for i in 1 2 3; do curl -s localhost; sleep 1; done",
            "okokok",
        ),
        (f"nc -lk -p 80 -e printf '{OK}' & sleep 1; curl -s localhost; curl -s localhost", "okok"),
        (
            "nc -l -p 80 > /tmp/got & sleep 1; echo hello | nc localhost 80; wait; cat /tmp/got",
            "hello\n",
        ),
        (
            f"printf '{OK}' | nc -l 80 > /tmp/got & sleep 1; curl -s localhost; wait; head -n 1 /tmp/got",
            "okGET / HTTP/1.1\r\n",
        ),
        ("nc -l -p 80 -e cat & sleep 1; echo back | nc localhost 80", "back\n"),
        ("nc -l -p 80 & sleep 1; nc -l -p 80; echo $?", "1\n"),
        ("nc -l -p 80 < /dev/null & sleep 1; nc -w 3 localhost 80 < /dev/null; date +%S", "01\n"),
        (
            "(sleep 60 | nc -l -p 80) & sleep 1; sleep 60 | nc -w 3 localhost 80; echo done",
            "done\n",
        ),
        (
            "(sleep 60 | nc -l -p 80) > /dev/null & sleep 1; curl -s -m 5 localhost; echo $?; date +%S",
            "28\n06\n",
        ),
        (
            "(sleep 60 | nc -l -p 80) > /dev/null & sleep 1; wget -q -T 5 -O- localhost; echo $?; date +%S",
            "1\n06\n",
        ),
        (
            "cd /tmp; echo a > f; python3 -m http.server 8000 & sleep 1\n"
            "curl -s localhost:8000; curl -s localhost:8000/f",
            "f\na\n",
        ),
        (
            "python3 -m http.server --bind 127.0.0.1 8000 & sleep 1; nc -z localhost 8000 && echo in\n"
            "nc -z 10.0.0.1 8000 || echo out",
            "in\nout\n",
        ),
        (
            "httpd -p 127.0.0.1:80 -h /tmp; sleep 1; nc -z 127.0.0.1 80 && echo in\n"
            "nc -z 10.0.0.1 80 || echo out",
            "in\nout\n",
        ),
    ],
)
def test_servers(script: str, out: str) -> None:
    done = simulated(script)
    assert (done.out.replace("\r", "") if "\r" not in out else done.out, done.problem) == (out, "")


@pytest.mark.parametrize(
    "script",
    [
        "python3 - <<EOF\nimport http.server\nEOF",
        "python3 -c 'print(1)'",
        "wget -q -O- https://localhost/",
        "curl --retry 3 localhost",
        "curl -s -w '%{time_connect}' -o /dev/null localhost:80 || true",
        "wget -t 3 localhost",
        "nc -U /tmp/socket",
        "grep -P a /tmp/f",
        "sed -n 'H;x' /tmp/f",
        "awk 'BEGIN {print 1}'",
        "find /tmp -perm 644",
        "ps -o pid",
        "stat /tmp",
        "date -d tomorrow",
        "sort -V /tmp/f",
        "xargs -P 4 -L 1 echo",
        "cat /proc/meminfo",
        "head -z 1",
        "touch -t 202001010000 /tmp/f",
        "read -n 1 x",
        "bash -c 'for ((i=0; i<3; i++)); do echo $i; done'",
        "bash -c 'echo {1..3}'",
        "no_such_command",
        "/opt/no/such/command --flag",
    ],
)
def test_what_it_cannot_do_it_does_not_guess(script: str) -> None:
    done = simulated(script, strict=True)
    assert done.problem


def test_what_it_does_not_know_can_be_asked_for() -> None:
    done = simulated("command -v redis-cli || which redis-cli || echo none", strict=True)
    assert (done.out, done.problem) == ("none\n", "")


def test_the_error_says_how_to_describe_a_command() -> None:
    problem = simulated("my-server --port 80", strict=True).problem
    assert "--behaviour" in problem
    assert "my-server:" in problem


def test_a_script_that_is_a_file_is_a_command() -> None:
    done = simulated(
        "printf '#!/bin/sh\\ntest -f /tmp/ok && echo \"fine $1\"\\n' > /tmp/check.sh\n"
        "chmod +x /tmp/check.sh; touch /tmp/ok; /tmp/check.sh now; cd /tmp; ./check.sh here\n"
        "timeout 5 /tmp/check.sh late; find . -name ok -exec ./check.sh {} ';'",
        strict=True,
    )
    assert (done.out, done.problem) == ("fine now\nfine here\nfine late\nfine ./ok\n", "")


def test_the_image_has_what_scripts_look_for() -> None:
    done = simulated(
        "grep -c root /etc/passwd; [ -w /tmp ] && [ -d /var/log ] && hostname; hostname -i; nproc; id -u; pwd"
    )
    assert (done.out, done.problem) == ("1\nhost\n10.0.0.1\n2\n0\n/\n", "")
