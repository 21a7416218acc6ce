"""The simulations behind the goodput table: what they measure, and that they always measure the same."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from synfin.events import Event, PacketLost, PacketTransmitted
from synfin.host.parameters import Parameters
from tests.goodput.cells import (
    DROP_TAIL,
    MILLISECOND,
    MSS,
    PACKET,
    RATES,
    SACK_OFF,
    SECOND,
    Cell,
    Sharing,
    Short,
    Transfer,
)
from tests.goodput.worlds import Path as NetworkPath
from tests.goodput.worlds import begin, measure

ROOT = Path(__file__).parents[2]
#: Of each table one that is quickly played.
QUICK: list[Cell] = [
    Transfer(10, 1, "reno", SACK_OFF),
    Sharing(2, DROP_TAIL, "reno", SACK_OFF),
    Short(100_000, 1, 20, "reno", SACK_OFF),
]


def test_a_short_flow_takes_its_round_trips_and_its_packets() -> None:
    # The handshake is a round trip, the way of the data half of one; seven segments fit the initial window.
    row = measure(Short(10_000, 0, 20, "reno", SACK_OFF))
    packets = 10_000 + 7 * (PACKET - MSS)
    handshake = 60 + 60 + 52
    wire = (handshake + packets) * 8 * SECOND // RATES[20]
    assert row["mean"] == pytest.approx(30 * MILLISECOND + wire, abs=100)
    assert row["mean"] == row["p90"] == row["quarter"]


def test_a_transfer_without_loss_has_all_that_headers_leave() -> None:
    row = measure(Transfer(0, 1, "reno", SACK_OFF))
    assert row["steady"] == pytest.approx(RATES[1] * MSS / PACKET, rel=0.001)
    assert row["goodput"] < row["steady"]
    assert row["lost"] == row["resent"] == row["timeouts"] == 0


def test_flows_that_share_have_all_of_the_bottleneck_together() -> None:
    row = measure(Sharing(2, DROP_TAIL, "reno", SACK_OFF))
    assert row["least"] + row["most"] == pytest.approx(row["goodput"], abs=2)
    assert row["lost"] > 0


@pytest.mark.parametrize("cell", QUICK, ids=str)
def test_the_beginning_of_a_cell_is_part_of_the_whole(cell: Cell) -> None:
    beginning, whole = begin(cell), measure(cell)
    assert beginning.items() < whole.items()


@pytest.mark.parametrize("cell", QUICK, ids=str)
def test_a_cell_comes_out_the_same_each_time(cell: Cell) -> None:
    assert measure(cell) == measure(cell)


def test_the_order_of_sets_and_hashes_changes_nothing() -> None:
    code = f"""if True:
        from tests.goodput.cells import Sharing, Short, Transfer
        from tests.goodput.worlds import begin
        print([begin(cell) for cell in {QUICK!r}])
    """
    outputs = [
        subprocess.run(
            [sys.executable, "-c", code],
            cwd=ROOT,
            env=os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(["src", "."])},
            check=True,
            capture_output=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert outputs[0] == outputs[1]
    assert outputs[0].decode().strip() == str([begin(cell) for cell in QUICK])


def lost_from_sender(parameters: Parameters, rtt: int) -> list[int]:
    """Which packets of the sender were lost, counted from 1, among those that any of the runs here sends."""
    events: list[Event] = []
    path = NetworkPath(parameters, 7, rtt, RATES[rtt], 3, sink=events.append)
    path.open(500 * MSS)
    path.run_to(500 * MSS)
    lost = {event.number for event in events if isinstance(event, PacketLost)}
    sent = [event.number for event in events if isinstance(event, PacketTransmitted) and event.host == "sender"]
    return [count for count, number in enumerate(sent, 1) if number in lost and count <= 500]


def test_the_same_packets_are_lost_whatever_the_parameters_and_the_round_trip() -> None:
    without = Parameters()
    without.set("net.ipv4.tcp_sack", "0")
    lost = lost_from_sender(without, 20)
    assert 5 < len(lost) < 30
    assert lost_from_sender(Parameters(), 20) == lost
    assert lost_from_sender(without, 100) == lost


def test_a_path_with_another_seed_loses_other_packets() -> None:
    cells = [measure(Short(100_000, 1, rtt, "reno", SACK_OFF)) for rtt in (20, 100)]
    assert cells[0] != cells[1]


def test_octets_that_never_come_are_no_result() -> None:
    path = NetworkPath(Parameters(), 1, 1, RATES[1])
    path.open(1000)
    with pytest.raises(RuntimeError, match="1000 of 1001"):
        path.run_to(1001)


def test_a_connection_that_fails_is_no_result() -> None:
    path = NetworkPath(Parameters(), 1, 1, RATES[1], loss=100)
    path.open(1000)
    with pytest.raises(TimeoutError):
        path.run_to(1000)
