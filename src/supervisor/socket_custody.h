// SPDX-License-Identifier: Apache-2.0
// The listeners of one unit, held: bound when wanted, tried again when the world says no, changed in place,
// and given up only when nothing waits in them any more or a deadline has passed (promise P1). Hands them
// out; never accepts.
#pragma once

#include "event/loop.h"
#include "socket/inspect.h"
#include "socket/listener.h"
#include "socket/plan.h"
#include "supervisor/event_log.h"
#include "worker/exec_context.h"

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace holdfast {

struct FailedSocket {
    std::string name;
    ListenAddress address;
    Error error;
};

class SocketCustody {
public:
    SocketCustody(EventLoop& loop, EventLog& events, UnitSpecPtr spec);
    ~SocketCustody();

    /// Binds every address of `spec` that is not held yet; what fails is kept in failed() and tried again
    /// with growing delay until all is held, then `all_held` is called from the loop. True when all is held
    /// now.
    bool hold(UnitSpecPtr spec, std::function<void()> all_held);

    /// Takes over a changed spec, all or nothing: binds what is new first, and when one of these fails
    /// nothing has changed and the error is returned. Then changes in place what can be. What is no longer
    /// listed stays held, for those who still serve it, until retire_unlisted().
    [[nodiscard]] Outcome take_over(UnitSpecPtr spec);

    /// Gives up what `spec` does not list: lets nobody new in, waits until those who wait are through or the
    /// deadline has passed, and closes. `retired` is called, from the loop, when all of that is closed. Where
    /// it is not served, that is somebody accepts from it, waiting would help nobody: it is closed at once.
    void retire_unlisted(UnitSpec const& spec, bool is_served, Duration deadline,
                         std::function<void()> retired);
    /// The same with everything: the unit is removed.
    void retire_all(bool is_served, Duration deadline, std::function<void()> retired);
    [[nodiscard]] bool is_retiring() const { return leaving_ != nullptr; }
    /// Closes everything at once, whatever waits: the supervisor ends.
    void give_up_all();

    [[nodiscard]] bool is_complete() const { return failed_.empty(); }
    [[nodiscard]] std::vector<FailedSocket> const& failed() const { return failed_; }
    [[nodiscard]] std::vector<Listener> const& held() const { return held_; }
    /// Those that `spec` lists and that are held, or still served while they are given up, in its order and
    /// under its names.
    [[nodiscard]] std::vector<HeldListener> hand_out(UnitSpec const& spec) const;

    /// A worker that calls shutdown(2) on its listener ends it for all who share it: makes such a one listen
    /// again.
    void mend();

    /// `on_traffic` at the first sign of a client on any of them, also on those that are held later, once;
    /// unwatch() ends it.
    void watch(std::function<void()> on_traffic);
    void unwatch();

private:
    // What most units have none of is kept apart: there are many units.
    struct Leaving;
    struct Retrying;
    struct Watching;
    void try_again();
    /// Follows held_: a descriptor that is closed while it is watched would take another's watch with it.
    void watch_held();
    [[nodiscard]] Result<Listener> bind(SocketSpec const& socket, ListenAddress const& address);
    void retire(std::vector<Listener> leaving, bool is_served, Duration deadline,
                std::function<void()> retired);
    void close(Listener listener);
    void look_at_leaving();

    EventLoop& loop_;
    EventLog& events_;
    UnitSpecPtr spec_;
    std::vector<Listener> held_;
    std::vector<FailedSocket> failed_;
    std::unique_ptr<Retrying> retrying_;
    std::unique_ptr<Watching> watching_;
    std::unique_ptr<Leaving> leaving_;
};

} // namespace holdfast
