"""The protocol: TCP as values that change only when told, and are told the time with every call.

Nothing here knows a clock, randomness of its own, I/O, asyncio or threads. Times are integer nanoseconds, sizes are
octets. `connection.Connection` has the verbs; `arrival` reads beside RFC 9293 §3.10.7.
"""
