// SPDX-License-Identifier: Apache-2.0
#include "unit/source_stamp.h"

#include <functional>

namespace holdfast {

namespace {

bool is_doubtful(timespec changed, timespec now) {
    return changed.tv_sec >= now.tv_sec - doubtful_age.count(); // also what is in the future
}

} // namespace

timespec file_system_time() {
    timespec now{};
    ::clock_gettime(CLOCK_REALTIME, &now);
    return now;
}

void SourceStamp::add(std::string_view path, struct stat const& status) {
    if (is_doubtful(status.st_mtim, now_) || is_doubtful(status.st_ctim, now_))
        is_proof_ = false;
    mix(std::hash<std::string_view>{}(path));
    for (auto const& time : {status.st_mtim, status.st_ctim}) {
        mix(static_cast<std::uint64_t>(time.tv_sec));
        mix(static_cast<std::uint64_t>(time.tv_nsec));
    }
    mix(status.st_dev);
    mix(status.st_ino);
    mix(static_cast<std::uint64_t>(status.st_size));
}

/// The finalizer of splitmix64: every bit of what came counts for every bit of what is kept.
void SourceStamp::mix(std::uint64_t number) {
    hash_ += number + 0x9e3779b97f4a7c15U;
    hash_ = (hash_ ^ hash_ >> 30) * 0xbf58476d1ce4e5b9U;
    hash_ = (hash_ ^ hash_ >> 27) * 0x94d049bb133111ebU;
    hash_ ^= hash_ >> 31;
}

} // namespace holdfast
