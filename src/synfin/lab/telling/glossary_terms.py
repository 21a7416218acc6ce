"""The glossary's entries for what there is and how it opens, and for how it closes or fails."""

from __future__ import annotations

from typing import Final

from synfin.lab.experiment import N_
from synfin.lab.telling.glossary_entry import Entry

__all__ = ["CLOSING", "OPENING"]

_QUEUES: Final = "RFC 4987 §1"

OPENING: Final = (
    # what there is
    Entry(
        "segment",
        "报文段",
        N_("What TCP sends at once: a header, and perhaps data."),
        "RFC 9293 §4",
        ("分节", "TCP 报文", "段"),
        ("分节", "数据段"),
    ),
    Entry(
        "octet", "字节", N_("Eight bits: what TCP numbers and carries."), "RFC 9293 §4", ("byte", "八位组"), ("八位组",)
    ),
    Entry(
        "packet",
        "分组",
        N_("What IP carries from host to host: a header and, here, a segment."),
        "RFC 9293 §4",
        ("datagram", "IP 数据报", "数据包", "包"),
        ("数据包",),
    ),
    Entry(
        "byte stream", "字节流", N_("What programs see: octets in order, without boundaries."), "RFC 9293 §2.2", ("流",)
    ),
    Entry("TCB", "传输控制块", N_("All that a host remembers of a connection."), "RFC 9293 §3.3.1", ("控制块",)),
    Entry("port", "端口", N_("With the address, it names one end of a connection."), "RFC 9293 §3.1", ("端口号",)),
    Entry(
        "four-tuple",
        "四元组",
        N_("Both addresses and both ports: together they name a connection."),
        "RFC 9293 §3.3.1",
        ("socket pair", "套接字对"),
        ("五元组",),
    ),
    Entry(
        "socket",
        "套接字",
        N_("What a program holds of a connection or a listener."),
        "RFC 9293 §4",
        ("插口",),
        ("插口",),
    ),
    Entry(
        "listener",
        "监听套接字",
        N_("A socket that takes connections and carries none itself; its TCB is in LISTEN."),
        "RFC 9293 §3.9.1.1",
        ("监听者", "监听方"),
        ("监听者", "监听方"),
    ),
    Entry("client", "客户端", N_("The end that opens."), "RFC 9293 §3.5", ("客户", "客户机"), ("客户机",)),
    Entry("server", "服务器", N_("The end that listens."), "RFC 9293 §3.5", ("服务端", "服务方"), ("服务端",)),
    Entry("peer", "对方", N_("The other end of a connection."), "RFC 9293 §4", ("对端", "对等方"), ("对等方",)),
    Entry(
        "header",
        "首部",
        N_("What a segment begins with: ports, numbers, flags, window."),
        "RFC 9293 §3.1",
        ("头部", "报头"),
        ("报头",),
    ),
    Entry(
        "checksum",
        "检验和",
        N_("Shows whether a segment was damaged; a damaged one is dropped in silence."),
        "RFC 9293 §3.1",
        ("校验和",),
        ("校验和",),
    ),
    # numbers
    Entry(
        "sequence number",
        "序号",
        N_("The number of the first octet of a segment."),
        "RFC 9293 §3.4",
        ("seq", "序列号"),
        ("序列号",),
    ),
    Entry(
        "initial sequence number",
        "初始序号",
        N_("The number of the SYN, new for each connection and hard to guess."),
        "RFC 9293 §3.4.1",
        ("ISN", "x", "y", "初始序列号"),
        ("初始序列号",),
    ),
    Entry(
        "acknowledgment number",
        "确认号",
        N_("The number that is expected next; all before it has arrived."),
        "RFC 9293 §3.4",
        ("ack", "确认序号", "确认应答号"),
        ("确认序号", "确认应答号"),
    ),
    Entry(
        "MSS",
        "最大报文段长度",
        N_("How many octets of data a segment may carry."),
        "RFC 9293 §3.7.1",
        ("maximum segment size", "最大分段大小"),
        ("最大分段大小",),
    ),
    Entry(
        "MSL",
        "报文段最大生存时间",
        N_("How long a segment can live in the network: two minutes, by the RFC."),
        "RFC 9293 §3.4.2",
        ("maximum segment lifetime", "最长报文段寿命"),
        ("最长报文段寿命",),
    ),
    Entry(
        "2MSL",
        "2MSL",
        N_("The time of TIME-WAIT: one MSL for the last segment, one for its answer."),
        "RFC 9293 §3.6.1",
        ("两倍报文段最大生存时间",),
    ),
    # opening
    Entry(
        "three-way handshake",
        "三次握手",
        N_("The opening in three messages: both SYNs are sent, and both are acknowledged."),
        "RFC 9293 §3.5",
        ("三报文握手", "三路握手"),
        ("三报文握手", "三路握手"),
    ),
    Entry("passive open", "被动打开", N_("To listen for whoever connects."), "RFC 9293 §3.9.1", ("listen()",)),
    Entry("active open", "主动打开", N_("To connect, by sending a SYN."), "RFC 9293 §3.9.1", ("connect()",)),
    Entry(
        "simultaneous open",
        "同时打开",
        N_("Both ends send SYN to one another: there will be one connection."),
        "RFC 9293 §3.5",
    ),
    Entry(
        "SYN queue",
        "未完成连接队列",
        N_("Requests whose handshake is not complete."),
        _QUEUES,
        ("SYN 队列", "半连接队列"),
        ("SYN 队列", "半连接队列"),
    ),
    Entry(
        "accept queue",
        "已完成连接队列",
        N_("Connections that wait for accept()."),
        "RFC 9293 §3.9.1.1",
        ("accept 队列", "全连接队列"),
        ("accept 队列", "全连接队列"),
    ),
    Entry(
        "backlog",
        "backlog",
        N_("What listen() is given: on Linux it bounds the accept queue."),
        "RFC 9293 §3.9.1.1",
        ("积压值",),
    ),
    Entry(
        "request",
        "半连接",
        N_("What a listener notes of a SYN until the handshake is complete."),
        _QUEUES,
        ("embryonic connection", "连接请求"),
    ),
    Entry(
        "SYN cookie",
        "SYN cookie",
        N_("A SYN+ACK whose number holds all that would have to be remembered."),
        "RFC 4987 §3.6",
    ),
    Entry(
        "SYN flood",
        "SYN 泛洪",
        N_("SYNs with forged addresses, to fill the SYN queue."),
        "RFC 4987 §2",
        ("SYN 洪水", "SYN 洪泛"),
        ("SYN 洪泛",),
    ),
    Entry("Fast Open", "快速打开", N_("Data in the SYN, for a client that was here before."), "RFC 7413 §2", ("TFO",)),
)

CLOSING: Final = (
    Entry(
        "four-way close",
        "四次挥手",
        N_("The close in four messages: for each direction a FIN and its ACK."),
        "RFC 9293 §3.6",
        ("四报文挥手", "四次握手释放", "四次分手"),
        ("四报文挥手", "四次分手"),
    ),
    Entry(
        "active closer",
        "主动关闭方",
        N_("The end whose FIN leaves first; it ends in TIME-WAIT."),
        "RFC 9293 §3.6",
        ("主动关闭的一方",),
    ),
    Entry(
        "passive closer",
        "被动关闭方",
        N_("The end that has got a FIN and closes later; it ends in LAST-ACK."),
        "RFC 9293 §3.6",
        ("被动关闭的一方",),
    ),
    Entry("simultaneous close", "同时关闭", N_("Both FINs leave before either has arrived."), "RFC 9293 §3.6", ()),
    Entry(
        "half-closed",
        "半关闭",
        N_("One direction has ended lawfully, the other is open. Not to be taken for half-open."),
        "RFC 9293 §3.6",
        ("half-close", "shutdown(SHUT_WR)"),
    ),
    Entry(
        "half-open",
        "半开",
        N_("One end has a connection of which the other knows nothing any more. Not half-closed."),
        "RFC 9293 §3.5.1",
        ("半打开",),
        ("半打开", "半开连接"),
    ),
    Entry(
        "graceful close",
        "优雅关闭",
        N_("FIN and not RST: what was written is still delivered."),
        "RFC 9293 §3.6",
        ("orderly close", "正常关闭"),
    ),
    Entry(
        "abort",
        "中止",
        N_("To end a connection with RST; what was not delivered is lost."),
        "RFC 9293 §3.10.5",
        ("异常终止", "放弃连接"),
        ("异常终止",),
    ),
    Entry(
        "end of file",
        "文件结束",
        N_("What recv() returns after a FIN: nothing, and no error."),
        "RFC 9293 §3.9.1.3",
        ("EOF", "end of the file", "end of the stream", "文件尾", "文件结束符"),
        ("文件结束符", "文件尾", "流结束", "流已结束"),
    ),
    # what goes wrong
    Entry(
        "keep-alive",
        "保活",
        N_("Probes after a long silence, to learn whether the peer is still there; off by default."),
        "RFC 9293 §3.8.4",
        ("keepalive", "心跳"),
    ),
    Entry(
        "challenge ACK",
        "挑战 ACK",
        N_("An ACK that asks whether a dubious SYN or RST was meant."),
        "RFC 5961 §3.2",
        ("质询 ACK",),
        ("质询 ACK",),
    ),
    Entry("path MTU", "路径 MTU", N_("The largest packet that passes all hops of a path."), "RFC 8201 §3", ("PMTU",)),
    Entry(
        "ephemeral port",
        "临时端口",
        N_("The port that connect() chooses by itself."),
        "RFC 6056 §2",
        ("本地端口范围", "动态端口"),
    ),
    Entry(
        "orphan",
        "无主连接",
        N_("A connection that its program has closed, and the host still ends."),
        "RFC 9293 §3.6.1",
        ("孤儿连接",),
        ("孤儿连接",),
    ),
)
