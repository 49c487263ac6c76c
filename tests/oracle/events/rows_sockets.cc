// SPDX-License-Identifier: Apache-2.0
// Sockets' functions and tracepoints.
#include "tests/oracle/events/rows.h"

namespace events {
namespace {

#define SK(sk) "family=" sk "->__sk_common.skc_family state=" sk "->__sk_common.skc_state"
#define PORTS(sk) "num=" sk "->__sk_common.skc_num dport=" sk "->__sk_common.skc_dport:port"

constexpr Row kRows[] = {
    {kFunction, "security_socket_create", "family=arg0 type=arg1 protocol=arg2 kern=arg3", "ret=ret"},
    {kFunction, "sock_alloc", "", "ret=ret"},
    {kFunction, "security_socket_post_create", "family=arg1 type=arg2 sk=arg0->sk", "ret=ret"},
    {kFunction, "security_socket_bind", "type=arg0->type len=arg2 family=arg1->sa_family", "ret=ret"},
    {kFunction, "inet_bind", "port=arg1(sockaddr_in)->sin_port:port addr=arg1(sockaddr_in)->sin_addr.s_addr:ip len=arg2", "ret=ret"},
    {kFunction, "inet6_bind", "port=arg1(sockaddr_in6)->sin6_port:port len=arg2", "ret=ret"},
    {kFunction, "security_socket_listen", "backlog=arg1", "ret=ret"},
    {kFunction, "inet_listen", "backlog=arg1 " SK("arg0->sk"), "ret=ret"},
    {kFunction, "inet_csk_listen_start", SK("arg0") " backlog=arg0->sk_max_ack_backlog", "ret=ret"},
    {kFunction, "unix_listen", "backlog=arg1 type=arg0->type", "ret=ret"},
    {kFunction, "security_socket_getsockname", "type=arg0->type", "ret=ret"},
    {kFunction, "security_socket_getpeername", "type=arg0->type", "ret=ret"},
    {kFunction, "security_socket_getsockopt", "type=arg0->type level=arg1 name=arg2", "ret=ret"},
    {kFunction, "security_socket_setsockopt", "type=arg0->type level=arg1 name=arg2", "ret=ret"},
    {kFunction, "security_socket_socketpair", "type=arg0->type other=arg1->type", "ret=ret"},
    {kFunction, "security_socket_connect", "state=arg0->state len=arg2", "ret=ret"},
    {kFunction, "inet_stream_connect", "state=arg0->state port=arg1(sockaddr_in)->sin_port:port flags=arg3:x", "ret=ret"},
    {kFunction, "tcp_v4_connect", SK("arg0") " port=arg1(sockaddr_in)->sin_port:port len=arg2", "ret=ret"},
    {kFunction, "tcp_v6_connect", SK("arg0") " port=arg1(sockaddr_in6)->sin6_port:port len=arg2", "ret=ret"},
    {kFunction, "tcp_connect", SK("arg0") " dport=arg0->__sk_common.skc_dport:port daddr=arg0->__sk_common.skc_daddr:ip", "ret=ret"},
    {kFunction, "unix_stream_connect", "state=arg0->state path=arg1(sockaddr_un)->sun_path:str len=arg2", "ret=ret"},
    {kFunction, "security_socket_accept", "state=arg0->state", "ret=ret"},
    {kFunction, "inet_csk_accept", SK("arg0") " backlog=arg0->sk_max_ack_backlog flags=arg1:x", "ret=ret"},
    {kFunction, "tcp_v4_syn_recv_sock", SK("arg0") " num=arg0->__sk_common.skc_num", "ret=ret", true},
    {kFunction, "tcp_v6_syn_recv_sock", SK("arg0") " num=arg0->__sk_common.skc_num", "ret=ret", true},
    {kFunction, "security_socket_shutdown", "how=arg1", "ret=ret"},
    {kFunction, "tcp_close", SK("arg0") " timeout=arg1", ""},
    {kFunction, "tcp_set_state", SK("arg0") " new=arg1", "", true},
    {kFunction, "security_socket_sendmsg", "size=arg2 type=arg0->type", "ret=ret"},
    {kFunction, "tcp_sendmsg", SK("arg0") " size=arg2", "ret=ret"},
    {kFunction, "udp_sendmsg", SK("arg0") " len=arg2", "ret=ret"},
    {kFunction, "udpv6_sendmsg", SK("arg0") " len=arg2", "ret=ret"},
    {kFunction, "unix_stream_sendmsg", "size=arg2 state=arg0->state", "ret=ret"},
    {kFunction, "security_socket_recvmsg", "size=arg2 flags=arg3:x", "ret=ret"},
    {kFunction, "tcp_recvmsg", SK("arg0") " len=arg2 flags=arg3:x", "ret=ret"},
    {kFunction, "tcp_cleanup_rbuf", SK("arg0") " copied=arg1", ""},
    {kFunction, "udp_recvmsg", SK("arg0") " len=arg2 flags=arg3:x", "ret=ret"},
    {kFunction, "udpv6_recvmsg", SK("arg0") " len=arg2 flags=arg3:x", "ret=ret"},
    {kFunction, "unix_stream_recvmsg", "size=arg2 flags=arg3:x", "ret=ret"},
    {kTracepoint | kRaw, "sock:inet_sock_set_state",
     "old=oldstate new=newstate family=family protocol=protocol", SK("arg0") " old=arg1 new=arg2", true},
    {kTracepoint | kRaw, "tcp:tcp_destroy_sock", "family=family", SK("arg0"), true},
    {kTracepoint | kRaw, "tcp:tcp_receive_reset", "family=family dport=dport", SK("arg0"), true},
};

}  // namespace

std::span<const Row> socket_rows() { return kRows; }

}  // namespace events
