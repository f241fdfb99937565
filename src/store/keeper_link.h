// SPDX-License-Identifier: Apache-2.0
// holdfastd's end of the keeper's protocol. After the dump at start nothing here waits, but for an upgrade
// and where descriptors are used up: what the socket does not take now is queued, in order, with duplicates
// of its descriptors, and sent by flush(). The keeper never vanishes in good order; when it is gone,
// receive() says so, and what is still put goes nowhere.
#pragma once

#include "base/fd.h"
#include "base/result.h"
#include "base/time.h"
#include "store/protocol.h"

#include <cerrno>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <sys/types.h>

namespace holdfast {

class Message;

/// A descriptor that the keeper held, and how often (and with what last, 0: never) it signalled that process.
struct HeldFd {
    std::string name;
    UniqueFd fd;
    unsigned signals = 0;
    int last_signal = 0;
};

/// StartFields that own their text.
struct StartInfo {
    unsigned starts = 0;
    StartReason reason = StartReason::First;
    UpgradeOutcome upgrade = UpgradeOutcome::None;
    std::string problem;
    pid_t previous = 0;
    std::string previous_exit;
    bool stored = false;
};

/// All that the keeper has. An exit may be older than the process that has its pid now.
struct Dump {
    StartInfo start;
    std::vector<HeldFd> held;
    UniqueFd state; ///< not open: none was saved
    std::vector<ChildExit> exits;
};

/// A descriptor that the caller goes on to own, and the name to keep it under.
struct Keep {
    std::string name;
    FdRef fd;
};

class KeeperLink {
public:
    /// Takes over the descriptor that HOLDFAST_KEEPER names and removes the variable; nothing without it. An
    /// error where it names no seqpacket socket.
    [[nodiscard]] static Result<std::optional<KeeperLink>> inherited();
    explicit KeeperLink(UniqueFd socket);
    KeeperLink(KeeperLink&&) noexcept;
    KeeperLink& operator=(KeeperLink&&) noexcept;
    ~KeeperLink();

    /// The process that made the socket, if it is our parent, else 0.
    [[nodiscard]] pid_t keeper() const;

    /// At start, before anything else is said; waits up to `patience` for all of it. The keeper goes on
    /// holding what it gave. ETIMEDOUT; EPIPE: the keeper is gone.
    [[nodiscard]] Result<Dump> dump(Duration patience);

    /// `sent` is called when the kernel has taken the last batch, maybe before put() returns: whatever
    /// happens to us now, the keeper will have them. Also where the keeper is gone, so that nobody waits for
    /// ever. Names must be held names (is_held_name). Where what has to wait cannot be duplicated, for
    /// descriptors are used up (EMFILE, ENFILE), this waits until the keeper has taken it, up to 1 s (but
    /// not again before something went out); if it does not, that is among the refusals, and nobody is told
    /// that it was sent.
    void put(std::vector<Keep> const& entries, std::function<void()> sent = {});
    void drop(std::vector<std::string> const& names);
    void save(FdRef state);
    /// The keeper sends the signal, once, and counts it.
    void signal(std::string const& name, int number);
    void tell_ready();
    void tell_stopping();
    /// It kills us, and starts another, if it does not hear this again within that time.
    void tell_alive(Duration within);

    /// Waits up to `patience` until the keeper has done all that it was asked for. ETIMEDOUT, EPIPE.
    [[nodiscard]] Outcome sync(Duration patience);

    /// To watch for reading always, and for writing while has_unsent().
    [[nodiscard]] FdRef socket() const { return socket_; }
    [[nodiscard]] bool has_unsent() const { return !unsent_.empty(); }
    /// Unsent, until the socket is ready for writing; else nothing tells when it can be sent (memory, or too
    /// many descriptors on their way, unix(7)).
    [[nodiscard]] bool waits_for_room() const { return has_unsent() && waits_for_ == EAGAIN; }
    void flush();

    /// Every exit that was told since the last call, without waiting. An error: the keeper is gone.
    [[nodiscard]] Result<std::vector<ChildExit>> receive();
    /// What the keeper refused, or we could not queue, since the last call; one line each, for the log.
    [[nodiscard]] std::vector<std::string> take_refusals();

private:
    struct Unsent {
        std::string text; ///< empty: only `sent` is to be called
        std::vector<UniqueFd> fds;
        std::function<void()> sent;
    };
    /// 0: it is sent, or the keeper is gone; else why it has to wait.
    [[nodiscard]] int send(std::string_view text, std::vector<FdRef> const& fds);
    void say(std::string text, std::vector<FdRef> const& fds = {}, std::function<void()> sent = {});
    void queue(std::string text, std::vector<FdRef> const& fds, std::function<void()> sent);
    /// Behind what is queued.
    [[nodiscard]] bool send_within(Duration patience, std::string_view text, std::vector<FdRef> const& fds);
    [[nodiscard]] Outcome wait_until(MonotonicTime deadline, std::string const& doing);
    /// Takes what is not an answer to a question: exits and refusals.
    void take_unasked(KeeperNotice const& notice);
    /// True when it was the last one.
    [[nodiscard]] Result<bool> take_into(Dump& dump, bool& started);

    UniqueFd socket_;
    std::unique_ptr<Message> message_;
    std::deque<Unsent> unsent_;
    std::vector<ChildExit> exits_; ///< that came while we waited for something else
    std::vector<std::string> refusals_;
    bool is_gone_ = false;
    bool is_stuck_ = false;  ///< it was waited for in vain, and nothing went out since
    int waits_for_ = 0;      ///< the error of the last message that could not be sent yet
    unsigned questions_ = 0; ///< of sync() that are not answered
};

} // namespace holdfast
