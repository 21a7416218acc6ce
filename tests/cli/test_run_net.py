"""``synfin run --net``: programs as they are, and one line for each mistake."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from synfin.cli.main import main

TOPOLOGY = """
seed = 7

[hosts.client]
[hosts.server]

[[wires]]
ends = ["client 10.0.0.1/24", "server 10.0.0.2/24"]
delay = "10ms"

[[programs]]
host = "server"
script = "server.py"
argv = ["80"]
background = true
"""

SERVER = """
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.path.encode())
    def log_message(self, *args):
        pass

if __name__ == "__main__":
    ThreadingHTTPServer(("", int(sys.argv[1])), Handler).serve_forever()
"""

CLIENT = """
import sys
from http.client import HTTPConnection

connection = HTTPConnection("server", timeout=5)
connection.request("GET", sys.argv[1])
print(sys.argv[0].endswith("client.py"), connection.getresponse().read().decode())
"""


@pytest.fixture
def net(tmp_path: Path) -> Path:
    (tmp_path / "net.toml").write_text(TOPOLOGY)
    (tmp_path / "server.py").write_text(SERVER)
    (tmp_path / "client.py").write_text(CLIENT)
    return tmp_path


def said(capsys: pytest.CaptureFixture[str], expected: int, *arguments: object) -> tuple[str, str]:
    assert main(["run", *map(str, arguments)]) == expected
    captured = capsys.readouterr()
    return captured.out, captured.err


def test_a_script_runs_as_it_is(net: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # What stands behind the script is the script's.
    out, err = said(capsys, 0, "--net", net / "net.toml", net / "client.py", "--seed")
    assert (out, err) == ("client | True --seed\n", "")
    out, _ = said(capsys, 0, "--net", net / "net.toml", "--no-label", net / "client.py", "/x")
    assert out == "True /x\n"
    out, _ = said(capsys, 0, "--net", net / "net.toml", "--host", "server", net / "client.py", "/self")
    assert out == "server | True /self\n"


def test_a_failing_script_is_named_with_its_host(net: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, err = said(capsys, 1, "--net", net / "net.toml", "--fault", "client-server: partition", net / "client.py", "/")
    lines = err.splitlines()
    assert lines[0] == "client | client.py on client failed:"
    assert lines[1] == "client | Traceback (most recent call last):"
    # From the script's own first line on.
    assert lines[2].endswith('client.py", line 6, in <module>')
    assert lines[-1] == "client | TimeoutError: timed out"
    assert out == ""


def test_a_script_says_its_exit_code(net: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (net / "exit.py").write_text("import sys\nsys.exit(7)\n")
    said(capsys, 7, "--net", net / "net.toml", net / "exit.py")


def test_who_waits_for_what_is_told_in_two_languages(net: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (net / "stuck.py").write_text('import socket\nsocket.create_connection(("server", 80)).recv(1)\n')
    arguments = ("--net", net / "net.toml", "--host", "client")
    _, err = said(capsys, 1, *arguments, "--limit", "2h", "--lang", "en", net / "stuck.py")
    lines = err.splitlines()
    assert lines[0] == "synfin: the time limit has come at 7200 s, and programs still run:"
    assert lines[1].split("  ")[0] == "host"
    row = next(line for line in lines if "stuck.py:2" in line)
    assert " recv " in row
    assert "data on 10.0.0.1:" in row
    assert "- 10.0.0.2:80 (ESTABLISHED)" in row
    assert row.endswith("for ever")
    _, err = said(capsys, 1, *arguments, "--limit", "2h", "--lang", "zh", net / "stuck.py")
    lines = err.splitlines()
    assert lines[0] == "synfin：已到时间上限 7200 s，但仍有程序在运行："
    assert "数据到达：10.0.0.1:" in next(line for line in lines if "stuck.py:2" in line)


@pytest.mark.parametrize(
    ("old", "new", "wrong", "right"),
    [
        ("seed = 7", "sed = 7", "the file has an unknown 'sed'", "perhaps 'seed'"),
        ("seed = 7", "seed = 'x'", "seed is 'x'", "give a whole number"),
        ("seed = 7", "seed = ", "is no TOML: Invalid value", "see docs/virtual-time.md"),
        ("seed = 7", "limit = '5 days'", "limit: '5 days' is no duration", "write one such as 10ms"),
        ("seed = 7", "host = 'sever'", "host is 'sever'", "the hosts are client, server"),
        ("seed = 7", "faults = ['client-server: loose 2%']", "'loose' is no fault", "write"),
        ("seed = 7", "faults = ['a-b: lose 2%']", "there is no such wire", "write one such as"),
        ("seed = 7", "epoch = '2026'", "epoch is '2026'", "give a"),
        ("[hosts.server]", "[hosts.other]", "programs[1].host is 'server'", "the hosts are client, other"),
        ("[hosts.server]", "[routers.server]", "programs[1].host is 'server'", "the hosts are client"),
        ("[hosts.client]", "[hosts.client]\nmtu = 3", "hosts.client has an unknown 'mtu'", "known are"),
        ("[hosts.client]", "[hosts.client]\nprofile = 'bsd'", "hosts.client.profile is 'bsd'", "choose one of: linux"),
        ("[hosts.client]", "[hosts.client]\nsysctl = {x = 1}", "hosts.client.sysctl: 'x' is no parameter", "see"),
        ("[hosts.client]", "[hosts.client]\nsysctl = {tcp_retries2 = -1}", "'tcp_retries2' is -1", "see"),
        ("[hosts.client]", "[hosts.client]\nroutes = {'0.0.0.0/0' = '9.9.9.9'}", "is no neighbour", "write"),
        ("10.0.0.1/24", "10.0.0.300/24", "wires[1]: '10.0.0.300/24'", "see docs"),
        ("client 10", "clint 10", "wires[1]: nothing is called 'clint'", "there are client, server"),
        ('"10ms"', '"10"', "wires[1].delay: '10' is no duration", "write one such as"),
        ('"10ms"', '"10ms"\nrate = "fast"', "wires[1].rate: 'fast' is no rate", "write a number"),
        ('host = "server"', "", "programs[1] has no 'host'", "give a text"),
        ('"server.py"', '"none.py"', "none.py'", "name a Python file"),
        ("[[programs]]", "[programs]", "programs is {", "give a list"),
    ],
)
def test_a_mistake_in_the_topology_is_one_line(
    old: str, new: str, wrong: str, right: str, net: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert old in TOPOLOGY
    (net / "net.toml").write_text(TOPOLOGY.replace(old, new))
    out, err = said(capsys, 2, "--net", net / "net.toml", net / "client.py", "/")
    assert out == ""
    assert err.startswith("synfin: ")
    assert len(err.splitlines()) == 1
    assert wrong in err
    assert right in err.split("; ", 1)[1]


@pytest.mark.parametrize(
    ("arguments", "wrong"),
    [
        (["--net", "net.toml", "--tun", "10.9.0.2/24", "client.py"], "--tun and --net are two places"),
        ([], "nothing says where the script is to run"),
        (["--net", "none.toml"], "cannot use 'none.toml'"),
        (["--net", "net.toml", "none.py"], "there is no script 'none.py'"),
        (["--net", "net.toml", "--host", "other", "client.py"], "there is no host 'other'"),
        (["--net", "net.toml", "--limit", "soon", "client.py"], "--limit: 'soon' is no duration"),
        (["--net", "net.toml", "--fault", "client-server: nonsense", "client.py"], "'nonsense' is no fault"),
        (["--net", "net.toml", "--pcap", "none/x.pcapng", "client.py"], "cannot use 'none/x.pcapng'"),
    ],
)
def test_a_mistake_on_the_command_line_is_one_line(
    arguments: list[str], wrong: str, net: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(net)
    out, err = said(capsys, 2, *arguments)
    assert out == ""
    assert len(err.splitlines()) == 1
    assert wrong in err


def test_each_program_has_its_own_modules_and_arguments(net: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Beside the script; what is installed they share."""
    (net / "counter.py").write_text("import sys\ncount = 0\n")
    program = """
import sys, time
time.sleep(0.5)
import counter
for _ in range(3):
    counter.count += 1
    time.sleep(1)
print(sys.argv[1], counter.count, sys.modules["__main__"].__dict__ is globals(), __name__)
"""
    (net / "program.py").write_text(program)
    for host in ("client", "server"):
        with (net / "net.toml").open("a") as file:
            file.write(f'[[programs]]\nhost = "{host}"\nscript = "program.py"\nargv = ["{host}"]\n')
    before = list(sys.modules)
    out, err = said(capsys, 0, "--net", net / "net.toml")
    assert (out.splitlines(), err) == (["client | client 3 True __main__", "server | server 3 True __main__"], "")
    assert "counter" not in set(sys.modules) - set(before)


def test_an_interrupt_ends_a_run(net: Path) -> None:
    """At once if the program waits; one that never waits is left where it is by the second."""
    (net / "endless.py").write_text("import time\nprint('x', flush=True)\nwhile True:\n    time.sleep(1)\n")
    (net / "busy.py").write_text("print('x', flush=True)\nwhile True:\n    pass\n")
    for script, interrupts in (("endless.py", 1), ("busy.py", 2)):
        command = [sys.executable, "-m", "synfin", "run", "--net", "net.toml", "--limit", "1000000h", script]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        process = subprocess.Popen(
            command, cwd=net, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "client | x\n"
        for _ in range(interrupts):
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(0.3)
            process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
        assert (process.returncode, out, err) == (130, "", "")


AIOHTTP = """
import asyncio, random, uuid
import aiohttp
from aiohttp import web

async def answer(request):
    await asyncio.sleep(random.random())
    return web.Response(text=str(uuid.uuid4()) + await request.text())

async def main():
    application = web.Application()
    application.router.add_post("/{name}", answer)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "0.0.0.0", 8080).start()
    async with aiohttp.ClientSession() as session:
        async def one(number):
            async with session.post(f"http://server:8080/{number}", data=uuid.uuid4().hex) as response:
                return await response.text()
        print(await asyncio.gather(*(one(number) for number in range(8))))
        print(sorted({object() for _ in range(3)}, key=id) is not None)
        async with session.get("http://client:80/from-server") as response:
            print(await response.text())
    await runner.cleanup()

asyncio.run(main())
"""

REQUESTS = """
import threading
import requests

def ask(number):
    print(number, requests.get(f"http://server/{number}").text)

threads = [threading.Thread(target=ask, args=(number,)) for number in range(6)]
for thread in threads:
    thread.start()
"""


def test_a_seed_reproduces_every_packet_in_another_process(net: Path) -> None:
    """Blocking programs with threads and programs of asyncio, over a wire that loses by chance."""
    (net / "net.toml").write_text(
        TOPOLOGY + '[[programs]]\nhost = "server"\nscript = "aio.py"\n'
        '[[programs]]\nhost = "client"\nscript = "server.py"\nargv = ["80"]\nbackground = true\n'
    )
    (net / "aio.py").write_text(AIOHTTP)
    (net / "ask.py").write_text(REQUESTS)
    captures, outputs = [], []
    for hash_seed, seed in (("1", "1"), ("2", "1"), ("1", "2")):
        capture = net / f"{hash_seed}-{seed}.pcapng"
        command = [sys.executable, "-m", "synfin", "run", "--net", "net.toml", "--seed", seed]
        command += ["--fault", "client-server: lose 5%", "--fault", "client-server: jitter 3ms"]
        command += ["--pcap", str(capture), "ask.py"]
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": os.pathsep.join(sys.path)}
        done = subprocess.run(
            command, cwd=net, env=environment, capture_output=True, text=True, timeout=60, check=False
        )
        assert (done.returncode, done.stderr) == (0, "")
        captures.append(capture.read_bytes())
        outputs.append(done.stdout)
    assert outputs[0].count("client | ") == 6
    assert captures[0] == captures[1]
    assert outputs[0] == outputs[1]
    assert captures[0] != captures[2]
    assert len(captures[0]) > 10_000
