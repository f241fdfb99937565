// SPDX-License-Identifier: Apache-2.0
// The rows of [[socket]]: DESIGN §7, and every option of systemd.socket(5) as of 257 in its snake_case name.
#include "unit/codecs.h"
#include "unit/settings.h"

#include <climits>

namespace holdfast {

namespace {

constexpr auto in = Section::Socket;

constexpr std::array rows{
    setting<&SocketSpec::name, SocketName>(in, "name", "the unit's name",
                                           "The name by which workers and commands know the listener."),
    setting<&SocketSpec::listen, Addresses>(in, "listen", "required",
                                            "The address or addresses to listen on."),
    setting<&SocketSpec::backlog, Whole<1, INT_MAX>>(
        in, "backlog", "4096",
        "How many connections may wait to be accepted; the kernel caps it at net.core.somaxconn."),
    setting<&SocketSpec::socket_mode, Mode>(in, "socket_mode", "0666",
                                            "The file mode of a unix socket's path."),
    setting<&SocketSpec::free_bind, Flag>(in, "free_bind", "false",
                                          "Bind to an address that the machine does not have yet."),
    setting<&SocketSpec::non_blocking, Flag>(in, "non_blocking", "false",
                                             "Leave O_NONBLOCK set on the listener that workers get."),
    setting<&SocketSpec::reuse_port, Flag>(
        in, "reuse_port", "false",
        "One listener per worker, with new connections shared out among them by the kernel."),
    // Of holdfast
    later(in, "tcp_fastopen", "number", "How many connections may open with data in the first packet."),
    later(in, "user_timeout", "duration", "How long sent data may stay unacknowledged."),
    later(in, "max_segment", "number", "The largest TCP segment."),
    later(in, "linger", "duration", "How long closing waits for data to be sent."),
    later(in, "incoming_cpu", "number", "Prefer packets that arrive on this CPU."),
    later(in, "busy_poll", "duration", "How long to poll the device before sleeping."),
    later(in, "option", "list of tables", "Any other socket option, by level, name and value."),
    // Of systemd.socket(5)
    later(in, "socket_protocol", "word", "The protocol of a stream or sequential-packet socket."),
    later(in, "bind_ipv6_only", "word", "Whether an IPv6 listener takes IPv4 too."),
    later(in, "bind_to_device", "name", "The network interface to listen on."),
    later(in, "socket_user", "name or number", "The user that owns a unix socket's path."),
    later(in, "socket_group", "name or number", "The group that owns a unix socket's path."),
    later(in, "directory_mode", "octal text", "The file mode of folders made for a unix socket's path."),
    later(in, "writable", "true or false", "Open a special file for writing too."),
    later(in, "flush_pending", "true or false", "Throw away what waits in the queue before a start."),
    later(in, "keep_alive", "true or false", "Probe idle TCP connections."),
    later(in, "keep_alive_time", "duration", "How long a connection is idle before the first probe."),
    later(in, "keep_alive_interval", "duration", "How long between probes."),
    later(in, "keep_alive_probes", "number", "How many probes before the connection is given up."),
    later(in, "no_delay", "true or false", "Send small packets at once."),
    later(in, "priority", "number", "The priority of outgoing packets."),
    later(in, "defer_accept", "duration", "Wake a worker only when data has come, or after this long."),
    later(in, "receive_buffer", "size", "The size of the receive buffer."),
    later(in, "send_buffer", "size", "The size of the send buffer."),
    later(in, "ip_tos", "number or word", "The type of service of outgoing packets."),
    later(in, "ip_ttl", "number", "The time to live of outgoing packets."),
    later(in, "mark", "number", "The firewall mark of outgoing packets."),
    later(in, "smack_label", "text", "The SMACK label of a path."),
    later(in, "smack_label_ip_in", "text", "The SMACK label of incoming connections."),
    later(in, "smack_label_ip_out", "text", "The SMACK label of outgoing packets."),
    later(in, "selinux_context_from_net", "true or false", "Take a worker's SELinux context from its peer."),
    later(in, "pipe_size", "size", "The size of a FIFO's buffer."),
    later(in, "message_queue_max_messages", "number", "How many messages a message queue holds."),
    later(in, "message_queue_message_size", "size", "The largest message of a message queue."),
    later(in, "transparent", "true or false", "Take connections to addresses that are not the machine's."),
    later(in, "broadcast", "true or false", "Allow datagrams to broadcast addresses."),
    later(in, "pass_credentials", "true or false", "Have the kernel say who sends on a unix socket."),
    later(in, "pass_security", "true or false", "Have the kernel say the sender's security context."),
    later(in, "pass_packet_info", "true or false", "Have the kernel say which address a packet came to."),
    later(in, "pass_file_descriptors_to_exec", "true or false",
          "Give the listeners to the exec_* commands too."),
    later(in, "timestamping", "word", "Have the kernel say when a packet came."),
    later(in, "tcp_congestion", "word", "The congestion control of TCP connections."),
    later(in, "exec_start_pre", "list of commands", "Commands that run before the socket is bound."),
    later(in, "exec_start_post", "list of commands", "Commands that run after the socket is bound."),
    later(in, "exec_stop_pre", "list of commands", "Commands that run before the socket is closed."),
    later(in, "exec_stop_post", "list of commands", "Commands that run after the socket is closed."),
    later(in, "timeout", "duration", "How long those commands may take."),
    later(in, "remove_on_stop", "true or false", "Remove the path when the socket is given up."),
    later(in, "symlinks", "list of paths", "Symbolic links to the path."),
    setting<&SocketSpec::trigger_limit_interval, Time<Allow::Zero>>(
        in, "trigger_limit_interval", "2s",
        "The span in which starts by traffic are counted against trigger_limit_burst."),
    setting<&SocketSpec::trigger_limit_burst, Whole<0, 65535>>(
        in, "trigger_limit_burst", "20",
        "How many starts by traffic (with accept: of a process for a connection; 200) in "
        "trigger_limit_interval are made before a pause; 0 is any number."),
    setting<&SocketSpec::poll_limit_interval, Time<Allow::Zero>>(
        in, "poll_limit_interval", "2s",
        "The span in which the traffic of this listener is counted against poll_limit_burst."),
    setting<&SocketSpec::poll_limit_burst, Whole<0, 65535>>(
        in, "poll_limit_burst", "15",
        "How often a listener starts a lazy service in poll_limit_interval before it is left alone; 0 is any "
        "number."),
};

constexpr std::array option_rows{
    later(Section::SocketOption, "level", "number or word", "The level of setsockopt(2)."),
    later(Section::SocketOption, "name", "number or word", "The option of setsockopt(2)."),
    later(Section::SocketOption, "value", "number or text", "The value to set."),
};

} // namespace

std::span<Setting const> socket_settings() {
    return rows;
}
std::span<Setting const> socket_option_settings() {
    return option_rows;
}

} // namespace holdfast
