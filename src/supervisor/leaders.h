// SPDX-License-Identifier: Apache-2.0
// Which unit a process is of: every living worker is the leader of a session of its own.
#pragma once

#include "worker/core_dump_watch.h"

#include <functional>
#include <memory>
#include <unordered_map>

#include <sys/types.h>

namespace holdfast {

class EventLoop;
class UnitRunner;

class Leaders {
public:
    /// `dumps` is told that a process of ours begins to dump core, where the kernel tells (CoreDumpWatch):
    /// elsewhere a replacement comes when the dump is written, later and no less right.
    void hear_core_dumps(EventLoop& loop, std::function<void(UnitRunner& unit, pid_t pid)> dumps);

    void add(pid_t leader, UnitRunner& unit);
    void remove(pid_t leader);
    [[nodiscard]] bool contains(pid_t leader) const { return units_.contains(leader); }
    /// Of a leader, or of a process in its session; null: of none of ours.
    [[nodiscard]] UnitRunner* unit_of(pid_t pid) const;

private:
    std::unordered_map<pid_t, UnitRunner*> units_;
    /// Listens only while there is a worker: every dump of the machine wakes it.
    std::unique_ptr<CoreDumpWatch> dumps_;
};

} // namespace holdfast
