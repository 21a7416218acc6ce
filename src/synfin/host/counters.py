"""Counters under Linux's names, as nstat(8) prints them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from synfin import reasons
from synfin.reasons import Reason
from synfin.wire import errors

#: What each cause of a WireError adds to.
BY_CAUSE: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        errors.IP_VERSION: ("IpInHdrErrors",),
        errors.IP_HEADER: ("IpInHdrErrors",),
        errors.IP_TRUNCATED: ("IpExtInTruncatedPkts",),
        errors.IP_CHECKSUM: ("IpInHdrErrors", "IpExtInCsumErrors"),
        errors.IPV6_EXTENSION: ("Ip6InHdrErrors",),
        errors.TCP_HEADER: ("TcpInErrs",),
        errors.TCP_OPTIONS: ("TcpInErrs",),
        errors.TCP_CHECKSUM: ("TcpInErrs", "TcpInCsumErrors"),
        errors.ICMP_HEADER: ("IcmpInErrors",),
        errors.ICMP_CHECKSUM: ("IcmpInErrors", "IcmpInCsumErrors"),
        errors.ICMP_QUOTE: ("IcmpInErrors",),
    }
)

#: The same for packets of IPv6, which Linux counts apart.
BY_CAUSE_IPV6: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        **BY_CAUSE,
        errors.IP_HEADER: ("Ip6InHdrErrors",),
        errors.IP_TRUNCATED: ("Ip6InTruncatedPkts",),
        errors.ICMP_HEADER: ("Icmp6InErrors",),
        errors.ICMP_CHECKSUM: ("Icmp6InErrors", "Icmp6InCsumErrors"),
        errors.ICMP_QUOTE: ("Icmp6InErrors",),
    }
)

#: Packets that may be or are marked (RFC 3168 §5), by their codepoint: of IPv4, and of IPv6.
ECN_COUNTERS: Final = (
    ("", "IpExtInECT1Pkts", "IpExtInECT0Pkts", "IpExtInCEPkts"),
    ("", "Ip6InECT1Pkts", "Ip6InECT0Pkts", "Ip6InCEPkts"),
)

#: What a verdict on an arriving segment adds to.
BY_VERDICT: Final[Mapping[Reason, str]] = MappingProxyType(
    {
        reasons.OLD_TIMESTAMP: "TcpExtPAWSEstab",
        reasons.OUT_OF_ORDER_DATA: "TcpExtTCPOFOQueue",
        reasons.NO_MEMORY: "TcpExtTCPRcvQDrop",
        reasons.REASSEMBLY_FULL: "TcpExtTCPOFODrop",
        reasons.DATA_AFTER_CLOSE: "TcpExtTCPAbortOnData",
        reasons.SYN_IN_CONNECTION: "TcpExtTCPSYNChallenge",
        reasons.ACCEPT_QUEUE_FULL: "TcpExtListenOverflows",
        reasons.SYN_QUEUE_FULL: "TcpExtListenDrops",
        reasons.WAITS_FOR_DATA: "TcpExtTCPDeferAcceptDrop",
        reasons.DUPLICATE_DATA: "TcpExtDelayedACKLost",
        reasons.TIME_WAIT_REOPENED: "TcpExtTWRecycled",
    }
)

#: What else may happen on a connection (`Tcb.happened`) adds to.
BY_EVENT: Final[Mapping[Reason, str]] = MappingProxyType(
    {
        reasons.MTU_PROBE_ARRIVED: "TcpExtTCPMTUPSuccess",
        reasons.MTU_PROBE_LOST: "TcpExtTCPMTUPFail",
        reasons.LOSS_PROBE: "TcpExtTCPLossProbes",
        reasons.LOSS_PROBE_MENDED: "TcpExtTCPLossProbeRecovery",
        reasons.SACK_RENEGED: "TcpExtTCPSACKReneging",
        reasons.SACK_DISCARDED: "TcpExtTCPSACKDiscard",
        reasons.DSACK_RECEIVED: "TcpExtTCPDSACKRecv",
        reasons.DSACK_IGNORED: "TcpExtTCPDSACKIgnoredOld",
        reasons.REORDERING_SEEN: "TcpExtTCPSACKReorder",
        reasons.SPURIOUS_TIMEOUT: "TcpExtTCPSpuriousRTOs",
        reasons.UNDONE_BY_DSACK: "TcpExtTCPDSACKUndo",
        reasons.UNDONE_BY_TIMESTAMP: "TcpExtTCPFullUndo",
    }
)

#: What the reason of an outgoing segment adds to.
BY_REASON: Final[Mapping[Reason, tuple[str, ...]]] = MappingProxyType(
    {
        reasons.RETRANSMISSION_TIMEOUT: ("TcpRetransSegs", "TcpExtTCPTimeouts"),
        reasons.SYN_REPEATED: ("TcpRetransSegs", "TcpExtTCPSynRetrans"),
        reasons.FAST_RETRANSMIT: ("TcpRetransSegs", "TcpExtTCPFastRetrans"),
        reasons.PARTIAL_ACKNOWLEDGMENT: ("TcpRetransSegs", "TcpExtTCPFastRetrans"),
        reasons.SACK_SHOWS_LOSS: ("TcpRetransSegs", "TcpExtTCPFastRetrans"),
        reasons.RACK_SHOWS_LOSS: ("TcpRetransSegs", "TcpExtTCPFastRetrans"),
        reasons.RESCUE: ("TcpRetransSegs", "TcpExtTCPFastRetrans"),
        reasons.LOSS_PROBE: ("TcpRetransSegs",),
        reasons.PATH_MTU_REDUCED: ("TcpRetransSegs",),
        reasons.MTU_PROBE_LOST: ("TcpRetransSegs",),
        reasons.BLACK_HOLE: ("TcpRetransSegs", "TcpExtTCPTimeouts"),
        reasons.CHALLENGE_ACK: ("TcpExtTCPChallengeACK",),
        reasons.SYN_COOKIE: ("TcpExtSyncookiesSent",),
        reasons.ACK_DELAYED: ("TcpExtDelayedACKs",),
        reasons.ACK_OF_FIN_DELAYED: ("TcpExtDelayedACKs",),
        reasons.WINDOW_PROBE: ("TcpExtTCPWinProbe",),
        reasons.KEEP_ALIVE_PROBE: ("TcpExtTCPKeepAlive",),
        reasons.RESET_NO_CONNECTION: ("TcpOutRsts",),
        reasons.RESET_ABORT: ("TcpOutRsts",),
        reasons.DATA_AFTER_CLOSE: ("TcpOutRsts",),
    }
)


class Counters:
    """Numbers that only grow, by name. A name that never happened reads as 0."""

    __slots__ = ("_values",)

    def __init__(self) -> None:
        self._values: dict[str, int] = {}

    def add(self, name: str, amount: int = 1) -> None:
        self._values[name] = self._values.get(name, 0) + amount

    def __getitem__(self, name: str) -> int:
        return self._values.get(name, 0)

    def items(self) -> list[tuple[str, int]]:
        """(name, value) of all that happened, sorted by name."""
        return sorted(self._values.items())
