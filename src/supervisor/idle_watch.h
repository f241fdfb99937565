// SPDX-License-Identifier: Apache-2.0
// Says when nobody is there any more, of a unit that ends when it is idle: no connection that came in by its
// listeners is open, nobody waits in their queues, and nobody has come since that was seen (arrival_watch.h).
// Looks a few times in each idle_stop while somebody is there; while nobody is, it waits for the next one
// without looking. Lives in what is under way of its unit.
#pragma once

#include "event/aside.h"
#include "event/loop.h"

namespace holdfast {

class UnitRunner;

class IdleWatch {
public:
    /// Looks at once.
    explicit IdleWatch(UnitRunner& unit);
    IdleWatch(IdleWatch const&) = delete;
    IdleWatch& operator=(IdleWatch const&) = delete;
    ~IdleWatch();

    /// Nobody has come until this moment; in doubt somebody has.
    [[nodiscard]] bool is_nobody_there_still();
    /// Somebody has come, or may have.
    void hear();
    /// It was thought that nobody is there, and that is not so.
    void look_later();

private:
    void look();
    void judge(bool is_anybody, Duration taken);
    [[nodiscard]] bool is_anybody_waiting() const;

    UnitRunner& unit_;
    bool is_told_ = false; ///< that nobody is there
    bool is_sure_ = false; ///< that was seen, and arrivals have been heard since
    Duration taken_{};     ///< by the last look
    Aside listing_;        ///< of open connections: there may be many
    EventSource timer_;
};

/// How long to wait for the next look, where one took so long.
[[nodiscard]] Duration pause_between_looks(Duration idle_stop, Duration taken);

} // namespace holdfast
