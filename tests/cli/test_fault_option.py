"""``--fault`` and ``--loss``: what is wrong is one line, what is right is what the link gets."""

from __future__ import annotations

import pytest

from synfin.cli.errors import UsageError
from synfin.cli.main import main
from synfin.cli.tun_options import Setup
from synfin.link.faults import Burst, Duplicate, Lose, Share, parse_fault


def setup(loss: str = "0", *faults: str) -> Setup:
    return Setup(["10.9.0.2/24"], None, None, False, None, loss, list(faults) or None, 0, 60, None)


def test_faults_keep_their_order() -> None:
    assert setup().faults == []
    assert setup("2%").faults == [Lose(Share(0.02))]
    assert setup("0.02", "duplicate 1%", "lose burst p=1% r=30% from kernel").faults == [
        Lose(Share(0.02)),
        Duplicate(Share(0.01)),
        Lose(Burst(0.01, 0.3), sender="kernel"),
    ]
    assert setup("0", "rate 10Mbit codel from synfin").faults == [
        parse_fault("rate 10Mbit queue 1000 codel from synfin")
    ]


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ("loose 2%", "'loose' is no fault: write one of lose, duplicate"),
        ("lose 2", "'2' is no kind of packet"),
        ("", "a fault is missing"),
        ("lose 2% from client", "the ends of the link are called synfin and kernel"),
        ("reboot kernel at 3s", "'reboot kernel at 3s' is no fault of a link"),
    ],
)
def test_what_is_no_fault(fault: str, says: str) -> None:
    with pytest.raises(UsageError, match="--fault: ") as caught:
        setup("0", fault)
    assert says in str(caught.value)


@pytest.mark.parametrize("command", [["serve", "echo"], ["connect", "10.9.0.3", "7"]])
def test_a_wrong_fault_is_one_line(capfd: pytest.CaptureFixture[str], command: list[str]) -> None:
    assert main(["tun", *command, "--address", "10.9.0.2/24", "--fault", "lose 2%", "--fault", "lose SYNs"]) == 2
    out, complaint = capfd.readouterr()
    assert out == ""
    assert len(complaint.splitlines()) == 1
    assert "'syns' is no kind of packet" in complaint
    assert "such as 'lose 2%'" in complaint
