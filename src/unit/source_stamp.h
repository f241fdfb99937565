// SPDX-License-Identifier: Apache-2.0
// What stat(2) says of the files that a unit is read from, as one number: while it stays the same, the files
// need not be read again. Used by load_units() alone; kept in UnitSpec::source.
#pragma once

#include <chrono>
#include <cstdint>
#include <ctime>
#include <string_view>

#include <sys/stat.h>

namespace holdfast {

/// A file changed less than this ago may be changed again and look the same, since its times move in steps
/// (of a tick; of 2 s on FAT). As git's "racily clean".
inline constexpr std::chrono::seconds doubtful_age{3};

/// Now, as file systems have it: CLOCK_REALTIME.
[[nodiscard]] timespec file_system_time();

/// Made before the files are read, so that a file changed meanwhile has another stamp afterwards.
class SourceStamp {
public:
    explicit SourceStamp(timespec now) : now_{now} {}

    /// The next file, as stat(2) has it behind links. Its size, times and identity count, and where it is.
    void add(std::string_view path, struct stat const& status);
    /// Never 0 unless the files prove nothing: then they must be read each time.
    [[nodiscard]] std::uint64_t value() const { return is_proof_ ? hash_ | 1 : 0; }

private:
    void mix(std::uint64_t number);

    timespec now_;
    bool is_proof_ = true;
    std::uint64_t hash_ = 0;
};

} // namespace holdfast
