"""Which loss recovery a connection has, by name; and that what docs/recovery.md shows works."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from synfin.tcp.recovery import (
    LossRecovery,
    NewReno,
    RackTlp,
    SackRecovery,
    available_recoveries,
    loss_recovery,
    register_recovery,
)
from synfin.tcp.settings import Settings
from synfin.wire.tcp_options import Options
from tests.tcp.recovery.sender import MSS, Sender, parameters
from tests.tcp.test_acceptance import established
from tests.tcp.world import CLIENT, make_connection

SACK = Options(mss=1460, sack_permitted=True)


@pytest.mark.parametrize(
    ("values", "options", "kind"),
    [
        ({}, SACK, RackTlp),
        ({"tcp_recovery": 0}, SACK, SackRecovery),
        ({"tcp_recovery": 6}, SACK, SackRecovery),
        ({}, Options(mss=1460), NewReno),
        ({"tcp_sack": 0}, SACK, NewReno),
        ({"tcp_loss_recovery": "newreno"}, SACK, NewReno),
        ({"tcp_loss_recovery": "sack"}, SACK, SackRecovery),
        ({"tcp_loss_recovery": "rack", "tcp_recovery": 0}, SACK, RackTlp),
        ({"tcp_loss_recovery": "rack"}, Options(mss=1460), NewReno),
    ],
)
def test_which_one(values: dict[str, int | str], options: Options, kind: type[LossRecovery]) -> None:
    assert type(established(options, parameters(**values)).recovery) is kind


def test_a_user_names_one_for_one_connection() -> None:
    settings = Settings()
    settings.loss_recovery = "sack"
    assert settings.copy().loss_recovery == "sack"
    c = make_connection(CLIENT)
    c.settings = settings
    from synfin.tcp.recovery import choose

    assert isinstance(choose(c), SackRecovery)


def test_names() -> None:
    assert {"newreno", "rack", "sack"} <= set(available_recoveries())
    with pytest.raises(KeyError):
        loss_recovery("none", 0, 3)
    with pytest.raises(ValueError, match="exists already"):
        register_recovery("rack", RackTlp)


def test_the_example_of_the_documentation() -> None:
    text = (Path(__file__).parents[3] / "docs" / "recovery.md").read_text(encoding="utf-8")
    code = re.search(r"```python\n(.*?)```", text, re.DOTALL)
    assert code is not None
    if "patient" not in available_recoveries():
        exec(code[1], {})
    s = Sender("patient")
    s.flight(20)
    for end in range(2, 11):
        assert s.ack(0, (1, end)) == []
        assert s.c.sent.sacked.octets == (end - 1) * MSS
    assert s.ack(0, (1, 11)) == [0]
