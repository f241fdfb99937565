// SPDX-License-Identifier: Apache-2.0
// HandoffSession: our end of one hand-off socket (frames.h). It owns the socket and answers from a lookup; it
// never waits, and knows no event loop: the owner watches socket() for what await() says and calls
// on_ready(). Between two calls it holds names only, never a descriptor: what is given up meanwhile is not
// sent any more. A peer that does not read stops being served at its position, and is not read from until it
// does.
#pragma once

#include "base/fd.h"
#include "base/result.h"
#include "handoff/fd_batch.h"
#include "handoff/frames.h"

#include <cstddef>
#include <deque>
#include <functional>
#include <string>
#include <vector>

namespace holdfast {

inline constexpr unsigned max_garbage_frames = 8;   ///< malformed questions a session survives
inline constexpr unsigned max_frames_per_turn = 16; ///< frames handled in one call, so that others get theirs

/// What the owner has to watch the socket for. Closed: nothing more will come of it, destroy the session.
enum class SessionWait { Readable, Writable, Closed };
constexpr auto enum_table(SessionWait) {
    return std::array{EnumName{SessionWait::Readable, "readable"},
                      EnumName{SessionWait::Writable, "writable"}, EnumName{SessionWait::Closed, "closed"}};
}

class HandoffSession {
public:
    /// The listeners of `unit` (empty: the worker's own) as they are now, in the order in which they are to
    /// be given; or an error, whose text the peer is told. May be called several times for one question, and
    /// must not call back into the session.
    using Lookup = std::function<Result<std::vector<NamedFd>>(std::string const& unit)>;

    /// `socket`: a connected SOCK_SEQPACKET socket; it need not be non-blocking.
    HandoffSession(UniqueFd socket, RequestScope scope, Lookup lookup);

    [[nodiscard]] FdRef socket() const { return socket_; }
    [[nodiscard]] SessionWait await() const { return await_; }
    [[nodiscard]] unsigned garbage_count() const { return garbage_; }
    /// Why the session is closed, as a sentence; empty when the peer just left.
    [[nodiscard]] std::string const& closed_because() const { return closed_because_; }

    /// The socket is readable or writable or was hung up: does bounded work and says what to watch next.
    SessionWait on_ready();

    /// Listeners of the worker's own unit that were bound just now: sent at once if the peer reads and has
    /// asked for them before (everything, or these names). `fresh` must be among what the lookup returns.
    SessionWait push(std::vector<NamedFd> const& fresh);

private:
    struct Pending { ///< one descriptor to send, found again by name and number when its turn comes
        WantedFd wanted;
        int number;
    };
    using Queue = std::deque<Pending>;
    class Listing;

    // Each handles one frame: true if it did, false if the socket would block or the session is closed now.
    [[nodiscard]] bool read_one();
    [[nodiscard]] bool send_one();
    [[nodiscard]] bool send_batch(ReplyKind kind, Queue& queue);
    void take_question(GetRequest request);
    void reject(std::string text);
    [[nodiscard]] bool not_sent(Error const& error);
    void close(std::string why);
    SessionWait settle();
    [[nodiscard]] bool has_pending() const { return !error_.empty() || answering_ || !pushes_.empty(); }
    [[nodiscard]] bool wants_push_of(std::string const& name) const;

    UniqueFd socket_;
    RequestScope scope_;
    Lookup lookup_;
    SessionWait await_ = SessionWait::Readable;
    std::string error_;      ///< an error frame to be sent before all else
    bool answering_ = false; ///< the last `fds` frame of an answer is not sent yet
    Queue reply_;
    Queue pushes_; ///< at most one entry per listener that is held
    bool has_asked_ = false;
    std::vector<std::string> asked_names_; ///< of the latest question; empty: everything
    unsigned garbage_ = 0;
    std::string closed_because_;
};

} // namespace holdfast
