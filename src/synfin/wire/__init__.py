"""Octets to values and back: TCP, IPv4, IPv6, ICMP, the Internet checksum and pcapng blocks.

Nothing here reads a clock, waits, or touches a file or socket. Octets from the network raise
`synfin.wire.errors.WireError` and nothing else, however malformed they are.
"""
