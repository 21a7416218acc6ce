"""The one exception that octets from the network can raise, and the closed list of its causes."""

from __future__ import annotations

from typing import Final

# Which of Linux's counters a host adds to, for each cause, stands beside it.
IP_VERSION: Final = "ip-version"  # neither 4 nor 6: IpInHdrErrors
IP_HEADER: Final = "ip-header"  # lengths that contradict one another: IpInHdrErrors, Ip6InHdrErrors
IP_TRUNCATED: Final = "ip-truncated"  # fewer octets than the header promises: IpExtInTruncatedPkts, Ip6InTruncatedPkts
IP_CHECKSUM: Final = "ip-checksum"  # IPv4 header checksum: IpInHdrErrors, IpExtInCsumErrors
IPV6_EXTENSION: Final = "ipv6-extension"  # a chain too long, out of order or out of bounds: Ip6InHdrErrors
TCP_HEADER: Final = "tcp-header"  # too short, or a data offset out of bounds: TcpInErrs
TCP_OPTIONS: Final = "tcp-options"  # an option length that makes no sense: TcpInErrs
TCP_CHECKSUM: Final = "tcp-checksum"  # TcpInErrs and TcpInCsumErrors
ICMP_HEADER: Final = "icmp-header"  # too short: IcmpInErrors, Icmp6InErrors
ICMP_CHECKSUM: Final = "icmp-checksum"  # IcmpInErrors and IcmpInCsumErrors
ICMP_QUOTE: Final = "icmp-quote"  # the quoted packet is unusable: IcmpInErrors, Icmp6InErrors
PCAPNG: Final = "pcapng"  # not from the network: a capture file that cannot be read
PCAP: Final = "pcap"  # the same, in the older format

CAUSES: Final = (
    IP_VERSION,
    IP_HEADER,
    IP_TRUNCATED,
    IP_CHECKSUM,
    IPV6_EXTENSION,
    TCP_HEADER,
    TCP_OPTIONS,
    TCP_CHECKSUM,
    ICMP_HEADER,
    ICMP_CHECKSUM,
    ICMP_QUOTE,
    PCAPNG,
    PCAP,
)


class WireError(ValueError):
    """Octets that are not what they claim to be.

    `cause` is one of `CAUSES`; `detail` says more, for people.
    """

    def __init__(self, cause: str, detail: str = "") -> None:
        super().__init__(f"{cause}: {detail}" if detail else cause)
        self.cause = cause
        self.detail = detail
