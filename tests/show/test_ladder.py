"""The ladder: what it says, that it stays true when segments cross, and that it never leaves its 100 cells."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from synfin import reasons
from synfin.show.history import History
from synfin.show.ladder import render_ladder
from synfin.show.narration import Narrate
from synfin.show.words import LANGUAGES, Language
from synfin.wire.ip import Packet
from synfin.wire.tcp import ACK, PSH, RST, SYN, URG, Options, Segment

if TYPE_CHECKING:
    from tests.show.conftest import World

    Worlds: TypeAlias = type[World]
    AnyWorld: TypeAlias = st.SearchStrategy[World]

MILLISECOND = 1_000_000
WHOLE = """\
       ms client                                                                              server
          192.0.2.1:49152                                                               192.0.2.2:80
          x = 3736019482                                                              y = 1187350921

                 CLOSED │                                                            │  CLOSED
    0.000        CLOSED │                                                     LISTEN │ *LISTEN
    0.000        CLOSED │ OPEN                                                       │  LISTEN
    0.000     *SYN-SENT │ [1] SYN seq=0 win=502 len=0                                │  LISTEN
                        │     mss=1460 sackOK TS=7/0 wscale=7                        │
   10.000      SYN-SENT ├───────────────────────────────────────────────────────────►│ *SYN-RECEIVED
   10.000      SYN-SENT │ [2] SYN+ACK seq=0 ack=1 win=502 len=0                      │  SYN-RECEIVED
                        │     mss=1460 sackOK TS=7/0 wscale=7                        │
   20.000  *ESTABLISHED │◄───────────────────────────────────────────────────────────┤  SYN-RECEIVED
   20.000   ESTABLISHED │ [3] ACK seq=1 ack=1 win=64256 len=0                        │  SYN-RECEIVED
   30.000   ESTABLISHED ├───────────────────────────────────────────────────────────►│ *ESTABLISHED
   30.000   ESTABLISHED │ SEND 100 octets                                            │  ESTABLISHED
   30.000   ESTABLISHED │     PSH+ACK seq=1 ack=1 win=64256 len=100                  │  ESTABLISHED
   40.000   ESTABLISHED ├───────────────────────────────────────────────────────────►│  ESTABLISHED
   40.000   ESTABLISHED │     ACK seq=1 ack=101 win=64256 len=0                      │  ESTABLISHED
   50.000   ESTABLISHED │◄───────────────────────────────────────────────────────────┤  ESTABLISHED
   50.000   ESTABLISHED │ CLOSE                                                      │  ESTABLISHED
   50.000   *FIN-WAIT-1 │ [4] FIN+ACK seq=101 ack=1 win=64256 len=0                  │  ESTABLISHED
   60.000    FIN-WAIT-1 ├───────────────────────────────────────────────────────────►│ *CLOSE-WAIT
   60.000    FIN-WAIT-1 │ [5] ACK seq=1 ack=102 win=64256 len=0                      │  CLOSE-WAIT
   70.000   *FIN-WAIT-2 │◄───────────────────────────────────────────────────────────┤  CLOSE-WAIT
   70.000    FIN-WAIT-2 │                                                      CLOSE │  CLOSE-WAIT
   70.000    FIN-WAIT-2 │ [6] FIN+ACK seq=1 ack=102 win=64256 len=0                  │ *LAST-ACK
   80.000    *TIME-WAIT │◄───────────────────────────────────────────────────────────┤  LAST-ACK
   80.000     TIME-WAIT │ [7] ACK seq=102 ack=2 win=64256 len=0                      │  LAST-ACK
   90.000     TIME-WAIT ├───────────────────────────────────────────────────────────►│ *CLOSED
60090.000       *CLOSED │ 2MSL are over                                              │  CLOSED

segments: 9, lost: 0, retransmissions: 0   * the state has just changed
seq and ack are counted from the initial sequence numbers x and y"""

CLOSE_IN_CHINESE = """\
   50.000   *FIN-WAIT-1 │ 报文4 FIN+ACK seq=101 ack=1 win=64256 len=0                │  ESTABLISHED
   60.000    FIN-WAIT-1 ├───────────────────────────────────────────────────────────►│ *CLOSE-WAIT"""


def whole(world: Worlds) -> World:
    made = world(x=3736019482, y=1187350921)
    made.open()
    made.exchange()
    made.close()
    return made


def ladder(
    made: World,
    *,
    language: Language = "en",
    relative: bool = True,
    color: bool = False,
    times: bool = True,
    narrate: Narrate = "no",
) -> str:
    history = History.from_events(made.events)
    return render_ladder(history, language=language, relative=relative, color=color, times=times, narrate=narrate)


def segment(packet: Packet) -> Segment:
    assert isinstance(packet.payload, Segment)
    return packet.payload


def plain(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def line_with(text: str, wanted: str) -> str:
    (found,) = [line for line in text.split("\n") if wanted in line]
    return found


@pytest.mark.row("E6")
def test_a_whole_connection(world: Worlds) -> None:
    assert ladder(whole(world)) == WHOLE


@pytest.mark.row("E6")
def test_a_whole_connection_in_chinese(world: Worlds) -> None:
    text = ladder(whole(world), language="zh")
    assert CLOSE_IN_CHINESE in text
    assert [text.count(f"报文{number} ") for number in range(1, 8)] == [1] * 7
    lines = text.split("\n")
    assert lines[0].split() == ["毫秒", "客户端", "服务器"]
    assert cell_len(lines[0]) == 100
    assert "报文段：9，丢失：0，重传：0" in text
    # Each state that appears has its Chinese name below, and no other.
    assert "FIN-WAIT-2 终止等待 2" in text
    assert "CLOSING" not in text


def test_absolute_numbers(world: Worlds) -> None:
    text = ladder(whole(world), relative=False)
    assert "[2] SYN+ACK seq=1187350921 ack=3736019483 " in text
    assert "[7] ACK seq=3736019584 ack=1187350923 " in text
    assert "counted from" not in text


def test_a_closed_port_has_no_numbers_to_count_from(world: Worlds) -> None:
    """Its RST has seq 0 (RFC 9293 §3.10.7.1), also where the same end opens later and then has an initial number."""
    made = world()
    made.carry(0, SYN, state="SYN-SENT")
    refusal = made.packet(1, RST | ACK, seq=0)
    number = made.send(1, refusal)
    made.time += 10 * MILLISECOND
    made.arrive(0, refusal, number, "CLOSED", reasons.REFUSED)
    made.carry(1, SYN, state="SYN-SENT")
    assert "RST+ACK seq=0 ack=1 len=0" in ladder(made)
    assert "RST+ACK seq=0 ack=1001 len=0" in ladder(made, relative=False)


def test_what_is_damaged_is_not_called_lost(world: Worlds) -> None:
    made = world()
    made.open()
    packet = made.packet(0, PSH | ACK, 100)
    made.lose(0, packet, made.send(0, packet), reasons.DAMAGED)
    assert re.search(r"├─+ ✗ damaged +│\n", ladder(made))
    assert re.search(r"├─+ ✗ 损坏 +│\n", ladder(made, language="zh"))


def test_lost(world: Worlds) -> None:
    made = world()
    made.open()
    packet = made.packet(0, PSH | ACK, 100)
    made.lose(0, packet, made.send(0, packet))
    made.time += 200 * MILLISECOND
    again = made.packet(0, PSH | ACK, 100, seq=segment(packet).seq)
    number = made.send(0, again, reason=reasons.RETRANSMISSION_TIMEOUT)
    made.time += 10 * MILLISECOND
    made.arrive(1, again, number)
    answer = made.packet(1, ACK)
    made.lose(1, answer, made.send(1, answer))
    text = ladder(made)
    assert re.search(r"│ +PSH\+ACK seq=1 ack=1 win=64256 len=100 +│.*\n +├─+ ✗ lost +│\n", text)
    assert re.search(r"├─+ retransmission ─+►│", text)
    assert re.search(r"│ +lost ✗ ─+┤", text)
    assert "segments: 6, lost: 2, retransmissions: 1" in text
    text = ladder(made, language="zh")
    assert re.search(r"├─+ ✗ 丢失 +│\n", text)
    assert "丢失：2，重传：1" in text


@pytest.mark.row("A13")
def test_crossing_segments_are_drawn_apart(world: Worlds) -> None:
    made = world()
    syns = [made.packet(end, SYN) for end in (0, 1)]
    numbers = []
    for end in (0, 1):
        numbers.append(made.send(end, syns[end], "SYN-SENT", reasons.SYN_SENT, reasons.ACTIVE_OPEN))
        made.time += MILLISECOND
    for end in (1, 0):
        made.time += 5 * MILLISECOND
        made.arrive(end, syns[1 - end], numbers[1 - end], "SYN-RECEIVED", reasons.SIMULTANEOUS_SYN)
    lines = ladder(made).split("\n")[4:-3]
    # Where segments cross, each line's states are those of its moment.
    states = [re.findall(r"\*?[A-Z]+(?:-[A-Z]+)*(?= +[│├]|$)", line) for line in lines if line[:9].strip()]
    assert states == [
        ["*SYN-SENT", "CLOSED"],
        ["SYN-SENT", "*SYN-SENT"],
        ["SYN-SENT", "*SYN-RECEIVED"],
        ["*SYN-RECEIVED", "SYN-RECEIVED"],
    ]
    assert sum("►" in line for line in lines) == sum("◄" in line for line in lines) == 1
    assert re.search(r"│ +┄┄┄─+ \[1a\] ─+►│ \*SYN-RECEIVED", "\n".join(lines))
    assert re.search(r"│◄─+ \[1b\] ─+┄┄┄ +│", "\n".join(lines))


def test_a_loss_that_is_told_late(world: Worlds) -> None:
    made = world()
    made.open()
    first = made.packet(0, PSH | ACK, 100)
    number = made.send(0, first)
    made.carry(0, PSH | ACK, 50)
    made.lose(0, first, number)
    assert "┄┄┄─── seq=1 len=100 ✗ lost" in ladder(made)


def test_duplicates_drops_and_what_never_came(world: Worlds) -> None:
    made = world()
    made.open()
    packet = made.packet(0, PSH | ACK, 100)
    number = made.send(0, packet)
    made.time += MILLISECOND
    made.arrive(1, packet, number)
    made.arrive(1, packet, number, "", reasons.DUPLICATE_DATA, dropped=True)
    stray = made.packet(1, ACK, seq=1)
    made.arrive(0, stray, made.send(1, stray), "", reasons.OUTSIDE_WINDOW, dropped=True)
    made.send(0, made.packet(0, PSH | ACK, 7))
    text = ladder(made)
    assert "┄┄┄─── seq=1 len=100 arrives again, dropped ─" in text
    assert re.search(r"│◄─+ dropped ─+┤", text)
    assert re.search(r"├─+┄┄┄ not seen to arrive ", text)
    answer = made.packet(1, ACK)
    number = made.send(1, answer)
    made.call(1, "CLOSE")
    made.arrive(0, answer, number)
    reset = made.packet(1, RST)
    number = made.send(1, reset)
    made.call(1, "CLOSE")
    made.arrive(0, reset, number)
    text = ladder(made)
    assert re.search(r"│◄─+ ACK ack=101 ───┄┄┄", text)
    assert re.search(r"│◄─+ RST ───┄┄┄", text)


def test_options_urgent_data_and_sack(world: Worlds) -> None:
    made = world()
    made.open()
    made.send(1, made.packet(1, ACK, options=Options(sack=((1101, 1201), (1301, 1401)))))
    urgent = made.packet(0, URG | ACK, 5)
    segment(urgent).up = 5
    made.send(0, urgent)
    text = ladder(made)
    assert "mss=1460 sackOK TS=7/0 wscale=7" in text
    assert "sack=101-201 sack=301-401" in text
    assert "ACK+URG seq=1 ack=1 win=64256 len=5 up=5" in text
    assert "sack=1101-1201" in ladder(made, relative=False)


def test_what_the_ladder_leaves_out(world: Worlds) -> None:
    made = world()
    made.open()
    made.call(1, "RECEIVE", 100)
    made.send(0, made.packet(0, ACK, options=Options(ts_val=77, ts_ecr=78)))
    text = ladder(made)
    assert "RECEIVE 100" not in text
    assert "77" not in text


def test_narrate(world: Worlds) -> None:
    text = ladder(whole(world), narrate="full")
    assert "(RFC 9293 §3.10.4)" in text
    lines = text.split("\n")
    fin = next(at for at, line in enumerate(lines) if "[4]" in line)
    arrow = next(at for at, line in enumerate(lines) if at > fin and "►" in line)
    # What was sent and why, the arrow, what became of it.
    assert "The client has no more to send: FIN, seq=u=101;" in lines[fin + 1]
    assert "The FIN of the client says that no more will come:" in lines[arrow + 1]
    text = ladder(whole(world), narrate="full", language="zh")
    assert "客户端的数据已发完，发送 FIN，seq=u=101" in text
    assert "（RFC 9293 §3.10.4）" in text


def test_a_mapping_tells_its_rows_alone(world: Worlds) -> None:
    history = History.from_events(whole(world).events)
    fin = history.message(4)
    assert fin is not None
    plain, told = render_ladder(history), render_ladder(history, narrate={fin: "This is where it ends."})
    more = [line for line in told.split("\n") if line not in plain.split("\n")]
    assert [line.split("│")[1].strip() for line in more] == ["This is where it ends."]


def test_without_times(world: Worlds) -> None:
    text = ladder(whole(world), times=False)
    assert "10.000" not in text
    assert "ms" not in text.split("\n")[0]
    assert text.split("\n")[0].startswith("client")
    assert max(map(cell_len, text.split("\n"))) == 100


def test_long_times_are_seconds(world: Worlds) -> None:
    made = world()
    made.open()
    made.time = 10**7 * 10**9
    made.carry(0, PSH | ACK, 1)
    text = ladder(made)
    assert text.split("\n")[0].split()[0] == "s"
    assert "\n10000000.000 " in text
    assert "\n       0.010 " in text


@pytest.mark.parametrize("language", LANGUAGES)
def test_color_adds_nothing_but_color(world: Worlds, language: Language) -> None:
    made = whole(world)
    colored = ladder(made, color=True, language=language)
    assert plain(colored) == ladder(made, language=language)
    assert "\x1b[1;32m*FIN-WAIT-1\x1b[0m" in colored
    assert "\x1b" not in ladder(made, language=language)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_one_sided_trace(world: Worlds, language: Language) -> None:
    made = world(wire=False)
    made.open()
    made.close()
    made.events = [event for event in made.events if event.host == "server"]
    text = ladder(made, language=language)
    lines = text.split("\n")
    assert lines[0].split()[1:] == (["client", "server"] if language == "en" else ["客户端", "服务器"])
    assert all(" ? │" in line or " ? ├" in line for line in lines[4:-4] if line[:9].strip())
    assert "not seen" not in text
    assert "未见" not in text


def test_names_of_hosts_that_are_not_client_and_server(world: Worlds) -> None:
    made = world(names=("alice", "bob"))
    made.open()
    assert ladder(made).split("\n")[0].split("  ")[-1].strip() == "bob (server)"
    assert ladder(made).split("\n")[0].split()[1:3] == ["alice", "(client)"]
    assert "alice（客户端）" in ladder(made, language="zh")


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("\x1b[31mred\x07", r"\x1b[31mred\x07"),
        ("two\nlines\r\t", r"two\nlines\r\t"),
        ("\u202eright to left", r"\u202eright to left"),
        ("half\ud800", r"half\ud800"),
        ("zero\u200bwidth\u0301", r"zero\u200bwidth\u0301"),
        ("主机", "主机"),
    ],
)
def test_hostile_names_are_escaped(world: Worlds, name: str, shown: str) -> None:
    made = world(names=(name, "server"))
    made.open()
    text = ladder(made)
    assert f"{shown} (client)" in text
    assert set(text) <= set(f"{shown}{ladder(whole(world))}()")
    text.encode()


def test_hostile_calls_and_states_are_escaped(world: Worlds) -> None:
    made = world()
    made.open()
    made.call(0, "\x1b]0;title\x07")
    made.carry(0, ACK, 0, "\x1b[2J" * 9)
    text = ladder(made)
    assert "\x1b" not in text
    assert r"\x1b]0;title\x07" in text
    assert all(cell_len(line) <= 100 for line in text.split("\n"))


def test_a_long_ipv6_connection_fits(world: Worlds) -> None:
    address = "2001:db8:1111:2222:3333:4444:5555:666"
    made = world(names=("长" * 60, "n" * 200), addresses=(f"{address}6", f"{address}7"))
    made.open()
    text = ladder(made)
    assert all(cell_len(line) <= 100 for line in text.split("\n"))
    assert f"[{address}6]:49152" in text
    assert f"[{address}7]:80" in text


@given(
    data=st.data(),
    relative=st.booleans(),
    narrate=st.sampled_from(("no", "short", "full")),
    times=st.booleans(),
    width=st.integers(72, 100),
)
def test_no_line_is_too_long_and_the_rails_are_straight(
    any_world: AnyWorld, data: st.DataObject, relative: bool, narrate: Narrate, times: bool, width: int
) -> None:
    made = data.draw(any_world)
    try:
        history = History.from_events(made.events)
    except ValueError:
        return
    for language in LANGUAGES:
        text = render_ladder(history, language=language, relative=relative, times=times, width=width, narrate=narrate)
        lines = text.split("\n")
        assert all(cell_len(line) <= width for line in lines)
        assert all(char.isprintable() for line in lines for char in line)
        rails = set()
        for line in lines[lines.index("") + 1 :]:
            if line == "":
                break
            cells = [cell_len(line[:at]) for at, char in enumerate(line) if char in "│├┤"]
            rails.add((cells[0], cells[-1]))
        assert len(rails) == 1


def test_segments_are_called_by_their_numbers(world: Worlds) -> None:
    made = world()
    made.open()
    packet = made.packet(0, PSH | ACK, 100)
    number = made.send(0, packet)
    made.carry(1, ACK)
    made.arrive(1, packet, number)
    history = History.from_events(made.events)
    text = render_ladder(history, numbers=lambda sent: sent.number + 7)
    assert "[1] #8  SYN seq=0" in text
    # Where its arrow comes in, too.
    assert "#11 PSH+ACK seq=1 ack=1" in text
    assert "─── #11 seq=1 len=100 ─" in text
    assert "#" not in render_ladder(history, numbers=lambda sent: None)
    assert max(map(cell_len, text.split("\n"))) == 100


def test_times_count_from_where_they_are_told_to(world: Worlds) -> None:
    made = world()
    made.time = 5 * MILLISECOND
    made.open()
    history = History.from_events(made.events)
    assert line_with(render_ladder(history), "[3]").split()[0] == "20.000"
    assert line_with(render_ladder(history, start=0), "[3]").split()[0] == "25.000"


def test_a_long_ladder_is_cut_and_says_so(world: Worlds) -> None:
    made = world()
    made.open()
    for _ in range(10):
        made.exchange()
    history = History.from_events(made.events)
    text = render_ladder(history, most=5)
    assert "│ … 18 more" in text
    assert text.count("►│") + text.count("│◄") == 5
    assert "segments: 23" in text
    assert render_ladder(history, most=23) == render_ladder(history)
