// SPDX-License-Identifier: Apache-2.0
// [health]: one worker is asked again and again whether it is well. Over HTTP or TCP by way of a listener
// that this worker alone has, so that the answer is its own and nobody else's; or by a command. Nothing here
// waits: a probe is a connection or a process on the event loop, with a deadline. What an answer means for
// the unit is the lifecycle's to say.
#pragma once

#include "base/fd.h"
#include "base/result.h"
#include "event/loop.h"
#include "unit/spec.h"
#include "worker/exec_context.h"

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_set>

namespace holdfast {

/// What a worker's private listener is called in LISTEN_FDNAMES, and how many may wait in it.
inline constexpr char health_listener_name[] = "health";
inline constexpr int health_backlog = 128;

struct PrivateListener {
    UniqueFd fd;
    std::uint16_t port = 0; ///< at 127.0.0.1
};
/// Errors: those of socket(2), bind(2), listen(2).
[[nodiscard]] Result<PrivateListener> open_private_listener(bool non_blocking);
/// One that another supervisor of ours has opened.
[[nodiscard]] PrivateListener take_private_listener(UniqueFd fd);

/// The status of an HTTP/1 answer: nothing while its first line is not there yet, 0 when it is none.
[[nodiscard]] std::optional<int> read_http_status(std::string_view answer, bool is_all);

/// How a probe ended.
struct ProbeEnd {
    std::string why;     ///< it failed, in words: "GET /healthz answered 500"; empty: it passed
    bool is_own = false; ///< the worker itself said that it is not well
};

/// A probe under way: destroying it ends it. Its end is told once, from the loop; it may be destroyed in
/// that.
class Probe {
public:
    using Ended = std::function<void(ProbeEnd)>;
    virtual ~Probe() = default;
};
[[nodiscard]] Result<std::unique_ptr<Probe>> probe_http(EventLoop& loop, std::uint16_t port,
                                                        std::string const& path, Probe::Ended ended);
/// `listener`: is accepted from once its queue is empty.
[[nodiscard]] Result<std::unique_ptr<Probe>> probe_tcp(EventLoop& loop, std::uint16_t port, FdRef listener,
                                                       Probe::Ended ended);
/// `children`: where the process is kept as one of ours while it runs. One that is given up is killed, and
/// for the reaper of orphans to bury.
[[nodiscard]] Result<std::unique_ptr<Probe>> probe_by_command(EventLoop& loop, LaunchPlan const& plan,
                                                              std::unordered_set<pid_t>& children,
                                                              Probe::Ended ended);

/// Probes one worker at each interval.
class Prober {
public:
    struct Subject {
        UnitSpecPtr spec; ///< with a [health]
        WorkerPlace place;
        std::uint64_t owner = 0; ///< for EventLoop::set_owner
    };
    /// Told of a pass that follows none or a failure, and of each `failures` failures in a row.
    using Told = std::function<void(bool passed)>;

    /// `around` and `children` must outlive it.
    Prober(EventLoop& loop, Subject subject, PrivateListener listener, Surroundings const& around,
           std::unordered_set<pid_t>& children, Told told);
    Prober(Prober const&) = delete;
    Prober& operator=(Prober const&) = delete;

    /// The first probe is made at once. `pid`: the worker's process, for the command to know.
    void start(pid_t pid);
    void stop();
    /// It said READY=1: from now on no answer is a failure too. Until that, or its first pass, it is still
    /// starting, for as long as it may (timeout_start), and fails only by saying so itself. What it has
    /// passed before is to be shown again, at once: now it counts.
    void worker_is_up();

    [[nodiscard]] HeldListener listener() const {
        return {{health_listener_name, listener_.fd}, listener_.port};
    }
    /// Why the last probe that failed did, in words.
    [[nodiscard]] std::string const& why() const { return why_; }

private:
    void ring();
    void begin();
    [[nodiscard]] Result<std::unique_ptr<Probe>> make_probe(Probe::Ended ended) const;
    void finish(ProbeEnd end);
    [[nodiscard]] std::string deadline_text() const;

    EventLoop& loop_;
    Subject subject_;
    PrivateListener listener_;
    Surroundings const& around_;
    std::unordered_set<pid_t>& children_;
    Told told_;
    pid_t pid_ = 0;
    bool is_up_ = false;
    bool is_passing_ = false;
    unsigned failures_ = 0;
    std::string why_;
    MonotonicTime began_;
    std::unique_ptr<Probe> probe_;
    EventSource timer_; ///< the deadline of the probe under way, or the time of the next one
};

} // namespace holdfast
