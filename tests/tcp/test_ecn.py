"""ECN segment by segment (RFC 3168): one end whose peer is a script."""

from __future__ import annotations

import pytest

from synfin import reasons
from synfin.tcp import states, timers
from synfin.tcp.ca_states import TCP_CA_CWR, TCP_CA_OPEN
from synfin.tcp.connection import Connection
from synfin.tcp.info import TCPI_OPT_ECN, TCPI_OPT_ECN_SEEN, tcp_info
from synfin.tcp.isn import InitialSequenceNumbers
from synfin.tcp.listener import Listener
from synfin.tcp.parameters import TcpParameters
from synfin.wire.ip import CE, ECT_0, ECT_1, NOT_ECT
from synfin.wire.sequence import wrap
from synfin.wire.tcp import ACK, CWR, ECE, PSH, SYN, Options, Segment
from tests.tcp.world import CLIENT, MS, SERVER, make_connection

MSS = 1000
PEER = 5001


class End:
    """A connection without timestamps, opened towards a peer whose SYN,ACK has `flags`."""

    def __init__(self, flags: int = SYN | ACK | ECE, ecn: int = 1, **others: int) -> None:
        parameters = TcpParameters()
        parameters.tcp_ecn = ecn
        for name, value in others.items():
            setattr(parameters, name, value)
        parameters.tcp_timestamps = 0
        self.now = 0
        self.room = 1500
        self.tcb: Connection = make_connection(CLIENT, parameters, mss=MSS)
        self.tcb.snd_buf = 1 << 20
        self.tcb.open(0)
        syn = self.tcb.poll_transmit(0, 1500)
        assert syn is not None
        self.syn = syn
        self.received = PEER
        self.arrive(flags, 1001, seq=PEER - 1, options=Options(mss=MSS))
        self.poll()

    def arrive(
        self,
        flags: int = ACK,
        ack: int = -1,
        data: int = 0,
        codepoint: int = NOT_ECT,
        seq: int = -1,
        options: Options | None = None,
    ) -> Segment | None:
        """A segment of the peer; by default it acknowledges all, and follows what it sent before."""
        self.now += 10 * MS
        identity = self.tcb.identity
        segment = Segment(
            identity.remote_port,
            identity.local_port,
            self.received if seq < 0 else seq,
            wrap(self.tcb.snd_nxt if ack < 0 else ack),
            flags,
            65000,
            options or Options(),
            (bytes(data),) if data else (),
        )
        if seq < 0:
            self.received += data
        return self.tcb.segment_arrives(segment, self.now, codepoint)

    def poll(self) -> list[tuple[Segment, int]]:
        """What the connection sends now, each with its codepoint."""
        sent = []
        while (segment := self.tcb.poll_transmit(self.now, self.room)) is not None:
            sent.append((segment, self.tcb.ecn.codepoint if self.tcb.ecn is not None else NOT_ECT))
        return sent

    def write(self, octets: int) -> list[tuple[Segment, int]]:
        self.tcb.send(bytes(octets), self.now)
        return self.poll()

    def answered(self) -> int:
        """The flags of the one segment that the connection sends now; 0 if it waits."""
        sent = self.poll()
        assert len(sent) <= 1
        return sent[0][0].flags if sent else 0


# --- the handshake --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flags", "agreed"), [(ECE, True), (0, False), (ECE | CWR, False), (CWR, False)], ids=["ece", "none", "both", "cwr"]
)
def test_only_ece_alone_agrees(flags: int, agreed: bool) -> None:
    """An old host that sends back the flags which it does not know has not agreed (RFC 3168 §6.1.1.1)."""
    end = End(SYN | ACK | flags)
    assert end.syn.flags == SYN | ECE | CWR
    assert (end.tcb.ecn is not None) == agreed
    assert end.write(100)[0][1] == (ECT_0 if agreed else NOT_ECT)


@pytest.mark.parametrize("ecn", [0, 2])
def test_who_did_not_ask_gets_nothing(ecn: int) -> None:
    end = End(SYN | ACK | ECE, ecn)
    assert end.syn.flags == SYN
    assert end.tcb.ecn is None
    # What ECE and CE mean to others, they do not mean here.
    end.write(5000)
    cwnd = end.tcb.cwnd
    end.arrive(ACK | ECE, data=100, codepoint=CE)
    assert end.tcb.cwnd >= cwnd
    assert all(not segment.flags & (ECE | CWR) for segment, _ in end.poll())


@pytest.mark.parametrize(
    ("flags", "codepoint", "ecn", "agreed"),
    [
        (ECE | CWR, NOT_ECT, 1, True),
        (ECE | CWR, NOT_ECT, 2, True),
        (ECE | CWR, NOT_ECT, 0, False),
        (ECE, NOT_ECT, 2, False),
        (CWR, NOT_ECT, 2, False),
        (0, NOT_ECT, 2, False),
        # A path that marks a SYN, or a router that uses these bits for something else.
        (ECE | CWR, ECT_0, 2, False),
        (ECE | CWR, CE, 2, False),
    ],
)
def test_what_a_listener_takes_up(flags: int, codepoint: int, ecn: int, agreed: bool) -> None:
    parameters = TcpParameters()
    parameters.tcp_ecn = ecn
    listener = Listener(b"", 80, 5, parameters, InitialSequenceNumbers(bytes(16)))
    syn = Segment(SERVER.remote_port, 80, 100, 0, SYN | flags, 1000, Options(mss=MSS))
    reply, _ = listener.segment_arrives(SERVER.flow, syn, MSS, 0, codepoint=codepoint)
    assert reply is not None
    assert reply.flags == SYN | ACK | (ECE if agreed else 0)
    answer = Segment(SERVER.remote_port, 80, 101, wrap(reply.seq + 1), ACK, 1000, payload=(b"x",))
    _, connection = listener.segment_arrives(SERVER.flow, answer, MSS, 0, codepoint=CE)
    assert connection is not None
    assert (connection.ecn is not None) == agreed
    if connection.ecn is not None:
        # The segment that ends the handshake may carry data, and a mark.
        assert connection.ecn.echo


@pytest.mark.parametrize("flags", [ECE, 0, ECE | CWR])
def test_of_two_that_open_at_once_both_have_to_agree(flags: int) -> None:
    """The peer asked in the SYN that crossed ours. That it has seen us ask, only its SYN,ACK says."""
    end = End(SYN | ECE | CWR)
    assert end.tcb.ecn is not None
    end.arrive(SYN | ACK | flags, seq=PEER - 1)
    assert end.tcb.state == states.ESTABLISHED
    assert (end.tcb.ecn is not None) == (flags == ECE)


# --- the receiver ---------------------------------------------------------------------------------------------------


@pytest.mark.requirement("SHLD-8")
def test_a_mark_is_echoed_at_once_and_until_cwr() -> None:
    end = End()
    end.arrive(data=100, codepoint=ECT_0)
    end.poll()
    end.tcb.acknowledging.quick = 0
    end.arrive(data=100, codepoint=ECT_0)
    assert end.answered() == 0
    end.arrive(data=100, codepoint=CE)
    assert end.tcb.why_ack is reasons.ACK_OF_CE
    assert end.answered() == ACK | ECE
    end.arrive(data=100, codepoint=ECT_0)
    assert end.answered() == ACK | ECE
    # On data, and on duplicate acknowledgments too.
    assert end.write(10)[0][0].flags == ACK | PSH | ECE
    reply = end.arrive(data=100, seq=end.received + 500)
    assert reply is not None
    assert reply.flags == ACK | ECE
    end.arrive(ACK | CWR, data=100, codepoint=ECT_0)
    assert end.answered() == ACK
    assert end.tcb.ecn is not None
    assert not end.tcb.ecn.echo


def test_a_mark_beside_cwr_is_a_new_one() -> None:
    end = End()
    end.arrive(data=100, codepoint=CE)
    end.poll()
    end.arrive(ACK | CWR, data=100, codepoint=CE)
    assert end.answered() == ACK | ECE


def test_cwr_is_acknowledged_at_once() -> None:
    """Its sender may have the smallest of windows now."""
    end = End()
    end.arrive(data=100, codepoint=ECT_0)
    end.poll()
    end.tcb.acknowledging.quick = 0
    end.arrive(ACK | CWR, data=100, codepoint=ECT_0)
    assert end.answered() == ACK


def test_marks_on_what_is_no_new_data_mean_nothing() -> None:
    end = End()
    end.arrive(data=100, codepoint=ECT_0)
    end.poll()
    end.arrive(codepoint=CE)
    # A copy, and octets beyond the window: whoever sent them may not be the peer.
    end.arrive(data=100, seq=PEER, codepoint=CE)
    end.arrive(data=100, seq=PEER + 10_000_000, codepoint=CE)
    assert end.tcb.ecn is not None
    assert not end.tcb.ecn.echo


@pytest.mark.parametrize("codepoint", [ECT_0, ECT_1, CE])
def test_data_without_ect_after_some_with_it_are_acknowledged_at_once(codepoint: int) -> None:
    end = End()
    end.arrive(data=100, codepoint=codepoint)
    end.poll()
    end.tcb.acknowledging.quick = 0
    end.tcb.acknowledging.interactive = True
    end.arrive(data=100)
    assert end.answered()
    assert end.tcb.ecn is not None
    assert end.tcb.ecn.seen


# --- the sender -----------------------------------------------------------------------------------------------------


@pytest.mark.requirement("SHLD-8")
def test_an_echo_halves_the_window_once_and_cwr_tells_it_once() -> None:
    end = End()
    end.write(100 * MSS)
    flight = end.tcb.snd_nxt - end.tcb.snd_una
    assert flight == 10 * MSS
    # The echoes of the same window of data reduce it once, to 5 segments. RFC 9937 §6.2: every second one that arrives
    # lets one go, the first at once, until 5 are in flight.
    sent = []
    for number in range(1, 11):
        end.arrive(ACK | ECE, ack=1001 + number * MSS)
        assert end.tcb.ssthresh == 5 * MSS
        sent.append([(segment.flags, codepoint) for segment, codepoint in end.poll()])
    assert sent == [[(ACK | CWR, ECT_0)], [], *[[(ACK, ECT_0)], []] * 3, [], [(ACK, ECT_0)]]
    assert end.tcb.cwnd == 5 * MSS
    # What is acknowledged now was sent with CWR: an echo that goes on is of a new mark. Five halved are 2, in whole
    # segments.
    end.arrive(ACK | ECE, ack=1001 + 11 * MSS)
    assert end.tcb.ssthresh == 2 * MSS
    assert [(segment.flags, codepoint) for segment, codepoint in end.poll()] == [(ACK | CWR, ECT_0)]
    assert end.tcb.snd_una == 1001 + 11 * MSS


def test_nothing_is_sent_again_for_a_mark() -> None:
    end = End()
    end.write(20 * MSS)
    end.arrive(ACK | ECE, ack=1001 + MSS)
    assert end.tcb.sent.lost == 0
    assert not end.tcb.recovery.in_recovery()


def test_tcp_info_tells_of_it() -> None:
    end = End()

    def info(name: str) -> int:
        return tcp_info(end.tcb, end.now)[name]

    assert info("tcpi_options") & (TCPI_OPT_ECN | TCPI_OPT_ECN_SEEN) == TCPI_OPT_ECN
    end.arrive(data=100, codepoint=ECT_0)
    assert info("tcpi_options") & (TCPI_OPT_ECN | TCPI_OPT_ECN_SEEN) == TCPI_OPT_ECN | TCPI_OPT_ECN_SEEN
    end.write(100 * MSS)
    assert info("tcpi_ca_state") == TCP_CA_OPEN
    end.arrive(ACK | ECE, ack=1001 + MSS)
    assert info("tcpi_ca_state") == TCP_CA_CWR
    end.arrive(ACK, ack=1001 + 10 * MSS)
    end.poll()
    end.arrive(ACK, ack=1001 + 11 * MSS)
    assert info("tcpi_ca_state") == TCP_CA_OPEN
    assert tcp_info(End(SYN | ACK).tcb, 0)["tcpi_options"] & (TCPI_OPT_ECN | TCPI_OPT_ECN_SEEN) == 0


def test_what_is_sent_again_is_neither_ect_nor_cwr() -> None:
    end = End()
    end.write(20 * MSS)
    end.arrive(ACK | ECE, ack=1001 + MSS)
    end.now = end.tcb.timers.deadlines[timers.RETRANSMISSION]
    end.tcb.deadline_reached(end.now)
    ((segment, codepoint),) = end.poll()
    assert (segment.seq, segment.flags, codepoint) == (1001 + MSS, ACK, NOT_ECT)
    # An old echo reduces nothing while the loss is mended.
    end.arrive(ACK | ECE, ack=1001 + 2 * MSS)
    assert end.tcb.ssthresh == 5 * MSS


def test_a_loss_in_the_window_of_a_mark_reduces_once() -> None:
    end = End()
    end.write(100 * MSS)
    end.arrive(ACK | ECE, ack=1001 + MSS)
    for _ in range(3):
        end.arrive(ACK | ECE, ack=1001 + MSS)
    assert end.tcb.recovery.in_recovery()
    assert end.tcb.ssthresh == 5 * MSS
    # A mark on what was lost in recovery counts for nothing either.
    end.arrive(ACK | ECE, ack=1001 + 3 * MSS)
    assert end.tcb.ssthresh == 5 * MSS


def test_an_echo_while_a_loss_is_mended_reduces_nothing() -> None:
    end = End()
    end.write(100 * MSS)
    for _ in range(3):
        end.arrive(ACK, ack=1001)
    assert end.tcb.ssthresh == 5 * MSS
    end.arrive(ACK, ack=1001 + 2 * MSS)
    end.arrive(ACK | ECE, ack=1001 + 4 * MSS)
    assert end.tcb.recovery.in_recovery()
    assert end.tcb.ssthresh == 5 * MSS


def test_cwr_tells_of_a_loss_too() -> None:
    end = End()
    end.write(100 * MSS)
    for _ in range(3):
        end.arrive(ACK, ack=1001)
    end.poll()
    end.arrive(ACK, ack=1001 + 10 * MSS)
    first, *others = end.poll()
    assert (first[0].flags, first[1]) == (ACK | CWR, ECT_0)
    assert all(segment.flags == ACK for segment, _ in others)


def test_an_echo_on_a_duplicate_acknowledgment_counts() -> None:
    end = End()
    end.write(20 * MSS)
    end.arrive(ACK | ECE, ack=1001)
    assert end.tcb.ssthresh == 5 * MSS
    assert end.tcb.recovery.ca_state == TCP_CA_CWR


def test_an_old_echo_does_not() -> None:
    end = End()
    end.write(20 * MSS)
    end.arrive(ACK, ack=1001 + 3 * MSS)
    cwnd = end.tcb.cwnd
    end.arrive(ACK | ECE, ack=1001 + 2 * MSS)
    assert end.tcb.cwnd == cwnd
    # And one that asks for a reduction when nothing is in flight has come too late.
    end.arrive(ACK, ack=wrap(end.tcb.snd_nxt))
    end.poll()
    end.arrive(ACK, ack=wrap(end.tcb.snd_nxt))
    cwnd = end.tcb.cwnd
    end.arrive(ACK | ECE, ack=wrap(end.tcb.snd_nxt))
    assert end.tcb.cwnd == cwnd


def test_the_first_segment_of_a_superpacket_carries_cwr() -> None:
    end = End()
    end.write(100 * MSS)
    end.arrive(ACK | ECE, ack=1001 + MSS)
    end.arrive(ACK, ack=1001 + 10 * MSS)
    end.tcb.parameters.tcp_min_tso_segs = 44
    segment = end.tcb.poll_transmit(end.now, 65535)
    assert segment is not None
    assert segment.flags == ACK | CWR | PSH
    assert segment.segment_size == MSS
    again = end.tcb.poll_transmit(end.now, 65535)
    assert again is None


def test_a_probe_of_the_paths_mtu_is_new_data() -> None:
    end = End(tcp_mtu_probing=2, tcp_base_mss=500)
    end.tcb.cwnd = 20 * end.tcb.mss
    sent = end.write(100 * MSS)
    assert (sent[0][0].payload_length, sent[0][1]) == (750, ECT_0)


def test_no_probe_is_sent_while_the_window_is_being_reduced() -> None:
    end = End(tcp_mtu_probing=2, tcp_base_mss=500)
    end.room = 540
    assert {segment.payload_length for segment, _ in end.write(100 * MSS)} == {500}
    end.arrive(ACK | ECE, ack=1501)
    end.tcb.cwnd = 40 * MSS
    assert {segment.payload_length for segment, _ in end.poll()} == {500}
    end.arrive(ACK, ack=wrap(end.tcb.snd_nxt))
    end.tcb.cwnd = 40 * MSS
    assert 750 in {segment.payload_length for segment, _ in end.poll()}


def test_a_window_probe_and_a_keep_alive_probe_cannot_be_marked() -> None:
    end = End()
    end.tcb.set_keepalive(True, end.now)
    end.now = end.tcb.next_deadline()
    end.tcb.deadline_reached(end.now)
    ((segment, codepoint),) = end.poll()
    assert (segment.payload_length, codepoint) == (0, NOT_ECT)
