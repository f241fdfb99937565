// SPDX-License-Identifier: Apache-2.0
#include "supervisor/leaders.h"

#include <unistd.h>

namespace holdfast {

void Leaders::hear_core_dumps(EventLoop& loop, std::function<void(UnitRunner& unit, pid_t pid)> dumps) {
    auto began = [this, dumps = std::move(dumps)](pid_t pid) {
        if (auto* const unit = unit_of(pid))
            dumps(*unit, pid);
    };
    if (auto watch = CoreDumpWatch::open(loop, std::move(began)))
        dumps_ = std::move(watch).value();
}

void Leaders::add(pid_t leader, UnitRunner& unit) {
    if (dumps_ && units_.empty())
        dumps_->listen();
    units_[leader] = &unit;
}

void Leaders::remove(pid_t leader) {
    units_.erase(leader);
    if (dumps_ && units_.empty())
        dumps_->rest();
}

UnitRunner* Leaders::unit_of(pid_t pid) const {
    auto found = units_.find(pid);
    if (found == units_.end())
        found = units_.find(::getsid(pid));
    return found == units_.end() ? nullptr : found->second;
}

} // namespace holdfast
