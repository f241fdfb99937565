// SPDX-License-Identifier: Apache-2.0
// Anything that may arrive on a hand-off socket, as a question and as an answer: no text may crash a decoder,
// and what one accepts is written back as something that it reads the same.
#include "handoff/frames.h"

#include <cstdint>
#include <cstdlib>

using namespace holdfast;

namespace {

void expect(bool holds) {
    if (!holds)
        std::abort();
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
    std::string_view const text{reinterpret_cast<char const*>(data), size};
    for (auto const scope : {RequestScope::OwnUnit, RequestScope::AnyUnit}) {
        if (auto const request = decode_request(text, scope); request) {
            expect(request->wanted.size() <= max_request_names);
            expect(decode_request(encode_request(*request), scope).value() == *request);
        }
    }
    if (auto const reply = decode_reply(text); reply) {
        expect(reply->names.size() <= max_frame_fds);
        expect(decode_reply(encode_reply(*reply)).value() == *reply);
    }
    return 0;
}
