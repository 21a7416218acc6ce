"""Redis in the kernel's namespace and redis-py on synfin, blocking and in asyncio; redis-benchmark in the kernel's
namespace and a small server of asyncio's streams on synfin."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.programs.machine import KERNELS, OURS, Machine

pytestmark = [pytest.mark.tun]


@pytest.fixture(scope="module")
def redis(
    machine: Machine, tmp_path_factory: pytest.TempPathFactory, require: Callable[..., None]
) -> Iterator[tuple[str, str]]:
    """Where Redis is."""
    require("redis-server")
    directory = tmp_path_factory.mktemp("redis")
    command = ["redis-server", "--port", "6379", "--dir", str(directory), "--save", "", "--protected-mode", "no"]
    with machine.started(command) as process:
        machine.wait_for(6379, process)
        yield KERNELS, "6379"


def test_redis_py_that_blocks(machine: Machine, redis: tuple[str, str]) -> None:
    told = machine.client("redis_blocking.py", *redis)
    names = ("ping", "large", "pipelined", "popped", "heard", "error")
    assert told == [dict.fromkeys(names, True)]


def test_redis_py_in_asyncio(machine: Machine, redis: tuple[str, str]) -> None:
    [told] = machine.client("redis_asyncio.py", *redis)
    connections = told.pop("connections")
    assert isinstance(connections, int)
    assert connections > 10
    assert told == dict.fromkeys(("large", "counted", "popped", "heard"), True)


@pytest.mark.requires("redis-benchmark")
def test_redis_benchmark_and_a_small_server(machine: Machine) -> None:
    """Fifty connections, one request at a time and then sixteen."""
    with machine.server("small_redis.py", 6380):
        for pipelined in ("1", "16"):
            command = ["redis-benchmark", "-h", OURS, "-p", "6380", "-t", "ping,set,get,incr", "-n", "2000"]
            said = machine.run([*command, "-c", "50", "-P", pipelined, "--csv"])
            rows = [line.split(",") for line in said.splitlines() if line.startswith('"')]
            assert [row[0].strip('"') for row in rows[1:]] == ["PING_INLINE", "PING_MBULK", "SET", "GET", "INCR"]
            assert all(float(row[1].strip('"')) > 0 for row in rows[1:])
        # Each of the tests incremented it, by number of requests: nothing was lost, nothing done twice.
        assert machine.run(["redis-cli", "-h", OURS, "-p", "6380", "GET", "counter:__rand_int__"]).strip() == "4000"
