"""The glossary's entries for data under way, and for congestion."""

from __future__ import annotations

from typing import Final

from synfin.lab.experiment import N_
from synfin.lab.telling.glossary_entry import Entry

__all__ = ["CARRYING", "CONGESTION"]

_CONTROL: Final = "RFC 5681 §3.1"

CARRYING: Final = (
    Entry(
        "acknowledgment",
        "确认",
        N_("Word that all before a number has arrived at the other TCP."),
        "RFC 9293 §3.4",
        ("acknowledgement", "确认应答"),
    ),
    Entry(
        "cumulative acknowledgment",
        "累积确认",
        N_("An ACK speaks for all octets before its number."),
        "RFC 9293 §3.4",
        ("累计确认",),
        ("累计确认",),
    ),
    Entry(
        "delayed ACK",
        "延迟确认",
        N_("An ACK that waits a little, so as to ride on data."),
        "RFC 9293 §3.8.6.3",
        ("延时确认", "推迟确认"),
        ("延时确认",),
    ),
    Entry(
        "piggybacking",
        "捎带",
        N_("An ACK rides on a segment that would leave anyway."),
        "RFC 9293 §3.8.6.3",
        ("捎带确认",),
    ),
    Entry(
        "duplicate ACK",
        "重复确认",
        N_("An ACK with the same number again: something beyond it has arrived."),
        "RFC 5681 §2",
        ("冗余 ACK",),
        ("冗余 ACK",),
    ),
    Entry(
        "selective acknowledgment",
        "选择确认",
        N_("Tells what has arrived beyond the acknowledgment number."),
        "RFC 2018 §3",
        ("SACK", "选择性确认"),
        ("选择性确认",),
    ),
    Entry(
        "D-SACK",
        "D-SACK",
        N_("A SACK block that tells what arrived twice."),
        "RFC 2883 §4",
        ("duplicate SACK", "重复 SACK"),
    ),
    Entry("retransmission", "重传", N_("What is not acknowledged is sent again."), "RFC 9293 §3.8.1", ("重发", "再送")),
    Entry(
        "round-trip time",
        "往返时间",
        N_("From sending something until its ACK comes."),
        "RFC 6298 §2",
        ("RTT", "往返时延"),
        ("往返时延",),
    ),
    Entry(
        "SRTT",
        "平滑往返时间",
        N_("A moving average of round-trip times."),
        "RFC 6298 §2",
        ("smoothed round-trip time",),
    ),
    Entry(
        "RTTVAR", "往返时间偏差", N_("How much round-trip times vary."), "RFC 6298 §2", ("round-trip time variation",)
    ),
    Entry(
        "RTO",
        "超时重传时间",
        N_("How long an ACK is awaited: SRTT and four times RTTVAR; doubled each time."),
        "RFC 6298 §2",
        ("retransmission timeout", "重传超时", "超时时间"),
    ),
    Entry(
        "Karn's algorithm",
        "Karn 算法",
        N_("The round trip of what was sent twice is not measured: which one was acknowledged?"),
        "RFC 6298 §3",
    ),
    Entry("out of order", "失序", N_("Arrived before something with a lower number."), "RFC 9293 §3.10.7.4", ("乱序",)),
    Entry(
        "sliding window",
        "滑动窗口",
        N_("What may be sent before more is acknowledged; every ACK moves it on."),
        "RFC 9293 §3.8.6",
        ("滑窗",),
    ),
    Entry(
        "receive window",
        "接收窗口",
        N_("How much room the receiver has, as it says itself."),
        "RFC 9293 §3.8.6",
        ("rwnd", "通告窗口"),
    ),
    Entry(
        "flow control",
        "流量控制",
        N_("The sender obeys the receiver's window."),
        "RFC 9293 §3.8.6",
        ("流控",),
        ("流控",),
    ),
    Entry("zero window", "零窗口", N_("The receiver has no room at all."), "RFC 9293 §3.8.6.1", ("窗口关闭",)),
    Entry(
        "zero-window probe",
        "零窗口探测",
        N_("Asks whether there is room by now."),
        "RFC 9293 §3.8.6.1",
        ("window probe", "窗口探测"),
    ),
    Entry(
        "window scale",
        "窗口扩大",
        N_("The option that lets windows exceed 65,535 octets."),
        "RFC 7323 §2",
        ("窗口缩放", "窗口扩大因子"),
        ("窗口缩放",),
    ),
    Entry(
        "silly window syndrome",
        "糊涂窗口综合征",
        N_("Small windows make small segments, which make small windows."),
        "RFC 9293 §3.8.6.2",
        ("SWS",),
    ),
    Entry(
        "Nagle's algorithm",
        "Nagle 算法",
        N_("A small segment waits while another is not acknowledged; TCP_NODELAY turns it off."),
        "RFC 9293 §3.7.4",
        ("纳格算法",),
        ("纳格算法",),
    ),
    Entry(
        "timestamps",
        "时间戳",
        N_("The option with TSval and TSecr: for measuring round trips and for PAWS."),
        "RFC 7323 §3",
        ("TS", "时间戳选项"),
    ),
    Entry(
        "PAWS",
        "防止序号绕回",
        N_("By its timestamp an old duplicate is known, though its number fits again."),
        "RFC 7323 §5",
        ("protection against wrapped sequence numbers",),
    ),
)

CONGESTION: Final = (
    Entry(
        "congestion control",
        "拥塞控制",
        N_("The sender's guess of what the network can carry."),
        "RFC 5681 §3",
        ("阻塞控制",),
        ("阻塞控制",),
    ),
    Entry(
        "congestion window",
        "拥塞窗口",
        N_("How much the sender dares to have under way; it is never sent."),
        _CONTROL,
        ("cwnd", "阻塞窗口"),
        ("阻塞窗口",),
    ),
    Entry(
        "slow start",
        "慢开始",
        N_("From a small window, cwnd grows with every ACK: twice as large each round trip."),
        _CONTROL,
        ("慢启动",),
        ("慢启动",),
    ),
    Entry(
        "ssthresh",
        "慢开始门限",
        N_("The cwnd at which slow start gives way to congestion avoidance."),
        _CONTROL,
        ("slow start threshold", "慢启动阈值"),
        ("慢启动阈值",),
    ),
    Entry(
        "congestion avoidance",
        "拥塞避免",
        N_("cwnd grows by about one segment each round trip."),
        _CONTROL,
        ("阻塞避免",),
        ("阻塞避免",),
    ),
    Entry(
        "fast retransmit",
        "快速重传",
        N_("After three duplicate ACKs a segment is sent again, before its RTO is over."),
        "RFC 5681 §3.2",
        ("快重传",),
        ("快重传",),
    ),
    Entry(
        "fast recovery",
        "快速恢复",
        N_("After a fast retransmit cwnd falls by about half, and not to one segment."),
        "RFC 5681 §3.2",
        ("快恢复",),
        ("快恢复",),
    ),
    Entry(
        "tail-loss probe",
        "尾部丢失探测",
        N_("The last segment again, soon, since nothing behind it could show its loss."),
        "RFC 8985 §7",
        ("TLP",),
    ),
    Entry("RACK", "RACK", N_("Judges loss by time: what is overtaken for too long is lost."), "RFC 8985 §6"),
    Entry(
        "ECN",
        "显式拥塞通知",
        N_("Routers mark packets instead of dropping them."),
        "RFC 3168 §5",
        ("explicit congestion notification", "显式拥塞通告"),
        ("显式拥塞通告",),
    ),
)
