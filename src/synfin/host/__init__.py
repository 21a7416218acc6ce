"""One machine: its addresses and routes, the tables of connections, listeners and TIME-WAIT, ports, ICMP, counters.

`host.Host` is told what arrives, what its users want and what time it is; it knows no clock and does no I/O.
"""
