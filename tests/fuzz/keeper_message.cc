// SPDX-License-Identifier: Apache-2.0
// Anything that may arrive at either end of the keeper's socket, with any number of descriptors (the first
// byte): no text may crash a parser, and what one accepts is within the limits and can be read line by line.
#include "fuzz.h"
#include "store/protocol.h"

using namespace holdfast;

namespace {

void check_request(std::string_view text, std::size_t descriptors) {
    auto const [request, problem] = parse_request(text, descriptors);
    if (!problem.empty())
        return;
    must(request.count <= most_descriptors_per_message, "the limit on names holds");
    must(request.verb != StoreVerb::Put || request.count == descriptors, "each name has a descriptor");
    std::size_t count = 0;
    for (Lines lines{request.names}; auto const name = lines.next(); ++count)
        must(is_held_name(*name), "every name is one");
    must(count == request.count, "the names are counted");
}

void check_notice(std::string_view text, std::size_t descriptors) {
    auto const [notice, problem] = parse_notice(text, descriptors);
    if (!problem.empty())
        return;
    std::size_t count = 0;
    MessageText again;
    again << to_name(notice.verb);
    for (Lines lines{notice.body}; auto const line = lines.next(); ++count) {
        if (notice.verb == KeeperVerb::Held)
            write_line(again, parse_held_line(*line).value());
        if (notice.verb == KeeperVerb::Exits)
            write_line(again, parse_exit_line(*line).value());
    }
    must(notice.verb != KeeperVerb::Held || count == descriptors, "each line has a descriptor");
    if (notice.verb == KeeperVerb::Start) {
        again.clear();
        write_start(again, parse_start(notice.body).value());
    }
    if (notice.verb != KeeperVerb::Refused && again.is_whole())
        must(parse_notice(again.view(), descriptors).problem.empty(), "what is written is read back");
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
    if (size == 0)
        return 0;
    std::string_view const text{reinterpret_cast<char const*>(data) + 1, size - 1};
    check_request(text, data[0]);
    check_notice(text, data[0]);
    return 0;
}
