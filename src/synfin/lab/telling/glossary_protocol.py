"""The glossary's entries for what the protocol itself names: states, flags, messages and timers."""

from __future__ import annotations

from typing import Final

from synfin.lab.experiment import N_
from synfin.lab.telling.glossary_entry import Entry

__all__ = ["FLAGS", "MESSAGES", "STATES", "TIMERS"]

_STATES: Final = "RFC 9293 §3.3.2"
_FLAGS: Final = "RFC 9293 §3.1"
_OPENING: Final = "RFC 9293 §3.5"
_CLOSING: Final = "RFC 9293 §3.6"

STATES: Final = (
    Entry("CLOSED", "关闭", N_("No connection, and no TCB."), _STATES, ("CLOSE", "关闭状态")),
    Entry("LISTEN", "监听", N_("A passive open waits for a SYN from anyone."), _STATES, ("侦听",), ("侦听",)),
    Entry(
        "SYN-SENT",
        "同步已发送",
        N_("A SYN has been sent; its answer is awaited."),
        _STATES,
        ("SYN_SENT", "同步发送"),
        ("SYN_SENT", "同步已发出"),
    ),
    Entry(
        "SYN-RECEIVED",
        "同步收到",
        N_("A SYN has arrived and one has been sent; the ACK of the latter is awaited."),
        _STATES,
        ("SYN-RCVD", "SYN_RCVD", "SYN_RECV", "SYN-RECV", "同步已接收", "同步已收到"),
        ("SYN_RCVD", "SYN_RECV", "SYN-RCVD", "同步已接收", "同步已收到"),
    ),
    Entry(
        "ESTABLISHED",
        "已建立连接",
        N_("The connection is open: data may go both ways."),
        _STATES,
        ("ESTAB", "已建立"),
    ),
    Entry(
        "FIN-WAIT-1",
        "终止等待 1",
        N_("A FIN has been sent; its ACK is awaited, and the FIN of the other end."),
        _STATES,
        ("FIN_WAIT_1", "FIN_WAIT1", "终止等待1"),
        ("FIN_WAIT_1", "FIN_WAIT1", "结束等待"),
    ),
    Entry(
        "FIN-WAIT-2",
        "终止等待 2",
        N_("The FIN has been acknowledged; that of the other end is awaited, and data may still come before it."),
        _STATES,
        ("FIN_WAIT_2", "FIN_WAIT2", "终止等待2"),
        ("FIN_WAIT_2", "FIN_WAIT2"),
    ),
    Entry(
        "CLOSE-WAIT",
        "关闭等待",
        N_("The other end has sent its FIN; this end may still send, until its program closes."),
        _STATES,
        ("CLOSE_WAIT",),
        ("CLOSE_WAIT",),
    ),
    Entry(
        "CLOSING",
        "正在关闭",
        N_("Both ends sent FIN at once; the ACK of one's own is awaited."),
        _STATES,
        ("同时关闭状态",),
    ),
    Entry(
        "LAST-ACK",
        "最后确认",
        N_("The second FIN has been sent; its ACK, the last of all, is awaited."),
        _STATES,
        ("LAST_ACK",),
        ("LAST_ACK",),
    ),
    Entry(
        "TIME-WAIT",
        "时间等待",
        N_("All is said; 2MSL are waited, in case the last ACK is lost, and until old segments have died out."),
        _STATES,
        ("TIME_WAIT",),
        ("TIME_WAIT", "时间等待态"),
    ),
)

FLAGS: Final = (
    Entry("SYN", "同步标志", N_("Synchronize: tells where the sender's numbers begin."), _FLAGS, ("同步",)),
    Entry("ACK", "确认标志", N_("The field of the acknowledgment number counts."), _FLAGS, ("应答",)),
    Entry("PSH", "推送标志", N_("The sender has no more just now: deliver without waiting."), _FLAGS, ("推送", "急迫")),
    Entry("FIN", "终止标志", N_("The sender has no more data to send."), _FLAGS, ("终止", "结束")),
    Entry(
        "RST",
        "复位标志",
        N_("Ends a connection at once, or refuses it."),
        "RFC 9293 §3.5.2",
        ("reset", "复位", "重置"),
        ("重置",),
    ),
    Entry("URG", "紧急标志", N_("The urgent pointer counts."), "RFC 9293 §3.8.5", ("紧急",)),
    Entry(
        "ECE", "拥塞回显", N_("ECN-Echo: a router marked congestion on the way here."), "RFC 3168 §6.1", ("ECN-Echo",)
    ),
    Entry("CWR", "拥塞窗口已减小", N_("The answer to ECE: the sender has slowed down."), "RFC 3168 §6.1.2"),
)

MESSAGES: Final = (
    Entry("message 1", "报文1", N_("SYN, seq=x: the client asks for a connection."), _OPENING, ("第一次握手",)),
    Entry(
        "message 2",
        "报文2",
        N_("SYN+ACK, seq=y, ack=x+1: the server confirms the SYN and sends its own."),
        _OPENING,
        ("第二次握手",),
    ),
    Entry(
        "message 3",
        "报文3",
        N_("ACK, seq=x+1, ack=y+1: the client confirms the SYN of the server."),
        _OPENING,
        ("第三次握手",),
    ),
    Entry("message 4", "报文4", N_("FIN, seq=u: the active closer will send no more."), _CLOSING, ("第一次挥手",)),
    Entry(
        "message 5", "报文5", N_("ACK, seq=v, ack=u+1: the passive closer confirms that."), _CLOSING, ("第二次挥手",)
    ),
    Entry(
        "message 6",
        "报文6",
        N_("FIN+ACK, seq=w, ack=u+1: the passive closer will send no more either."),
        _CLOSING,
        ("第三次挥手",),
    ),
    Entry(
        "message 7",
        "报文7",
        N_("ACK, seq=u+1, ack=w+1: the active closer confirms that, and waits 2MSL."),
        _CLOSING,
        ("第四次挥手",),
    ),
)

TIMERS: Final = (
    Entry(
        "retransmission timer",
        "重传定时器",
        N_("Runs while something is not acknowledged; when it ends after an RTO, that is sent again."),
        "RFC 6298 §5",
        ("超时定时器", "重传计时器"),
        ("计时器",),
    ),
    Entry(
        "persist timer",
        "持续定时器",
        N_("Runs while the peer's window is zero; when it ends, a zero-window probe leaves."),
        "RFC 9293 §3.8.6.1",
        ("坚持定时器", "持续计时器"),
        ("坚持定时器",),
    ),
    Entry(
        "delayed-ACK timer",
        "延迟确认定时器",
        N_("Bounds how long an ACK may wait for data on which it could ride: at most half a second."),
        "RFC 9293 §3.8.6.3",
    ),
    Entry(
        "keep-alive timer",
        "保活定时器",
        N_("Runs from the last segment that came; when it ends, a probe asks whether the peer is there."),
        "RFC 9293 §3.8.4",
        ("keepalive timer", "保活计时器"),
    ),
    Entry(
        "TIME-WAIT timer",
        "2MSL 定时器",
        N_("Runs for 2MSL in TIME-WAIT, and anew when the FIN comes again."),
        "RFC 9293 §3.10.8",
        ("2MSL timer", "时间等待定时器", "时间等待计时器"),
    ),
    Entry(
        "FIN-WAIT-2 timer",
        "FIN-WAIT-2 定时器",
        N_("Ends FIN-WAIT-2 where no program is left and no FIN comes. The RFC has none; most hosts do."),
        "RFC 9293 §3.6.1",
    ),
    Entry(
        "loss-probe timer",
        "尾部丢失探测定时器",
        N_("Runs for about two round trips; when it ends, the last segment is sent again as a probe."),
        "RFC 8985 §7.2",
        ("PTO",),
    ),
    Entry(
        "reordering timer",
        "乱序定时器",
        N_("Gives a segment that was overtaken some time to arrive, before it is taken for lost."),
        "RFC 8985 §6.2",
    ),
    Entry(
        "pacing timer",
        "发送间隔定时器",
        N_("Spreads segments over the round trip, instead of sending them in a burst."),
        "RFC 9406 §4.3",
    ),
    Entry(
        "user timeout",
        "用户超时",
        N_("How long a program lets data go unacknowledged before its connection ends."),
        "RFC 5482 §1",
        ("TCP_USER_TIMEOUT",),
    ),
)
