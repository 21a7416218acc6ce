"""Some of CPython's own tests on our sockets, from every module of the campaign (campaigns/cpython_tests.py): the
standard library's programs and servers meet over a stack of ours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import pytest

from tests.cpython import runs


class Part(NamedTuple):
    """Classes of a module, or single tests, and in how many of their tests connections are made."""

    module: str
    chosen: Sequence[str]
    connecting: int


#: What takes no seconds of waiting, and does not depend on who is quicker.
PARTS: Final = (
    Part(
        "test_socket",
        [
            "BasicTCPTest",
            "BufferIOTest",
            "CreateServerFunctionalTest",
            "FileObjectClassTestCase",
            "NetworkConnectionAttributesTest",
            "NonBlockingTCPTests",
            "RecvmsgIntoTCPTest",
            "RecvmsgTCPTest",
            "SendfileUsingSendfileTest",
            "SendmsgTCPTest",
        ],
        94,
    ),
    Part("test_asyncio.test_streams", ["StreamTests.test_open_connection", "StreamTests.test_start_server"], 2),
    Part("test_asyncio.test_sock_lowlevel", ["EPollEventLoopTests"], 7),
    Part("test_asyncio.test_server", ["SelectorStartServerTests"], 1),
    Part(
        "test_asyncio.test_ssl",
        ["TestSSL.test_connect_accepted_socket", "TestSSL.test_create_server_ssl_1", "TestSSL.test_start_tls_server_1"],
        3,
    ),
    Part(
        "test_asyncio.test_sslproto",
        ["SelectorStartTLSTests.test_start_tls_client_reg_proto_1", "SelectorStartTLSTests.test_start_tls_server_1"],
        2,
    ),
    Part("test_asyncio.test_sendfile", ["PollEventLoopTests"], 18),
    Part(
        "test_asyncio.test_events",
        [
            f"EPollEventLoopTests.test_create_{name}"
            for name in ("connection", "server", "server_dual_stack", "server_ssl_verified", "ssl_connection")
        ],
        5,
    ),
    Part("test_asyncio.test_base_events", ["BaseLoopSockSendfileTests"], 4),
    Part("test_asyncio.test_buffered_proto", ["BufferedProtocolSelectorTests"], 1),
    Part("test_httplib", ["HTTPSTest", "SourceAddressTest"], 4),
    Part("test_httpservers", ["BaseHTTPServerTestCase", "SimpleHTTPServerTestCase"], 30),
    Part("test_urllib2_localnet", ["ProxyAuthTests", "TestUrlopen"], 19),
    Part("test_smtplib", ["DebuggingServerTests", "SMTPSimTests"], 46),
    Part("test_ftplib", ["TestFTPClass", "TestIPv6Environment", "TestTLS_FTPClass"], 48),
    Part("test_poplib", ["TestPOP3Class", "TestTimeouts"], 25),
    Part(
        "test_imaplib",
        ["NewIMAPTests.test_login", "NewIMAPTests.test_unselect", "ThreadedNetworkedTests.test_bracket_flags"],
        3,
    ),
    Part("test_socketserver", ["ErrorHandlerTest", "SocketServerTest.test_ThreadingTCPServer", "SocketWriterTest"], 9),
    Part("test_selectors", ["EpollSelectorTestCase.test_register", "EpollSelectorTestCase.test_select"], 2),
    Part(
        "test_ssl",
        [
            f"ThreadedTests.test_{name}"
            for name in ("alpn_protocols", "recv_send", "selected_alpn_protocol", "sendfile", "session", "starttls")
        ],
        6,
    ),
)


@pytest.mark.requires("cpython-tests")
@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.module)
def test_cpythons_own_tests_pass_on_our_sockets(part: Part) -> None:
    names = [f"{part.module}.{one}" for one in part.chosen]
    outcomes = runs.run(part.module, True, names)
    failed = {name: outcome.why for name, outcome in outcomes.items() if outcome.outcome == "fail"}
    assert not failed
    passed = [name for name, outcome in outcomes.items() if outcome.outcome == "pass" and outcome.connections]
    assert len(passed) >= part.connecting


def test_the_parts_are_of_every_module_and_make_a_sample() -> None:
    assert {part.module for part in PARTS} == set(runs.MODULES)
    assert sum(part.connecting for part in PARTS) >= 150
