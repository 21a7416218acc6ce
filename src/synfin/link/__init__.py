"""Devices that carry IP packets and wrappers around them (TUN, channel, capture, faults, queues), and superpackets cut
and merged."""
