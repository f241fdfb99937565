// SPDX-License-Identifier: Apache-2.0
// How listeners travel by SCM_RIGHTS: text frames over a SOCK_SEQPACKET socket, one frame per message.
//
// A program asks:    get                       everything it may have
//                    get http admin            only these names
//                    get web                   the same on handoff.sock, where the unit must be named:
//                    get web/http db/sql       everything of a unit, or single listeners of one
// and is answered:   fds COUNT REMAINING       and COUNT descriptors (at most 253) in this message; then one
// line
//                    http                      per descriptor with its name, as in the question ("web/http"
//                    on http                      handoff.sock). REMAINING descriptors follow in further
//                    messages. error TEXT                the question is malformed, or asks for what is not
//                    there
// and later, unasked: push COUNT REMAINING     as fds: listeners that appeared while the program lives
// A name comes once per address that it listens on. What workers have stored (FDSTORE=1) comes last, under
// names of their own: printable ASCII without ':'; one that is no socket name comes with `get` alone. Pushes
// begin after the first `get`, and bring only what the latest one asked for. One newline at the end of a
// question is allowed. A reader ignores frames whose first word it does not know, and closes what came with
// them. In Python this is all a worker needs:
//
//     s = socket.socket(fileno=int(os.environ["HOLDFAST_HANDOFF"]))
//     s.send(b"get http")
//     text, fds, flags, address = socket.recv_fds(s, 65536, 253)
//     listener = socket.socket(fileno=fds[0])
#pragma once

#include "base/enum_names.h"
#include "base/fd.h"
#include "base/result.h"
#include "handoff/fd_batch.h"

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast {

inline constexpr std::size_t max_frame_size = 64 * 1024; ///< bytes of text of one frame
inline constexpr std::size_t max_frame_fds = 253;        ///< SCM_MAX_FD: the kernel refuses more, see unix(7)
inline constexpr std::size_t max_request_names = 1024;   ///< words after `get`
inline constexpr std::size_t max_error_text = 1000;      ///< bytes after `error `

/// Whose listeners a question is about: the worker's own unit, or any (handoff.sock).
enum class RequestScope { OwnUnit, AnyUnit };

/// One word after `get`. An empty `unit` is the asker's own; an empty `name` means all of the unit.
struct WantedFd {
    std::string unit;
    std::string name;
    bool operator==(WantedFd const&) const = default;
};

/// A question. With OwnUnit an empty list means everything; with AnyUnit it is never empty.
struct GetRequest {
    std::vector<WantedFd> wanted;
    bool operator==(GetRequest const&) const = default;
};

enum class ReplyKind { Fds, Push, Error };
constexpr auto enum_table(ReplyKind) {
    return std::array{EnumName{ReplyKind::Fds, "fds"}, EnumName{ReplyKind::Push, "push"},
                      EnumName{ReplyKind::Error, "error"}};
}

/// An answer without its descriptors.
struct Reply {
    ReplyKind kind = ReplyKind::Fds;
    std::vector<std::string> names; ///< one per descriptor, in their order
    std::size_t remaining = 0;      ///< descriptors that follow in further frames
    std::string error;              ///< of ReplyKind::Error
    bool operator==(Reply const&) const = default;
};

/// Pure; the text is what arrived, of any content. Names follow is_socket_name() and is_unit_name().
[[nodiscard]] Result<GetRequest> decode_request(std::string_view text, RequestScope scope);
[[nodiscard]] std::string encode_request(GetRequest const& request);
[[nodiscard]] Result<Reply> decode_reply(std::string_view text);
/// An error text is made one printable line of at most max_error_text bytes.
[[nodiscard]] std::string encode_reply(Reply const& reply);

/// The name as the asker sees it: "http", or "web/http" where a unit is named.
[[nodiscard]] std::string to_string(WantedFd const& wanted);

/// One message with its descriptors, without waiting. EAGAIN: the peer does not read; EPIPE: it is gone.
/// sendmsg(2) with MSG_NOSIGNAL.
[[nodiscard]] Outcome send_frame(FdRef socket, std::string_view text, std::vector<FdRef> const& fds = {});

struct ReceivedFrame {
    std::string text; ///< empty: the peer closed
    std::vector<UniqueFd> fds;
};

/// One message, without waiting; descriptors come close-on-exec. EAGAIN: nothing there. EMSGSIZE: the text
/// was too long (MSG_TRUNC); E2BIG: more than `max_fds` descriptors came (MSG_CTRUNC). Either way the message
/// is consumed and all that came with it is closed. recvmsg(2) with MSG_CMSG_CLOEXEC.
[[nodiscard]] Result<ReceivedFrame> receive_frame(FdRef socket, std::size_t max_fds);

} // namespace holdfast
