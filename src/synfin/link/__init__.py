"""Devices that carry IP packets, and wrappers around them: TUN, capture, faults; and cutting of superpackets."""
