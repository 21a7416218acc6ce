"""``synfin explain`` beside tshark, on captures that tcpdump took of the kernel's TCP, of curl and of nginx.

Both must see the same retransmissions, duplicate ACKs, zero windows and resets. Where they differ, the difference must
be one of those that docs/explain.md gives reasons for; each is recognised by what tshark itself reads from the packets.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from synfin.explain import kinds
from synfin.explain.connection import Connection
from synfin.explain.explanation import explain
from synfin.explain.kinds import Finding
from synfin.explain.notes import OFFLOADED, SNAPPED
from synfin.tcp.states import NAMES
from tests.integration import captured, tshark
from tests.integration.peers import until
from tests.integration.two_kernels import two_kernels

pytestmark = [pytest.mark.tun, pytest.mark.requires("tshark", "tcpdump", "curl", "nginx", "ss")]

ANALYSIS = (
    "retransmission",
    "fast_retransmission",
    "spurious_retransmission",
    "duplicate_ack",
    "zero_window",
    "out_of_order",
    "keep_alive",
    "zero_window_probe",
)
FIELDS = (
    "frame.number",
    "tcp.srcport",
    "tcp.flags.reset",
    "tcp.window_size_value",
    "tcp.options.sack_le",
    "tcp.options.timestamp.tsval",
    "tcp.seq",
    "tcp.nxtseq",
    "tcp.ack",
    *(f"tcp.analysis.{name}" for name in ANALYSIS),
)
#: What our kinds of findings are, for tshark.
RETRANSMISSIONS = ("retransmission", "fast_retransmission", "spurious_retransmission")


class Both:
    """What tshark and we say of one capture."""

    def __init__(self, file: Path) -> None:
        self.rows = {int(row["frame.number"]): row for row in tshark.fields(file, *FIELDS)}
        self.findings: list[Finding] = []
        with file.open("rb") as octets:
            self.explanation = explain(octets, sink=self.findings.append)

    @property
    def connection(self) -> Connection:
        (connection,) = self.explanation.connections
        return connection

    def theirs(self, *names: str) -> set[int]:
        return {number for number, row in self.rows.items() if any(row[f"tcp.analysis.{name}"] for name in names)}

    def ours(self, column: str) -> set[int]:
        return {finding.number for finding in self.findings if finding.kind.column == column and finding.number}

    def of_kind(self, *names: str) -> set[int]:
        return {finding.number for finding in self.findings if finding.kind.name in names}

    def resets(self) -> set[int]:
        return {number for number, row in self.rows.items() if row["tcp.flags.reset"] in ("1", "True")}

    def before(self, number: int) -> dict[str, str]:
        """The packet that the same end sent before this one."""
        port = self.rows[number]["tcp.srcport"]
        return next(self.rows[other] for other in range(number - 1, 0, -1) if self.rows[other]["tcp.srcport"] == port)

    # --- differences, each with its reason in docs/explain.md --------------------------------------------------------

    def is_early_repair(self, number: int) -> bool:
        """tshark takes what comes within a round trip for out of order; SACK repairs a loss as early as that."""
        return bool(self.rows[number]["tcp.analysis.out_of_order"])

    def is_older_than_its_followers(self, number: int) -> bool:
        """tshark takes what follows two duplicate ACKs for a fast retransmission; its timestamp says that it was sent
        before those that overtook it."""
        row = self.rows[number]
        return any(
            int(other["tcp.options.timestamp.tsval"]) > int(row["tcp.options.timestamp.tsval"])
            for at, other in self.rows.items()
            if at < number and other["tcp.srcport"] == row["tcp.srcport"]
        ) or self.is_unordered_in_one_millisecond(number)

    def is_unordered_in_one_millisecond(self, number: int) -> bool:
        """The same, where the timestamps are equal: no report of a loss can have come to the sender that soon."""
        row = self.rows[number]
        return any(
            int(other["tcp.seq"]) > int(row["tcp.seq"])
            and other["tcp.options.timestamp.tsval"] == row["tcp.options.timestamp.tsval"]
            for at, other in self.rows.items()
            if at < number and other["tcp.srcport"] == row["tcp.srcport"]
        )

    def has_sack_and_another_window(self, number: int) -> bool:
        """tshark wants the same window; with SACK that does not matter (RFC 6675 §2)."""
        row = self.rows[number]
        return (
            bool(row["tcp.options.sack_le"])
            and row["tcp.window_size_value"] != self.before(number)["tcp.window_size_value"]
        )

    def has_nothing_outstanding(self, number: int) -> bool:
        """RFC 5681 §2 (a): nothing is outstanding that it could be a duplicate for; tshark does not look."""
        row = self.rows[number]
        highest = max(
            int(other["tcp.nxtseq"])
            for at, other in self.rows.items()
            if at < number and other["tcp.srcport"] != row["tcp.srcport"]
        )
        return highest <= int(row["tcp.ack"])


def words(reason: Callable[[int], bool]) -> str:
    """What docs/explain.md calls it."""
    return reason.__name__.partition("_")[2].replace("_", " ")


def compare(both: Both) -> dict[str, int]:
    """Assert that both agree but for reasons; return how often each reason was needed."""
    reasons: dict[str, int] = {}

    def excuse(numbers: set[int], *because: Callable[[int], bool]) -> None:
        for number in numbers:
            found = [words(reason) for reason in because if reason(number)]
            assert found, (number, both.rows[number])
            reasons[found[0]] = reasons.get(found[0], 0) + 1

    theirs, ours = both.theirs(*RETRANSMISSIONS), both.ours(kinds.RETRANSMISSION)
    excuse(ours - theirs, both.is_early_repair)
    excuse(theirs - ours, both.is_older_than_its_followers)
    theirs, ours = both.theirs("duplicate_ack"), both.ours(kinds.DUPLICATE_ACK)
    excuse(ours - theirs, both.has_sack_and_another_window)
    excuse(theirs - ours, both.has_nothing_outstanding)
    assert both.ours(kinds.ZERO_WINDOW) == both.theirs("zero_window")
    assert both.ours(kinds.RESET) == both.resets()
    probes = both.of_kind("keep-alive", "zero-window-probe")
    assert probes == both.theirs("keep_alive", "zero_window_probe")
    # Who sent the resets.
    for finding in both.findings:
        if finding.kind.column == kinds.RESET:
            assert finding.sender is not None
            left = both.rows[1]["tcp.srcport"]
            assert (both.rows[finding.number]["tcp.srcport"] == left) == (finding.sender == 0)
    return reasons


#: What must be found, and what else may be, since the machine is not always in time. Nothing else is.
EXPECTED: dict[str, set[str]] = {
    "curl and nginx": set(),
    "refused": {"refused"},
    "reset": {"reset"},
    "killed peer": {"reset"},
    "peer without power": {"retransmission-timeout", "half-open-silent"},
    "peer that forgot": {"reset-unknown-connection"},
    "lossy, at the sender": {"duplicate-ack", "recovery-retransmission"},
    "lossy, at the receiver": {"duplicate-ack", "unseen-retransmission"},
    "reordered": {"out-of-order"},
    "tail lost": {"tail-loss-probe", "duplicate-ack"},
    "SYN lost": {"syn-repeated"},
    "SYN+ACK lost": {"syn-repeated", "syn-ack-repeated"},
    "FIN lost": {"fin-repeated"},
    "no answer": {"syn-repeated", "no-answer"},
    "window closed": {"zero-window", "zero-window-probe", "window-open"},
    "kept alive": {"keep-alive"},
    "small writes": {"nagle-stall"},
    "ports again": {"time-wait-reuse"},
}
#: Where segments are lost or late on purpose, tshark and we may differ.
DISTURBED = {"lossy, at the sender", "lossy, at the receiver", "reordered", "tail lost", "window closed"}


def test_the_differences_are_those_that_are_documented() -> None:
    text = (Path(__file__).parents[2] / "docs" / "explain.md").read_text("utf-8")
    table = text.partition("| difference |")[2].partition("\n\n")[0]
    listed = [line.split("|")[1].strip() for line in table.splitlines()[2:]]
    reasons = (
        Both.is_early_repair,
        Both.is_older_than_its_followers,
        Both.has_sack_and_another_window,
        Both.has_nothing_outstanding,
    )
    assert listed == [words(reason) for reason in reasons]  # type: ignore[arg-type]


@pytest.mark.parametrize("name", captured.CASES)
def test_agreement_with_tshark(name: str, tmp_path: Path) -> None:
    file = tmp_path / "taken.pcap"
    captured.take(name, file, tmp_path)
    both = Both(file)
    reasons = compare(both)
    assert set(EXPECTED) == set(captured.CASES)
    assert EXPECTED[name] <= {finding.kind.name for finding in both.findings}, both.findings
    if name not in DISTURBED:
        assert reasons == {}
    assert not list(both.explanation.notes.said())


def test_the_states_are_those_that_ss_tells(tmp_path: Path) -> None:
    """Of both kernels, at every step of a connection's life."""
    file = tmp_path / "taken.pcap"
    with two_kernels() as world, world.captured(world.left, file):
        client, server = captured.connected(world)

        def inferred() -> list[str]:
            with file.open("rb") as octets:
                (connection,) = explain(octets).connections
            return [NAMES[state] for state in connection.observer.states if state is not None]

        def agree(left: str, right: str) -> None:
            told = [world.states(space) for space in (world.left, world.right)]
            until(lambda: inferred() == [left, right], f"{left} and {right}, but {told}")
            # A closed connection is not shown.
            assert told == [{left} - {"CLOSED"}, {right} - {"CLOSED"}]

        client.sendall(b"hello")
        assert server.recv(10) == b"hello"
        time.sleep(0.1)
        agree("ESTABLISHED", "ESTABLISHED")
        client.shutdown(socket.SHUT_WR)
        assert server.recv(10) == b""
        time.sleep(0.1)
        agree("FIN-WAIT-2", "CLOSE-WAIT")
        server.close()
        assert client.recv(10) == b""
        time.sleep(0.1)
        agree("TIME-WAIT", "CLOSED")
        client.close()


@pytest.mark.parametrize("version", [4, 6], ids=["IPv4", "IPv6"])
def test_a_transfer_over_loopback(tmp_path: Path, version: int) -> None:
    """Superpackets with half a checksum, on an Ethernet header."""
    file = tmp_path / "taken.pcap"
    captured.loopback(file, version)
    both = Both(file)
    assert compare(both) == {}
    assert [text for text, _ in both.explanation.notes.said() if text != SNAPPED] == [OFFLOADED]


def test_tcpdump_on_all_interfaces(tmp_path: Path) -> None:
    """Linux's cooked headers."""
    file = tmp_path / "taken.pcap"
    captured.loopback(file, 4, "any")
    both = Both(file)
    assert compare(both) == {}
    assert both.connection.packets == both.explanation.packets == len(both.rows)
