"""What is printed and drawn: it fits, in both languages, and says what there is to be said."""

from __future__ import annotations

import io
import json
import re
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from synfin.explain import kinds
from synfin.explain.as_json import JsonWriter
from synfin.explain.explanation import Explanation, explain
from synfin.explain.kinds import KINDS, Finding
from synfin.explain.ladder import history
from synfin.explain.report import WIDTH, amount, findings_text, heading, summary_table, unusual
from synfin.explain.sentences import sentence
from synfin.show.history import Remark, Transmission
from synfin.show.ladder import render_ladder
from synfin.show.ladder_svg import render_ladder_svg
from synfin.show.words import LANGUAGES, Language
from synfin.wire.tcp import ACK, FIN, RST, SYN
from tests.explain.tape import MILLISECOND, Tape, explained, pcap
from tests.explain.test_findings import CASES
from tests.show.reading import check, font, texts
from tests.show.test_pictures import LATIN

languages = pytest.mark.parametrize("language", LANGUAGES)
LONG = ("2001:db8:1111:2222:3333:4444:5555:6661", "2001:db8:1111:2222:3333:4444:5555:6662")


def many(count: int = 60, addresses: tuple[str, str] = ("192.0.2.1", "192.0.2.2")) -> Explanation:
    packets = []
    for port in range(40_000, 40_000 + count):
        tape = Tape(addresses, (port, 80))
        tape.now += (port - 40_000) * 1000 * MILLISECOND
        tape.open()
        tape.exchange()
        if port % 7 == 3:
            tape.send(1, RST | ACK)
        else:
            tape.close()
        packets += tape.packets
    return explained(pcap(packets))[0]


def assert_fits(text: str) -> None:
    for line in text.split("\n"):
        assert cell_len(line) <= WIDTH, line
        assert line == line.rstrip()
        assert line.isprintable()


@languages
@pytest.mark.parametrize("addresses", [("192.0.2.1", "192.0.2.2"), LONG], ids=["short", "long"])
def test_the_table_fits(language: Language, addresses: tuple[str, str]) -> None:
    explanation = many(60, addresses)
    table = summary_table(explanation, explanation.connections, language)
    assert_fits(table)
    # The unusual ones are all among those that are shown.
    resets = [number for number in range(1, 61) if (40_000 + number - 1) % 7 == 3]
    shown = [int(found) for found in re.findall(r"^ *(\d+)  ?[\d\[2]", table, re.MULTILINE)]
    assert set(resets) <= set(shown)
    assert len(shown) == 40
    assert shown == sorted(shown)
    whole = summary_table(explanation, explanation.connections, language, most=60)
    assert len(whole.split("\n")) > len(table.split("\n"))


def test_the_table_says_it_all() -> None:
    explanation = many(4)
    table = summary_table(explanation, explanation.connections, "en")
    rows = {line.split()[0]: line for line in table.split("\n") if line.strip()}
    assert rows["1"].split() == ["1", "192.0.2.1:40000", "8", "1.00k", "0", "0.007", "closed"]
    assert rows["2"].split()[-3:] == ["reset", "by", "1"]
    assert table.count("→ 192.0.2.2:80") == 4
    assert rows["all"].split()[:3] == ["all", "4", "connections"]


@languages
def test_the_heading_and_the_findings_fit(language: Language) -> None:
    for make in CASES.values():
        tape, _ = make()
        explanation, _ = tape.explained()
        assert_fits(heading(explanation, "a name" * 30, language))
        assert_fits(findings_text(explanation, explanation.connections, language))


def test_what_is_said_of_a_connection() -> None:
    tape = Tape()
    tape.open()
    tape.send(0, length=1000)
    for _ in range(8):
        tape.wait(250)
        tape.send(0, length=1000, seq=1001)
    explanation, _ = tape.explained()
    text = findings_text(explanation, explanation.connections, "en")
    assert text.startswith("connection 1: 192.0.2.1:40000 → 192.0.2.2:80, half-open\n")
    text = " ".join(text.split())
    assert "#5 0.254000 s client: retransmission of #4, timed out after 251 ms (RFC 6298 §5.4)" in text
    assert "and 4 more like this" in text
    assert "server: silent since #2, while 8 segments ask for an answer" in text
    text = findings_text(explanation, explanation.connections, "zh")
    assert "客户端：超时重传 #4，等待了 251 毫秒 (RFC 6298 §5.4)" in text
    assert "同类还有 4 处" in text


def test_ends_without_a_known_opener_are_called_by_their_addresses() -> None:
    tape = Tape()
    tape.exchange()
    tape.send(1, RST | ACK)
    explanation, _ = tape.explained()
    text = findings_text(explanation, explanation.connections, "en")
    assert "192.0.2.1:40000 → 192.0.2.2:80, reset by 192.0.2.2:80" in text


@languages
def test_every_kind_has_a_sentence_in_both_languages(language: Language) -> None:
    said: set[str] = set()
    for make in CASES.values():
        tape, _ = make()
        explanation, findings = tape.explained()
        connections = {connection.number: connection for connection in explanation.connections}
        for finding in findings:
            words = sentence(connections[finding.connection], finding, language)
            assert "{" not in words
            assert any("CJK" in unicodedata.name(char, "") for char in words) == (language == "zh")
            said.add(finding.kind.name)
    assert said == {kind.name for kind in KINDS}


def test_only_those_with_more_than_remarks_are_listed() -> None:
    explanation = many(10)
    assert [connection.number for connection in unusual(explanation.connections, 5)] == [2, 9]


@pytest.mark.parametrize(
    ("octets", "text"),
    [(0, "0"), (999, "999"), (1000, "1.00k"), (12_345, "12.3k"), (999_999, "1000k"), (4_560_000, "4.56M")],
)
def test_amounts(octets: int, text: str) -> None:
    assert amount(octets) == text
    assert len(amount(10**14)) <= 5


# --- the ladder --------------------------------------------------------------------------------------------------


@languages
@pytest.mark.parametrize("name", CASES)
def test_no_texts_overlap_in_any_ladder(name: str, language: Language) -> None:
    tape, _ = CASES[name]()
    explanation, _ = tape.explained()
    kept = explanation.flows.kept
    assert kept is not None
    drawn = history(kept, language)
    check(render_ladder_svg(drawn, language=language, most=200))
    for line in render_ladder(drawn, language=language).split("\n"):
        assert cell_len(line) <= WIDTH


def lossy(seed: int, packets: int, timestamps: bool = True) -> Tape:
    """A transfer with losses, long enough that most of it is left out."""
    tape = Tape(timestamps=timestamps, step=0.7)
    tape.open()
    for number in range(packets):
        tape.send(0, length=1448)
        if number % 9 == seed % 9:
            for _ in range(4):
                tape.send(1, ack=tape.nexts[0] - 1448)
            tape.send(0, length=1448, seq=tape.nexts[0] - 1448)
        tape.send(1)
        if number % 31 == 30:
            tape.wait(2000)
    tape.close()
    return tape


@languages
@pytest.mark.parametrize("addresses", [("192.0.2.1", "192.0.2.2"), LONG], ids=["short", "long"])
def test_no_texts_overlap_in_a_long_one(language: Language, addresses: tuple[str, str]) -> None:
    tape = lossy(3, 300)
    tape.addresses = Tape(addresses).addresses
    kept = tape.explained()[0].flows.kept
    assert kept is not None
    check(render_ladder_svg(history(kept, language), language=language, most=300))


def test_what_is_left_out_is_told() -> None:
    tape = lossy(3, 300)
    explanation, _ = tape.explained()
    kept = explanation.flows.kept
    assert kept is not None
    drawn = history(kept, "en")
    gaps = [row.text for row in drawn.rows if isinstance(row, Remark) and row.endpoint is None]
    assert gaps
    left_out = sum(int(text.split()[2]) for text in gaps)
    assert left_out + len(drawn.transmissions) == kept.packets
    picture = render_ladder_svg(drawn, most=300)
    assert all(text in picture for text in gaps)
    text = render_ladder(drawn)
    assert all(gap in text for gap in gaps)
    # Where it begins and ends is there.
    assert drawn.transmissions[0].packet == 1
    assert drawn.transmissions[-1].packet == explanation.packets


def test_the_ladder_of_a_capture() -> None:
    tape = Tape()
    tape.open()
    tape.send(0, length=100)
    tape.wait(300)
    tape.send(0, length=100, seq=1001)
    tape.send(1)
    tape.close()
    kept = tape.explained()[0].flows.kept
    assert kept is not None
    text = render_ladder(history(kept, "en"))
    assert "*SYN-SENT │ [1]   #1 SYN seq=0 win=64240 len=0" in text
    assert re.search(r"│ +#5 ACK seq=1 ack=1 win=64000 len=100", text)
    assert re.search(r"├─+ retransmission ─+►│\n.*! retransmission of #4, timed out after 301 ms", text)
    assert "segments shown: 9, retransmissions among them: 1" in text
    assert text.count("retransmission ─") == 1


def test_a_simultaneous_close_is_drawn_as_it_was() -> None:
    tape = Tape()
    tape.open()
    tape.send(0, FIN | ACK)
    tape.send(1, FIN | ACK, ack=1001)
    tape.send(0)
    tape.send(1)
    kept = tape.explained()[0].flows.kept
    assert kept is not None
    drawn = history(kept, "en")
    assert [row.label for row in drawn.transmissions] == ["1", "2", "3", "4a", "4b", "5a", "5b"]
    text = render_ladder(drawn)
    assert re.search(r"CLOSING │ +┄┄┄─── \[4a\] ─+►│ \*CLOSING", text)


def test_a_fin_that_was_lost_has_its_number_too() -> None:
    tape = Tape()
    tape.open()
    tape.send(0, FIN | ACK)
    tape.wait(250)
    tape.send(0, FIN | ACK, seq=1001)
    tape.send(1, FIN | ACK)
    tape.send(0)
    kept = tape.explained()[0].flows.kept
    assert kept is not None
    assert [row.label for row in history(kept, "en").transmissions] == ["1", "2", "3", "4", "4′", "5+6", "7"]


def test_a_clause_is_not_torn() -> None:
    for make in CASES.values():
        tape, _ = make()
        kept = tape.explained()[0].flows.kept
        assert kept is not None
        for line in render_ladder(history(kept, "en")).split("\n"):
            assert not line.rstrip("│! ").endswith("(RFC")


def test_only_the_connection_that_is_wanted_is_kept() -> None:
    data = pcap(Tape().packets)
    tape, other = Tape(), Tape(ports=(40001, 80))
    tape.open()
    other.now = tape.now
    other.open()
    data = pcap(tape.packets + other.packets)
    explanation, _ = explained(data, connection=2)
    assert explanation.flows.kept is not None
    assert explanation.flows.kept.number == 2
    first, second = explanation.connections
    assert first.kept is None
    assert second.kept is not None
    with pytest.raises(ValueError, match="not kept"):
        history(first, "en")


@settings(max_examples=40)
@given(data=st.data(), language=st.sampled_from(LANGUAGES))
def test_whatever_passes_can_be_told_and_drawn(data: st.DataObject, language: Language) -> None:
    tape = Tape(timestamps=data.draw(st.booleans()), step=data.draw(st.sampled_from([0, 0.01, 1, 300])))
    for _ in range(data.draw(st.integers(1, 60))):
        end = data.draw(st.integers(0, 1))
        flags = data.draw(st.sampled_from([SYN, SYN | ACK, ACK, ACK, ACK, FIN | ACK, RST, RST | ACK, 0]))
        length = data.draw(st.sampled_from([0, 0, 1, 500, 1460, 3000]))
        seq = data.draw(st.none() | st.sampled_from([tape.nexts[end] - 1, tape.nexts[end] - 500, 0, 1 << 31]))
        ack = data.draw(st.none() | st.sampled_from([0, tape.nexts[1 - end] - 500, tape.nexts[1 - end] + 77]))
        tape.send(end, flags, length, seq=seq, ack=ack, wnd=data.draw(st.sampled_from([0, 10, 60_000])))
    findings: list[Finding] = []
    out = io.StringIO()
    writer = JsonWriter(out)
    explanation = explain(io.BytesIO(tape.file()), sink=findings.append, ended=writer.connection)
    writer.capture(explanation)
    for finding in findings:
        writer.finding(finding)
    for line in out.getvalue().splitlines():
        json.loads(line)
    assert_fits(heading(explanation, "x", language))
    assert_fits(summary_table(explanation, explanation.connections, language))
    assert_fits(findings_text(explanation, explanation.connections, language))
    kept = explanation.flows.kept
    assert kept is not None
    drawn = history(kept, language)
    for line in render_ladder(drawn, language=language).split("\n"):
        assert cell_len(line) <= WIDTH
    picture = render_ladder_svg(drawn, language=language, most=200)
    assert all(char.isprintable() for text, _ in texts(picture) for char in text)
    check(picture)


def test_the_first_font_has_every_character(require: object) -> None:
    known = font("Noto Sans CJK SC", require)  # type: ignore[arg-type]
    assert [char for char in sorted(characters()) if not known.glyph(char)] == []


def test_the_last_font_has_every_character_that_is_not_han(require: object) -> None:
    known = font("DejaVu Sans", require)  # type: ignore[arg-type]
    others = {char for char in characters() if cell_len(char) == 1}
    assert [char for char in sorted(others) if not known.glyph(char)] == []


def characters() -> set[str]:
    """All that is drawn in any picture of the cases."""
    found = set(LATIN)
    for language in LANGUAGES:
        for tape in (lossy(1, 100), *(make()[0] for make in CASES.values())):
            kept = tape.explained()[0].flows.kept
            assert kept is not None
            picture = render_ladder_svg(history(kept, language), language=language, most=200)
            found |= {char for text, _ in texts(picture) for char in text}
    return found


def test_json_lines() -> None:
    tape = Tape()
    tape.open()
    tape.exchange()
    tape.send(1, RST | ACK)
    out = io.StringIO()
    writer = JsonWriter(out)
    explanation = explain(io.BytesIO(tape.file()), sink=writer.finding, ended=writer.connection)
    writer.capture(explanation)
    finding, connection, capture = map(json.loads, out.getvalue().splitlines())
    assert finding["finding"] == kinds.RESET_SENT.name
    assert (finding["packet"], finding["end"], finding["connection"]) == (6, 1, 1)
    assert connection["outcome"] == "reset by right"
    assert connection["ends"][0]["state"] == "CLOSED"
    assert connection["counts"] == {"reset": 1}
    assert (capture["packets"], capture["connections"]) == (6, 1)


def test_a_transmission_of_a_capture_has_its_number() -> None:
    tape = Tape()
    tape.open()
    kept = tape.explained()[0].flows.kept
    assert kept is not None
    rows = [row for row in history(kept, "en").rows if isinstance(row, Transmission)]
    assert [row.packet for row in rows] == [1, 2, 3]
