"""Histories told in sentences: every happening has one, in both languages, and it says what the row proves."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING, Final, TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from synfin import reasons
from synfin.events import PacketDelivered
from synfin.lab import whole_life
from synfin.reasons import Reason, all_reasons
from synfin.show.history import Arrival, Endpoint, History, Loss, Remark, Row, StateChange, Transmission, UserCall
from synfin.show.ladder import render_ladder
from synfin.show.ladder_svg import render_ladder_svg
from synfin.show.ladder_text import QUIET_CALLS
from synfin.show.narration import Narrator, sentences
from synfin.show.narration_arrived import ARRIVED, LOST
from synfin.show.narration_changes import CALLED, CHANGED, MOVES, MOVES_WITH_DATA
from synfin.show.narration_sent import SENT
from synfin.show.words import LANGUAGES, Language
from synfin.tcp import states
from synfin.wire.tcp import ACK, FIN, PSH, RST, SYN, Options, Segment

if TYPE_CHECKING:
    from tests.show.conftest import World

    AnyWorld: TypeAlias = st.SearchStrategy[World]

MILLISECOND = 1_000_000
#: What congestion control decides is no row of a history.
NO_ROW: Final = {
    reason.name
    for reason in (
        reasons.INITIAL_WINDOW,
        reasons.IDLE_RESTART,
        reasons.SLOW_START,
        reasons.CONSERVATIVE_SLOW_START,
        reasons.SLOW_START_LEFT,
        reasons.CONGESTION_AVOIDANCE,
        reasons.CUBIC_RENO_FRIENDLY,
        reasons.CUBIC_CONCAVE,
        reasons.CUBIC_CONVEX,
        reasons.WINDOW_UNUSED,
        reasons.WINDOW_NOT_VALIDATED,
        reasons.ECN_ECHO,
        reasons.FAST_RECOVERY,
        reasons.RATE_REDUCTION,
        reasons.UNDONE_BY_TIMESTAMP,
        reasons.UNDONE_BY_DSACK,
        reasons.SPURIOUS_TIMEOUT,
        reasons.LOSS_PROBE_MENDED,
        reasons.SACK_RENEGED,
        reasons.SACK_DISCARDED,
        reasons.DSACK_RECEIVED,
        reasons.DSACK_IGNORED,
        reasons.REORDERING_SEEN,
        reasons.FULL_ACKNOWLEDGMENT,
    )
}
BY_NAME: Final = {reason.name: reason for reason in all_reasons()}
both = pytest.mark.parametrize("language", LANGUAGES)


def client_and_server() -> tuple[Endpoint, Endpoint]:
    addresses = bytes([10, 0, 0, 1]), bytes([10, 0, 0, 2])
    ports = (40000).to_bytes(2, "big"), (80).to_bytes(2, "big")
    client = Endpoint(addresses[1] + addresses[0] + ports[1] + ports[0], "client", True, opened="active")
    server = Endpoint(addresses[0] + addresses[1] + ports[0] + ports[1], "server", True, opened="passive")
    client.initial_numbers, server.initial_numbers = [1000], [5000]
    return client, server


def segment(flags: int = ACK, octets: int = 0) -> Segment:
    payload = (bytes(octets),) if octets else ()
    return Segment(40000, 80, 1016, 5016, flags, 502, Options(), payload)


def told_by(key: str) -> tuple[History, Transmission]:
    """A history whose last segment was sent for that reason, in that special case."""
    name, _, case = key.partition(":")
    client, server = client_and_server()
    flags = {"syn-repeated": SYN, "syn-sent": SYN, "syn-answered": SYN | ACK, "fin-sent": FIN | ACK}.get(name, ACK)
    octets = 0 if flags != ACK or name.startswith(("ack", "syn", "simul", "reset", "window-u", "challenge")) else 1460
    what = segment(flags | (FIN if case == "fin" else 0), octets)
    again = case == "again" or name in ("retransmission-timeout", "syn-repeated")
    first = Transmission(0, client, server, what, "ESTABLISHED", "ESTABLISHED", reasons.NEW_DATA)
    one = Transmission(
        1_250 * MILLISECOND,
        client,
        server,
        what,
        "ESTABLISHED",
        "ESTABLISHED",
        BY_NAME[name],
        retransmission=again and what.length > 0,
        messages=tuple(case.split("+")) if case and case[0].isdigit() else ("3",) if case == "again" else (),
        repeat=1 if case == "again" else 0,
    )
    return History(client, server, [first, one]), one


def every_kind_of_row() -> list[tuple[str, History, Row]]:
    """A row for each sentence that there is."""
    found: list[tuple[str, History, Row]] = []
    for key in SENT:
        history, one = told_by(key)
        found.append((f"sent {key}", history, one))
    client, server = client_and_server()
    sent = Transmission(0, client, server, segment(PSH | ACK, 1460), None, None, reasons.NEW_DATA)
    history = History(client, server, [sent])
    probe = Transmission(0, client, server, segment(), None, None, reasons.WINDOW_PROBE)
    for key in ARRIVED:
        name, _, case = key.partition(":")
        carrier = probe if case == "probe" else sent
        found.append((f"arrived {key}", history, Arrival(5, carrier, "LISTEN", "LISTEN", BY_NAME[name], told=True)))
    found += [(f"lost {name}", history, Loss(5, sent, BY_NAME[name])) for name in LOST]
    for name in CHANGED:
        change = StateChange(5, client, "ESTABLISHED", "CLOSED", BY_NAME[name])
        found.append((f"changed {name}", history, change))
    found += [(f"called {call}", history, UserCall(5, client, call, 1460)) for call in (*CALLED, "SOMETHING")]
    bare = Transmission(0, client, server, segment(FIN | ACK), None, None, None, messages=("5", "6"))
    for (old, new), (names, _) in MOVES.items():
        for name in sorted(names):
            found.append((f"{old} to {new}", history, Arrival(5, bare, old, new, BY_NAME[name], told=True)))
    alone = Transmission(0, client, server, segment(FIN | ACK), None, None, None, messages=("6",))
    skipped = Arrival(5, alone, "FIN-WAIT-1", "TIME-WAIT", reasons.FIN_RECEIVED, told=True)
    found.append(("the ACK before was lost", history, skipped))
    for old, new in MOVES_WITH_DATA:
        (name, *_), _ = sorted(MOVES[old, new][0]), None
        found.append((f"{old} to {new} with data", history, Arrival(5, sent, old, new, BY_NAME[name], told=True)))
    found.append(("arrived", history, Arrival(5, sent, None, None)))
    return found


def han(text: str) -> int:
    return sum(unicodedata.name(char, "").startswith("CJK UNIFIED") for char in text)


# --- everything has a sentence ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("reason", all_reasons(), ids=lambda reason: reason.name)
def test_every_reason_that_a_row_can_have_has_a_sentence(reason: Reason) -> None:
    tables = (SENT, ARRIVED, LOST, CHANGED, *(dict.fromkeys(names) for names, _ in MOVES.values()))
    assert any(reason.name in table for table in tables) == (reason.name not in NO_ROW)


def test_the_tables_know_no_other_reasons() -> None:
    for table in (SENT, ARRIVED, LOST, CHANGED):
        assert {key.partition(":")[0] for key in table} <= set(BY_NAME)
    for names, _ in MOVES.values():
        assert names <= set(BY_NAME)


@both
@pytest.mark.parametrize(
    ("old", "new"),
    sorted({(states.NAMES[old], states.NAMES[new]) for (old, _), new in states.TRANSITIONS.items()}),
)
def test_every_transition_is_told_and_explained(old: str, new: str, language: Language) -> None:
    client, server = client_and_server()
    sent = Transmission(0, server, client, segment(), None, None, None)
    history = History(client, server, [sent])
    narrator = Narrator(history, language)
    names, telling = MOVES.get((old, new), ({"reset-received", "gave-up", "user-aborted"}, None))
    assert telling is not None or new == "CLOSED"
    for name in sorted(names):
        row = Arrival(5, sent, old, new, BY_NAME[name], told=True)
        assert new in narrator.short(row) or new == "LISTEN"
        assert {"en": "client", "zh": "客户端"}[language] in narrator.short(row)
        assert len(narrator.full(row)) > len(narrator.short(row)) + 20


@both
@pytest.mark.parametrize(
    ("history", "row"), [one[1:] for one in every_kind_of_row()], ids=[one[0] for one in every_kind_of_row()]
)
def test_a_sentence_is_short_and_whole(history: History, row: Row, language: Language) -> None:
    narrator = Narrator(history, language)
    short, full = narrator.short(row), narrator.full(row)
    for text in (short, full):
        assert "{" not in text
        assert "  " not in text
    if language == "en":
        assert len(short) <= 90
        assert short.isascii()
        assert short.endswith((".", "?"))
        assert short[0].isupper() or not short[0].isalpha()
        assert "client" in short or "server" in short
    else:
        assert han(short) <= 40
        assert short.endswith(("。", "？"))
        assert "客户端" in short or "服务器" in short
    assert full.startswith(short)
    assert len(full) > len(short)
    reason = getattr(row, "reason", None)
    if reason is not None and reason.clause:
        assert reason.clause in full


@both
def test_no_two_happenings_are_told_alike(language: Language) -> None:
    told: dict[str, str] = {}
    for name, history, row in every_kind_of_row():
        # A SYN is told the same whatever was there before.
        name = "a SYN arrives" if name.endswith(" to SYN-RECEIVED") and "SYN-SENT" not in name else name
        # What a program does is told the same whether its call or the change that it made is the row.
        if not name.startswith("called"):
            assert told.setdefault(Narrator(history, language).short(row), name) == name


# --- the whole life --------------------------------------------------------------------------------------------------

WHOLE: Final = {
    "en": """\
The server listens: it waits for a SYN, whoever may send one.
The program of the client connects to the server.
The client asks for a connection: its numbers begin at x; it is now SYN-SENT.
The SYN of the client reaches the server, which is now SYN-RECEIVED.
The server agrees: its own numbers begin at y, and it expects x+1 next.
The client sees its SYN confirmed and knows the number of the server: ESTABLISHED.
The client confirms the SYN of the server: it expects y+1 next.
Only now does the server know that its own SYN arrived: it is ESTABLISHED.
The program of the client hands 14 octets to its TCP.
The client sends octets 1 to 14.
The server gets octets 1 to 14, just what it expected next.
The server acknowledges at once: it has all before 15.
The program of the server reads 14 octets.
The client learns that the server has all before 15.
The program of the server hands 14 octets to its TCP.
The server sends octets 1 to 14.
The client gets octets 1 to 14, just what it expected next.
The client acknowledges at once: it has all before 15.
The program of the client reads 14 octets.
The server learns that the client has all before 15.
The program of the client closes its side.
The client has no more to send: FIN, seq=u=15; it is now FIN-WAIT-1.
The FIN of the client says that no more will come: the server is in CLOSE-WAIT.
The server waits no longer for its own FIN: ack=u+1=16. It may still send.
The server has the FIN of the client, which is now in FIN-WAIT-2: half-closed.
The program of the server closes its side.
The server has no more to send either: FIN, seq=w=15; it is now LAST-ACK.
The server has no more to send either: the client now waits 2MSL in TIME-WAIT.
The client acknowledges the last FIN: ack=w+1=16.
The client has the last FIN: both directions are closed, and the server is CLOSED.
2MSL are over: the client forgets the connection and is CLOSED.""",
    "zh": """\
服务器开始监听，等待别人发来 SYN。
客户端的程序向服务器发起连接。
客户端请求建立连接，自己的序号从 x 开始，进入 SYN-SENT。
客户端的 SYN 到达服务器，服务器进入 SYN-RECEIVED。
服务器同意建立连接，自己的序号从 y 开始，期望收到 x+1。
客户端的 SYN 得到确认，它也知道了服务器的序号，进入 ESTABLISHED。
客户端确认服务器的 SYN，期望收到 y+1。
服务器这时才知道自己的 SYN 已到达，进入 ESTABLISHED。
客户端的程序把 14 字节交给 TCP。
客户端发送第 1 到 14 字节。
服务器收到第 1 到 14 字节，正是它期望的。
服务器立即确认：15 之前的都已收到。
服务器的程序读取 14 字节。
客户端得知服务器已收到 15 之前的全部数据。
服务器的程序把 14 字节交给 TCP。
服务器发送第 1 到 14 字节。
客户端收到第 1 到 14 字节，正是它期望的。
客户端立即确认：15 之前的都已收到。
客户端的程序读取 14 字节。
服务器得知客户端已收到 15 之前的全部数据。
客户端的程序关闭自己一侧。
客户端的数据已发完，发送 FIN，seq=u=15，进入 FIN-WAIT-1。
客户端的 FIN 表明不再有数据，服务器进入 CLOSE-WAIT。
服务器不再等自己的 FIN，先确认：ack=u+1=16，仍可以发送。
服务器已收到 FIN，客户端进入 FIN-WAIT-2：连接半关闭。
服务器的程序关闭自己一侧。
服务器的数据也已发完，发送 FIN，seq=w=15，进入 LAST-ACK。
服务器的数据也发完了，客户端进入 TIME-WAIT，等待 2MSL。
客户端确认最后的 FIN，ack=w+1=16。
客户端收到了最后的 FIN，两个方向都已关闭，服务器进入 CLOSED。
2MSL 结束，客户端忘记这条连接，进入 CLOSED。""",
}


@both
def test_the_whole_life(language: Language) -> None:
    history = History.from_events(whole_life.run())
    told = sentences(history, "short", language)
    assert [told[row] for row in history.rows] == WHOLE[language].split("\n")


def told_of(language: Language, *faults: str) -> list[str]:
    history = History.from_events(whole_life.run(0, faults))
    return list(sentences(history, "short", language).values())


def test_a_retransmission_says_how_long_nobody_answered_and_how_often_it_left() -> None:
    told = told_of("en", "lose 1st SYN", "lose 2nd SYN")
    assert "No answer for 1 s: the client sends the SYN again (retransmission 1)." in told
    assert "No answer for 1 s: the client sends the SYN again (retransmission 2)." in told
    assert "1 秒内没有应答，客户端重传 SYN（第 1 次重传）。" in told_of("zh", "lose 1st SYN")


def test_a_part_of_a_segment_that_left_before_is_counted_as_sent_again() -> None:
    client, server = client_and_server()
    whole = Segment(40000, 80, 1001, 5001, ACK, 502, Options(), (bytes(2000),))
    part = Segment(40000, 80, 1501, 5001, ACK, 502, Options(), (bytes(500),))
    why = reasons.RETRANSMISSION_TIMEOUT
    rows: list[Row] = [Transmission(0, client, server, whole, None, None, reasons.NEW_DATA)]
    for time in (1000, 3000):
        again = Transmission(time * MILLISECOND, client, server, part, None, None, why, retransmission=True)
        rows.append(again)
    narrator = Narrator(History(client, server, rows), "en")
    assert [narrator.short(row) for row in rows[1:]] == [
        "No ACK for 1 s: the client sends octets 501 to 1000 again (retransmission 1).",
        "No ACK for 2 s: the client sends octets 501 to 1000 again (retransmission 2).",
    ]


def test_where_an_ack_was_lost_three_messages_were_not_enough() -> None:
    """FIN-WAIT-1 to TIME-WAIT, though four messages were sent."""
    history = History.from_events(whole_life.run_and_lose(5))
    told = list(sentences(history, "short", "en").values())
    assert not [text for text in told if "three messages" in text]
    assert "The FIN of the server confirms that of the client too, which is now in TIME-WAIT." in told


def test_data_that_complete_the_handshake_are_named_with_it() -> None:
    history = History.from_events(whole_life.run_and_lose(3))
    told = sentences(history, "short", "en").values()
    assert "The server gets octets 1 to 14 with the ACK of its SYN: it is ESTABLISHED." in told


def test_absolute_numbers_are_those_of_the_ladder() -> None:
    history = History.from_events(whole_life.run())
    narrator = Narrator(history, "en", relative=False)
    fin = history.message(4)
    assert fin is not None
    assert f"seq=u={fin.segment.seq};" in narrator.short(fin)


def test_other_hosts_are_called_by_their_names(world: type[World]) -> None:
    made = world(names=("alice", "bob"))
    made.open()
    history = History.from_events(made.events)
    told = list(sentences(history, "short", "zh").values())
    assert "alice 请求建立连接，自己的序号从 x 开始，进入 SYN-SENT。" in told


def test_a_close_with_data_unread_is_told_as_that(world: type[World]) -> None:
    made = world()
    made.open()
    made.call(0, "CLOSE")
    reset = made.packet(0, RST | ACK)
    made.send(0, reset, "CLOSED", reasons.RESET_ABORT, reasons.CLOSED_WITH_DATA_UNREAD)
    history = History.from_events(made.events)
    assert history.transmissions[-1].reason is reasons.CLOSED_WITH_DATA_UNREAD
    told = list(sentences(history, "short", "en").values())
    assert told[-1] == "The client closes with data unread: it sends RST, and no FIN; it is now CLOSED."


def test_numbers_of_a_connection_opened_again_are_not_x_and_y(world: type[World]) -> None:
    made = world(x=1000)
    made.open()
    made.close()
    made.next[0] = 90000
    made.states = ["CLOSED", "LISTEN"]
    made.open()
    told = list(sentences(History.from_events(made.events), "short", "en").values())
    assert "The client asks for a connection: its numbers begin at x; it is now SYN-SENT." in told
    assert "The client asks for a connection: its numbers begin at 90000; it is now SYN-SENT." in told


def test_a_host_that_is_down_is_not_said_to_take_what_arrives(world: type[World]) -> None:
    made = world()
    made.open()
    packet = made.packet(0, PSH | ACK, 100)
    number = made.send(0, packet)
    made.events.append(PacketDelivered(made.time + 5, "server", number, packet))
    told = list(sentences(History.from_events(made.events), "short", "en").values())
    assert told[-1] == "Arrival of octets 1 to 100 at the server, which tells nothing of it."


def test_a_reset_is_not_told_as_a_close(world: type[World]) -> None:
    made = world()
    made.open()
    made.carry(1, RST | ACK, 0, "CLOSED", "CLOSED", reasons.RESET_ABORT, reasons.USER_ABORTED, reasons.RESET_RECEIVED)
    history = History.from_events(made.events)
    told = list(sentences(history, "full", "en").values())
    assert told[-2].startswith("The server ends the connection at once, with RST; it is now CLOSED.")
    assert told[-1].startswith("RST: for the client the connection ends at once; the client is now CLOSED.")


# --- in the pictures -------------------------------------------------------------------------------------------------

_packets = st.integers(1, 12)
_faults = st.lists(
    st.builds("lose packet {}".format, _packets)
    | st.builds("duplicate packet {}".format, _packets)
    | st.builds("corrupt packet {}".format, _packets)
    | st.builds("delay packet {} by {}ms".format, _packets, st.integers(1, 3000)),
    max_size=4,
)


@given(faults=_faults, seed=st.integers(0, 3))
def test_whatever_goes_wrong_each_row_is_told_once(faults: list[str], seed: int) -> None:
    history = History.from_events(whole_life.run(seed, tuple(faults)))
    for language in LANGUAGES:
        for how in ("short", "full"):
            told = sentences(history, "short" if how == "short" else "full", language)
            assert list(told) == history.rows
            assert all(told.values())
            if how == "short":
                assert max(map(len, told.values())) <= 90
                assert max(map(han, told.values())) <= 40
    marks = {row: f"<{at}>" for at, row in enumerate(history.rows)}
    text = render_ladder(history, narrate=marks)
    for row, mark in marks.items():
        quiet = isinstance(row, UserCall) and row.call in QUIET_CALLS
        assert text.count(mark) == (0 if quiet else 1), row


@given(data=st.data(), full=st.booleans())
def test_whatever_hosts_tell_it_stays_in_its_place(any_world: AnyWorld, data: st.DataObject, full: bool) -> None:
    made = data.draw(any_world)
    try:
        history = History.from_events(made.events)
    except ValueError:
        return
    for language in LANGUAGES:
        text = render_ladder(history, language=language, narrate="full" if full else "short")
        assert max(map(cell_len, text.split("\n"))) <= 100
        render_ladder_svg(history, language=language, narrate="full" if full else "short")


def test_a_remark_is_its_own_sentence() -> None:
    client, server = client_and_server()
    remark = Remark(0, client, "a remark", "RFC 9293 §3.5")
    narrator = Narrator(History(client, server, [remark]), "en")
    assert narrator.short(remark) == "a remark"
    assert narrator.full(remark) == "a remark (RFC 9293 §3.5)"


@both
def test_sentences_stand_at_the_side_of_who_acts(language: Language) -> None:
    text = render_ladder(History.from_events(whole_life.run()), language=language, narrate="short")
    for line in text.split("\n"):
        inside = line[25:-1]
        if {"en": "The server agrees", "zh": "服务器同意"}[language] in line:
            assert inside.startswith("     ")
        if {"en": "The client asks", "zh": "客户端请求"}[language] in line:
            assert line.index({"en": "The client", "zh": "客户端"}[language]) < 36
            return


@both
def test_the_picture_tells_every_row(language: Language) -> None:
    history = History.from_events(whole_life.run_and_lose(7))
    drawn = render_ladder_svg(history, language=language, narrate="short")
    assert len(drawn) > len(render_ladder_svg(history, language=language)) + 3000
    marks = {row: f"&lt;{at}&gt;" for at, row in enumerate(history.rows)}
    told = {row: f"<{at}>" for at, row in enumerate(history.rows)}
    drawn = render_ladder_svg(history, language=language, narrate=told)
    for row, mark in marks.items():
        quiet = isinstance(row, UserCall) and row.call in QUIET_CALLS
        assert drawn.count(mark) == (0 if quiet else 1)
