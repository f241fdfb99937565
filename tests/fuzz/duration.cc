// SPDX-License-Identifier: Apache-2.0
// Any text is a duration or none; a duration is not negative and reads back from how it is written.
#include "base/time.h"
#include "fuzz.h"

using namespace holdfast;

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
    auto const duration = parse_duration({reinterpret_cast<char const*>(data), size});
    if (!duration)
        return 0;
    must(*duration >= Duration{0}, "no duration is negative");
    must(parse_duration(to_string(*duration)) == duration, "it reads back");
    must(!to_short_string(*duration).empty(), "it can be shown");
    return 0;
}
