"""What the lab prints of experiments made for these tests: worlds with routers, many calls, other pictures."""

from __future__ import annotations

import re
from collections.abc import Callable
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from synfin.lab.bench import CLIENT, DELAY, MS, PORT, SECOND, SERVER, pair
from synfin.lab.drawn import drawn
from synfin.lab.experiment import Claim, Experiment, Picture, Table, World
from synfin.lab.layout import aligned, hanging, heading
from synfin.lab.report import Report, Wishes
from synfin.lab.running import SYN_ACK, run
from synfin.lab.what_if import Change, NoSuchSegmentError, again, all_again, numbers
from synfin.show.words import Language
from synfin.sim import Network, Program, Steps, start

# --- experiments -------------------------------------------------------------------------------------------------


def server(program: Program) -> Steps[None]:
    listener = program.listening(PORT)
    while True:
        sock = yield from listener.accept()
        data = yield from sock.receive_all()
        yield from sock.sendall(data)
        sock.close()


def client(program: Program) -> Steps[None]:
    sock = yield from program.connected("server", PORT)
    yield from program.sleep(20 * MS)
    yield from sock.sendall(b"question")
    sock.shutdown()
    yield from sock.recv()
    sock.close()


def straight(network: Network) -> list[Program]:
    here, there = pair(network)
    return [start(network, there, server), start(network, here, client)]


def routed(network: Network) -> list[Program]:
    here, router, there = network.host("client"), network.router("router"), network.host("server")
    network.wire(here, "10.0.1.1/24", router, "10.0.1.254/24", delay=DELAY)
    network.wire(router, "10.0.2.254/24", there, "10.0.2.1/24", delay=DELAY)
    network.route_all()
    return [start(network, there, server), start(network, here, client)]


def twice(network: Network) -> list[Program]:
    """Two connections, one after the other."""
    here, there = pair(network)

    def two(program: Program) -> Steps[None]:
        yield from client(program)
        yield from program.sleep(SECOND)
        yield from client(program)

    return [start(network, there, server), start(network, here, two)]


def experiment(*worlds: World, claims: tuple[Claim, ...] = (), table: Table | None = None) -> Experiment:
    return Experiment(
        row="X1",
        question="What does a report look like?",
        prediction="Guess.",
        watch="Look.",
        answer="Like this.",
        clauses=("RFC 9293 §3.5",),
        worlds=worlds,
        claims=claims,
        table=None if table is None else lambda _: table,
    )


def told(one: Experiment, wishes: Wishes | None = None, *changes: Change) -> str:
    runs = run(one)
    changed = all_again(runs, list(runs), changes) if changes else {}
    return "\n".join(Report(one, runs, list(runs), wishes or Wishes(), changes, changed).lines())


# --- numbers, and what if ----------------------------------------------------------------------------------------


def test_packets_that_a_router_passes_on_have_no_numbers() -> None:
    one = run(experiment(World("routed", "Routed", routed)))["routed"]
    known = numbers(one)
    assert [known(sent) for sent in one.history.transmissions] == list(range(1, len(one.history.transmissions) + 1))


@pytest.mark.parametrize("scenario", [straight, routed])
@pytest.mark.parametrize("number", range(1, 9))
@pytest.mark.parametrize("deed", ["lose", "corrupt"])
def test_the_segment_of_that_number_is_the_one_that_is_lost(
    scenario: Callable[[Network], list[Program]], number: int, deed: str
) -> None:
    usual = run(experiment(World("w", "W", scenario)))["w"]
    changed = again(usual, [Change("lose" if deed == "lose" else "corrupt", number)])
    wanted = next(sent for sent in usual.history.transmissions if numbers(usual)(sent) == number)
    (lost,) = changed.history.lost
    assert numbers(changed)(lost) == number
    assert (lost.segment, lost.time, lost.sender.host) == (wanted.segment, wanted.time, wanted.sender.host)


def star(network: Network) -> list[Program]:
    """Two clients, each on a wire of its own, whose packets have the same numbers on it."""
    there = network.host("server")
    programs = [start(network, there, server)]
    for at in (1, 2):
        here = network.host(f"client{at}")
        network.wire(here, f"10.0.{at}.1/24", there, f"10.0.{at}.2/24", delay=DELAY)

        def talks(program: Program, address: str = f"10.0.{at}.2") -> Steps[None]:
            sock = yield from program.connected(address, PORT)
            yield from sock.sendall(b"question")
            sock.close()

        programs.append(start(network, here, talks))
    return programs


def test_segments_on_several_wires_of_one_host() -> None:
    usual = run(experiment(World("star", "Star", star)))["star"]
    sent = usual.sent()
    known = numbers(usual)
    assert sorted(known(one) or 0 for one in sent) == list(range(1, len(sent) + 1))
    for one in sent[:10]:
        changed = again(usual, [Change("lose", known(one) or 0)])
        (lost,) = [other for other in changed.sent() if other.loss is not None]
        assert (lost.segment, lost.receiver.name) == (one.segment, one.receiver.name)


def test_delay_and_duplicate() -> None:
    usual = run(experiment(World("w", "W", routed)))["w"]
    late = again(usual, [Change("delay", 2, 300 * MS)])
    (first, *_) = late.sent(SYN_ACK)
    assert first.arrivals[0].time - first.time == 2 * DELAY + 300 * MS
    double = again(usual, [Change("duplicate", 2)])
    assert len(double.sent(SYN_ACK)[0].arrivals) == 2


def test_there_is_no_such_segment() -> None:
    runs = run(experiment(World("w", "W", straight), World("long", "L", twice)))
    most = len(runs["long"].sent())
    with pytest.raises(NoSuchSegmentError) as raised:
        all_again(runs, ["w", "long"], [Change("lose", most + 1)])
    assert (raised.value.number, raised.value.most) == (most + 1, most)
    assert list(all_again(runs, ["w", "long"], [Change("lose", most)])) == ["long"]


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_connection_is_beside_its_own(language: Language) -> None:
    one = experiment(World("w", "W", twice))
    first = len(run(one)["w"].histories[0].transmissions)
    out = told(one, Wishes(language=language), Change("lose", first + 2))
    assert re.search(rf"#{first + 2} SYN\+ACK .*#{first + 2} SYN\+ACK", out)
    # The first is the same in both; the second parts with its second segment.
    assert f"#{first} " not in out
    before, after = out.split("≠", 1)
    assert f"#{first + 1} SYN " in before
    assert "✗" in after
    assert max(map(cell_len, out.split("\n"))) <= 100


def test_a_connection_that_only_one_of_them_has() -> None:
    out = told(experiment(World("w", "W", twice)), None, Change("fault", fault="lose SYN"))
    assert "Only here: W" in out
    assert out.count("Only here") == 1


def test_where_nothing_differs_that_is_said() -> None:
    out = told(experiment(World("w", "W", straight)), None, Change("fault", fault="lose 9th FIN"))
    assert "It makes no difference: both histories are the same." in out
    assert "│" not in out


# --- what was told before ----------------------------------------------------------------------------------------


def test_what_a_world_has_in_common_with_the_first_is_told_once() -> None:
    one = experiment(
        *(World(name, name.upper(), straight) for name in ("a", "b")), World("c", "C", straight, ("lose 2nd FIN",))
    )
    third = told(one).split("── C ─", 1)[1]
    assert re.search(r"as in the first world, up to [0-9.]+ ms", third)
    assert "[1]" not in third
    # All of it where the worlds are told at length.
    for wishes in (Wishes(stacked=True), Wishes(explain=True)):
        whole = told(one, wishes)
        assert "as in the first world" not in whole
        assert "[1]" in whole.split("── C ─", 1)[1]


def test_a_beginning_that_is_short_is_told_again() -> None:
    one = experiment(
        *(World(name, name.upper(), straight) for name in ("a", "b")), World("c", "C", straight, ("lose 1st SYN",))
    )
    assert "as in" not in told(one).split("── C ─", 1)[1]


def test_a_long_run_of_retransmissions_is_folded_unless_all_is_to_be_told() -> None:
    one = experiment(World("a", "A", straight, ("lose every SYN",)))
    assert re.search(r"[0-9]+ more like it \(#5 to #[0-9]+\), until [0-9.]+ s", told(one))
    assert "more like it" not in told(one, Wishes(stacked=True))


# --- claims, tables, texts ---------------------------------------------------------------------------------------


def _never(runs: object) -> bool:
    raise LookupError


def test_claims_that_fail_have_the_figures_of_the_world_as_it_usually_is() -> None:
    claim = Claim(
        "It takes {count} segments.",
        lambda runs: len(runs["w"].sent()) == 8,
        lambda runs: {"count": len(runs["w"].sent())},
    )
    one = experiment(World("w", "W", straight), claims=(claim,))
    usual = len(run(one)["w"].sent())
    assert usual == 8
    assert "  ✓ It takes 8 segments." in told(one)
    assert "  ✗ not so here: It takes 8 segments." in told(one, None, Change("lose", 2))


def test_a_figure_that_cannot_be_measured() -> None:
    def values(runs: object) -> dict[str, object]:
        raise LookupError

    out = told(experiment(World("w", "W", straight), claims=(Claim("It takes {count:.3f} s or so.", _never, values),)))
    assert "  ✗ not so here: It takes … s or so." in out


def test_a_table_has_figures_to_the_right_and_words_to_the_left() -> None:
    table = Table(("what", "how many"), (("retransmissions", "7"), ("报文段", "12.5 s")))
    lines = told(experiment(World("w", "W", straight), table=table)).split("\n")
    at = next(at for at, line in enumerate(lines) if line.startswith("  what"))
    assert lines[at : at + 4] == [
        "  what             how many",
        "  ───────────────  ────────",
        "  retransmissions         7",
        "  报文段             12.5 s",
    ]


def test_a_table_that_cannot_be_measured_is_left_out() -> None:
    def table(runs: object) -> Table:
        raise ZeroDivisionError

    one = experiment(World("w", "W", straight))
    one = Experiment(**{name: getattr(one, name) for name in one.__slots__ if name != "table"}, table=table)
    assert "What holds" in told(one)


@given(st.lists(st.lists(st.text("ab 12汉字，。”“（）", max_size=30), min_size=3, max_size=3), min_size=1, max_size=5))
def test_tables_keep_within_the_page(rows: list[list[str]]) -> None:
    for line in aligned(rows, 50):
        assert cell_len(line) <= 50
        assert line == line.rstrip()


def test_a_table_breaks_titles_and_sentences_rather_than_names() -> None:
    rows = [
        ("参数", "发出的 SYN 数", "测量什么"),
        ("tcp_syn_linear_timeouts", "11", "SYN 全部丢失时，发出的 SYN 数"),
        ("tcp_retries2", "8", "得不到确认时的秒数"),
    ]
    assert list(aligned(rows, 50)) == [
        "  参数                     发出的  测量什么",
        "                           SYN 数",
        "  ───────────────────────  ──────  ───────────────",
        "  tcp_syn_linear_timeouts      11  SYN 全部丢失",
        "                                   时，发出的 SYN",
        "                                   数",
        "  tcp_retries2                  8  得不到确认时的",
        "                                   秒数",
    ]


@given(st.text("ab 12汉字，。”“（）：、", max_size=200), st.integers(30, 100))
def test_chinese_is_broken_by_the_rules(text: str, width: int) -> None:
    lines = list(hanging("  ✓ ", text, width))
    kept = "".join(line.strip() for line in [lines[0].removeprefix("  ✓"), *lines[1:]])
    assert kept.replace(" ", "") == text.replace(" ", "")
    for line in lines[1:]:
        assert line.startswith("    ") or not line
    # A row of marks longer than a line cannot be kept together.
    if not re.search("[，。”“（）：、]{4}", text.replace(" ", "")):
        for line in lines[1:]:
            assert line.strip()[:1] not in set("，。”）：、")
        for line in lines:
            assert cell_len(line) <= width
        for line in lines[:-1]:
            assert line.strip()[-1:] not in set("“（")


def test_headings_fill_the_page() -> None:
    for title in ("a world", "长" * 80):
        assert cell_len(heading(title, 60)) == 60


# --- what the programs saw ---------------------------------------------------------------------------------------


def rows_of(out: str) -> list[list[str]]:
    (table,) = re.findall(r"What the programs saw\n((?:  .*\n)+)", out)
    return [re.split(r" {2,}", line.strip()) for line in table.splitlines()][2:]


def test_data_and_errors_by_name() -> None:
    def talks(program: Program) -> Steps[None]:
        sock = yield from program.connected("server", PORT)
        yield from sock.sendall(b"The quick brown fox jumps over the lazy dog")
        yield from sock.sendall(bytes(range(128, 160)))
        sock.set_linger(0)
        yield from program.sleep(SECOND)
        sock.close()
        yield from program.connected("server", PORT + 1)

    def hears(program: Program) -> Steps[None]:
        sock = yield from program.listening(PORT).accept()
        yield from sock.recv(43)
        yield from sock.recv(32)
        yield from sock.recv()

    def scenario(network: Network) -> list[Program]:
        here, there = pair(network)
        return [start(network, there, hears), start(network, here, talks)]

    rows = rows_of(told(experiment(World("w", "W", scenario))))
    assert [row[-1] for row in rows if "fox" in row[-1]] == ['43 octets: "The quick brown fox jump…"']
    assert "32 octets: 80 81 82 83 84 85 86 87…" in [row[-1] for row in rows]
    assert [row[-1] for row in rows if row[1:3] == ["server", "recv"]][-1] == "ECONNRESET"
    assert rows[-1][1:] == ["client", "connect", "20.000", "ECONNREFUSED"]
    # Calls that went well and say nothing are not told of.
    assert not [row for row in rows if row[2] in ("bind", "listen", "setsockopt")]


def test_of_many_calls_the_first_and_the_last() -> None:
    def busy(program: Program) -> Steps[None]:
        sock = yield from program.connected("server", PORT)
        for _ in range(100):
            yield from sock.sendall(b"x")
        sock.shutdown()
        while (yield from sock.recv(10)):
            pass

    def scenario(network: Network) -> list[Program]:
        here, there = pair(network)
        return [start(network, there, server), start(network, here, busy)]

    rows = rows_of(told(experiment(World("w", "W", scenario))))
    assert len(rows) == 25
    assert ["… 97 more"] in rows or any("more" in cell for row in rows for cell in row)


def test_a_host_that_went_down() -> None:
    one = experiment(World("w", "W", straight, ("reboot server at 35ms for 100s",)))
    rows = rows_of(told(one))
    assert [row[-1] for row in rows if row[1:3] == ["server", "recv"]] == ["its host went down"]
    out = told(one, None, Change("lose", 1))
    assert re.search(r"  server +its host went down", out)


def test_a_scenario_without_programs() -> None:
    def scenario(network: Network) -> None:
        here, there = pair(network)
        there.listen(SERVER, PORT)
        assert here.name == "client"
        assert CLIENT
        here.connect(SERVER, PORT)

    out = told(experiment(World("w", "W", scenario)))
    assert "What the programs saw" not in out
    assert "#3 " in out


# --- pictures ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("picture", ["ladder", "curves", "time-sequence", "none"])
@pytest.mark.parametrize("count", [1, 2, 3, 4, 8])
def test_worlds_of_every_kind_are_drawn(picture: Picture, count: int) -> None:
    one = experiment(*(World(f"w{at}", f"World {at}", twice, picture=picture) for at in range(count)))
    runs = run(one)
    document = ElementTree.fromstring(drawn(Report(one, runs, list(runs), Wishes())))
    titles = ["".join(text.itertext()) for text in document.iter("{http://www.w3.org/2000/svg}text")]
    for at in range(count):
        # A ladder for each connection; curves are those of the first.
        assert titles.count(f"World {at}") == (1 if picture == "curves" else 2)


def test_each_world_keeps_its_column() -> None:
    one = experiment(World("one", "One", straight), World("two", "Two", twice), World("three", "Three", straight))
    runs = run(one)
    document = ElementTree.fromstring(drawn(Report(one, runs, list(runs), Wishes())))
    places = [(svg.get("x"), "".join(svg.itertext()).strip()[:3]) for svg in document.findall("{*}svg")]
    assert [name for _, name in places] == ["One", "Two", "Thr", "Two"]
    assert places[1][0] == places[3][0] != places[0][0]


def test_what_a_terminal_cannot_show_is_said() -> None:
    out = told(experiment(World("w", "W", straight, picture="curves"), World("v", "V", straight, picture="none")))
    assert out.count("--svg FILE draws it") == 1
    assert "│" not in out
    assert "── V ──" in out


def test_connections_beyond_those_that_are_shown_are_counted() -> None:
    out = told(experiment(World("w", "W", twice, connections=1)))
    assert "connections not shown: 1" in out
    assert out.count("[1]") == 1


def test_a_world_in_which_nothing_is_sent_is_told_and_drawn_too() -> None:
    def scenario(network: Network) -> None:
        pair(network)

    one = experiment(World("w", "W", scenario), World("v", "V", scenario))
    assert "── V ──" in told(one)
    runs = run(one)
    assert "What does a report look like?" in drawn(Report(one, runs, list(runs), Wishes()))


@pytest.mark.parametrize("scenario", [straight, twice, routed])
def test_what_if_is_drawn(scenario: Callable[[Network], list[Program]]) -> None:
    one = experiment(World("w", "World", scenario))
    runs = run(one)
    for fault in ("lose SYN", "lose 2nd FIN", "lose 99th FIN"):
        change = Change("fault", fault=fault if scenario is not routed else f"client-router: {fault}")
        report = Report(one, runs, ["w"], Wishes(), [change], all_again(runs, ["w"], [change]))
        document = ElementTree.fromstring(drawn(report))
        titles = ["".join(text.itertext()) for text in document.iter("{http://www.w3.org/2000/svg}text")]
        assert "World" in titles
        assert any(title.startswith("World: ") for title in titles)
