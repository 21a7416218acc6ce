"""Profiles: what each sets, and each behaviour on which hosts differ, seen in what is sent."""

from __future__ import annotations

import itertools
import re

import pytest

from synfin.host.parameters import PARAMETERS, Parameters, parse, text
from synfin.host.profiles import PROFILES, parameters
from synfin.tcp.parameters import TcpParameters
from synfin.wire.tcp import ACK, FIN, RST, SYN, Options
from synfin.wire.tcp_options import (
    END_OF_LIST,
    MAXIMUM_SEGMENT_SIZE,
    NO_OPERATION,
    SACK_PERMITTED,
    TIMESTAMPS,
    WINDOW_SCALE,
    parse_options,
)
from tests.host.machine import OURS, THEIRS, Machine, Peer, segment_of, tcp
from tests.tcp.world import MS, SECOND, World, data, syn


def tcp_of(profile: str, **changes: int) -> TcpParameters:
    chosen = parameters(profile).tcp
    for name, value in changes.items():
        setattr(chosen, name, value)
    return chosen


def test_the_four() -> None:
    assert list(PROFILES) == ["linux", "linux-suite", "freebsd", "rfc"]
    assert all(profile.name == name for name, profile in PROFILES.items())
    with pytest.raises(KeyError):
        parameters("windows")


@pytest.mark.parametrize("name", PROFILES)
def test_values_fit_their_parameters_and_differ_from_linux(name: str) -> None:
    chosen = parameters(name)
    assert chosen.profile == name
    linux = Parameters()
    for parameter in PARAMETERS.values():
        value = chosen.get(parameter.name)
        assert parse(parameter, text(value)) == value
        expected = PROFILES[name].values.get(parameter.name, parameter.default)
        assert value == expected
    if name == "linux":
        assert not PROFILES[name].values
    else:
        assert any(linux.get(parameter) != value for parameter, value in PROFILES[name].values.items())


def test_changing_one_host_changes_no_profile() -> None:
    parameters("rfc").set("net.ipv4.tcp_syn_retries", "1")
    assert parameters("rfc").get("net.ipv4.tcp_syn_retries") == 7


@pytest.mark.parametrize("name", PROFILES)
def test_deviations_name_requirements_and_reasons(name: str) -> None:
    deviations = PROFILES[name].deviations
    assert all(re.fullmatch(r"(MUST|SHLD)-\d+", deviation.requirement) for deviation in deviations)
    assert all(len(deviation.reason) > 5 for deviation in deviations)
    named = [deviation.requirement for deviation in deviations]
    assert len(set(named)) == len(named)
    if name == "rfc":
        assert {number for number in named if number.startswith("MUST")} == {"MUST-51", "MUST-52", "MUST-53"}


def test_linux_suite_is_what_the_suites_set_first() -> None:
    chosen = parameters("linux-suite").tcp
    assert chosen.tcp_rmem == (4096, 540_000, 15 * 1024 * 1024)
    w = World(client=chosen)
    w.connect()
    opening = w.messages[0].segment
    assert opening.options.window_scale == 8
    assert opening.wnd == 65535


# --- opening


def opens(profile: str) -> list[float]:
    """When the SYNs of a connect towards nobody leave, in seconds, and at the end when it fails."""
    w = World(client=tcp_of(profile))
    w.server.segment_arrives = lambda segment: None  # type: ignore[method-assign]
    w.client.open()
    w.run()
    failed = w.now
    return [message.time / SECOND for message in w.messages if syn(message)] + [failed / SECOND]


def test_syns_of_linux() -> None:
    assert opens("linux")[:-1] == [0, 1, 2, 3, 4, 5, 7, 11, 19, 35, 67]
    assert opens("linux")[-1] == pytest.approx(131, abs=0.1)


def test_syns_of_linux_suite() -> None:
    assert opens("linux-suite")[:-1] == [0, 1, 3, 7, 15, 31]
    assert opens("linux-suite")[-1] == pytest.approx(63, abs=0.1)


def test_syns_of_the_rfc_last_three_minutes() -> None:
    times = opens("rfc")
    assert times[:-1] == [0, 1, 3, 7, 15, 31, 63, 127]
    assert times[-1] >= 180  # MUST-23


def test_syns_of_freebsd() -> None:
    assert opens("freebsd") == pytest.approx([0, 1.0, 2.2, 3.4, 4.6, 5.8, 8.0, 12.2, 20.4, 36.6, 68.8, 75.0])


def layout_of(options: Options) -> tuple[int, ...]:
    return parse_options(memoryview(options.encode())).layout


def test_options_of_a_syn_of_freebsd() -> None:
    w = World(client=tcp_of("freebsd"))
    w.client.open()
    options = w.message().segment.options
    assert options.window_scale == 6
    assert layout_of(options) == (
        MAXIMUM_SEGMENT_SIZE,
        NO_OPERATION,
        WINDOW_SCALE,
        SACK_PERMITTED,
        TIMESTAMPS,
    )


def test_options_of_a_syn_ack_of_freebsd_to_a_peer_that_has_none_but_sack() -> None:
    client = tcp_of("linux", tcp_timestamps=0, tcp_window_scaling=0)
    w = World(client=client, server=tcp_of("freebsd"))
    w.connect()
    options = w.messages[1].segment.options
    assert options.encode()[-2:] == bytes(2)
    assert layout_of(options) == (MAXIMUM_SEGMENT_SIZE, SACK_PERMITTED, END_OF_LIST)


def test_freebsd_rounds_its_window_to_whole_segments() -> None:
    w = World(client=tcp_of("freebsd"))
    w.connect()
    mss = 1448
    # The third message tells all of it, though the window grew by less than a segment.
    assert [message.segment.wnd for message in w.messages[:3]] == [65535, 64240, -(-w.client.tcb.rcv_buf // 64)]
    assert w.client.tcb.rcv_buf % mss == 0
    assert w.client.tcb.window_space == w.client.tcb.rcv_buf >= 65536


def test_a_listener_and_a_syn_with_a_fin() -> None:
    def answers(profile: str) -> int:
        machine = Machine(parameters(profile))
        machine.host.listen(OURS, 80, 5, 0)
        return len(Peer(machine).says(SYN | FIN))

    assert answers("linux") == 0
    assert answers("rfc") == 1
    assert answers("freebsd") == 1


@pytest.mark.parametrize(("blackhole", "to_syn", "to_ack"), [(0, 1, 1), (1, 0, 1), (2, 0, 0)])
def test_a_black_hole(blackhole: int, to_syn: int, to_ack: int) -> None:
    chosen = parameters("freebsd")
    chosen.set("synfin.tcp_blackhole", str(blackhole))
    machine = Machine(chosen)
    assert len(machine.gets(tcp(THEIRS, 1, OURS, 2, flags=SYN))) == to_syn
    assert len(machine.gets(tcp(THEIRS, 1, OURS, 2, flags=ACK))) == to_ack


# --- while it lives


def live(profile: str, **changes: int) -> World:
    w = World(client=tcp_of(profile, **changes), server=tcp_of(profile, **changes))
    w.connect()
    return w


def test_nagle_in_its_two_forms() -> None:
    def written(profile: str) -> int:
        w = live(profile)
        w.client.send(bytes(1448))
        w.flush()
        w.client.send(bytes(10))
        w.flush()
        return len([message for message in w.messages if data(message)])

    assert written("linux") == 2  # Minshall's: only a full segment is in flight
    assert written("rfc") == 1
    assert written("freebsd") == 1


def test_quick_acknowledgments() -> None:
    def acknowledged_after(profile: str) -> float:
        w = live(profile)
        w.client.send(bytes(100))
        w.flush()
        sent = w.now
        w.run_for(SECOND)
        (answer,) = [message for message in w.messages if message.sender == "server" and message.time > sent]
        return (answer.time - sent) / MS

    assert acknowledged_after("linux") == 10
    assert acknowledged_after("freebsd") == 50
    assert acknowledged_after("rfc") == 50


@pytest.mark.parametrize(("profile", "later"), [("linux", 40), ("linux-suite", 40), ("freebsd", 0), ("rfc", 0)])
def test_the_acknowledgment_of_a_fin(profile: str, later: int) -> None:
    w = World(tcp_of(profile), tcp_of(profile))
    w.connect()
    w.client.send(b"request")
    w.run_for(SECOND)
    w.client.close()
    w.run_for(SECOND)
    assert w.messages[-1].time - w.messages[-2].arrived_at == later * MS
    assert (w.messages[-1].segment.flags, w.states()) == (ACK, ("FIN-WAIT-2", "CLOSE-WAIT"))


def test_the_least_rto() -> None:
    def rto(profile: str) -> float:
        w = live(profile)
        return w.client.tcb.round_trip.rto / MS

    assert rto("linux") == 220
    assert rto("freebsd") == 20 + 40 + 200
    assert rto("rfc") == 1000


@pytest.mark.parametrize("profile", ["rfc", "freebsd"])
def test_a_window_probe_with_an_octet_of_data(profile: str) -> None:
    server = tcp_of(profile)
    server.tcp_rmem = (20_000, 20_000, 20_000)
    w = World(client=tcp_of(profile), server=server)
    w.connect()
    payload = bytes(range(250)) * 400
    w.client.write(payload)
    w.run_for(2 * SECOND)
    assert w.client.tcb.snd_wnd < w.client.tcb.mss
    w.run_for(600 * SECOND)
    probes = [message for message in w.messages if data(message) and message.segment.payload_length == 1]
    # The first may still be taken: what a scaled window says is rounded.
    last = [message for message in probes if message.segment.seq == probes[-1].segment.seq]
    assert len(last) > 5, "the same octet each time"
    gaps = [later.time - sooner.time for sooner, later in itertools.pairwise(last)]
    longest = tcp_of(profile).tcp_rto_max_ms * MS
    for sooner, later in itertools.pairwise(gaps):  # SHLD-30
        assert later == longest or later == pytest.approx(2 * sooner, rel=0.3)
    assert w.states() == ("ESTABLISHED", "ESTABLISHED")  # MUST-37
    assert w.client.tcb.cwnd > w.client.tcb.mss, "no congestion was found"
    w.server.reading = True
    w.run_for(70 * SECOND)
    assert bytes(w.server.received) == payload


def test_linux_probes_without_data() -> None:
    server = tcp_of("linux")
    server.tcp_rmem = (20_000, 20_000, 20_000)
    w = World(server=server)
    w.connect()
    w.client.write(bytes(100_000))
    w.run_for(600 * SECOND)
    assert not [message for message in w.messages if data(message) and message.segment.payload_length == 1]


def test_slow_start_after_idle() -> None:
    def window_after_a_pause(profile: str) -> bool:
        w = live(profile)
        w.server.reading = True
        w.client.write(bytes(200_000))
        w.run_for(60 * SECOND)
        before = w.client.tcb.cwnd
        w.client.send(b"x")
        w.run_for(SECOND)
        return w.client.tcb.cwnd >= before

    assert not window_after_a_pause("linux")
    assert window_after_a_pause("linux-suite")


@pytest.mark.row("D1")
@pytest.mark.parametrize(("profile", "probes"), [("linux", 9), ("freebsd", 8), ("rfc", 10)])
def test_how_many_keep_alive_probes_go_unanswered(profile: str, probes: int) -> None:
    w = live(profile)
    w.client.tcb.set_keepalive(True, w.now)
    before = len(w.messages)
    w.lose(lambda message: True, 1, 100)
    began = w.now
    w.run()
    assert len([m for m in w.messages[before:] if m.sender == "client" and not m.segment.flags & RST]) == probes
    assert (w.now - began) / SECOND == pytest.approx(7200 + probes * 75, abs=1)


# --- before RFC 5961


def meets(name: str, flags: int) -> str:
    """The state after a segment in the window, not at its edge, and whether a RST came back."""
    chosen = parameters("freebsd")
    if name:
        chosen.set(name, "1")
    machine = Machine(chosen)
    machine.host.listen(OURS, 80, 5, 0)
    peer = Peer(machine)
    peer.says(SYN)
    peer.says(ACK)
    answers = machine.gets(peer.packet(flags, seq=peer.seq + 10))
    return peer.state + (" RST" if any(segment_of(answer).flags & RST for answer in answers) else "")


def test_insecure_resets() -> None:
    assert meets("", RST) == "ESTABLISHED"
    assert meets("synfin.tcp_insecure_rst", RST) == "CLOSED"


def test_insecure_syns() -> None:
    assert meets("", SYN) == "ESTABLISHED"
    assert meets("synfin.tcp_insecure_syn", SYN) == "CLOSED RST"


def test_every_behaviour_is_set_by_some_profile_or_is_a_switch() -> None:
    """`synfin.*` stands for what differs between hosts: each is used by a profile, or is a bound or a switch."""
    switches = {
        "ipfrag_max_fragments",
        "blackhole",
        "insecure_rst",
        "insecure_syn",
        "delack_min",
        "loss_recovery",
        "hystart",
        "pacing",
        "pacing_quantum_us",
    }
    used = {name for profile in PROFILES.values() for name in profile.values}
    for name in PARAMETERS:
        if name.startswith("synfin."):
            assert name in used or name.removeprefix("synfin.").removeprefix("tcp_") in switches, name
