// SPDX-License-Identifier: Apache-2.0
// Says when nobody is there any more, of a unit that ends when it is idle: no connection that came in by its
// listeners is open, nobody waits in their queues, and nobody has come since that was seen. Looks a few times
// in each idle_stop while somebody is there; while nobody is, it waits for the next one without looking.
// Lives in what is under way of its unit.
#pragma once

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

    /// Nobody is there now, as far as the kernel tells at once; in doubt somebody is.
    [[nodiscard]] static bool is_nobody_there(UnitRunner& unit);
    /// It was thought that nobody is there, and that is not so.
    void look_later();

private:
    void look();
    void hear();

    UnitRunner& unit_;
    bool is_told_ = false; ///< that nobody is there; from here on the listeners are watched
    Duration taken_{};     ///< by the last look
    EventSource timer_;
};

/// How long to wait for the next look, where one took so long.
[[nodiscard]] Duration pause_between_looks(Duration idle_stop, Duration taken);

} // namespace holdfast
