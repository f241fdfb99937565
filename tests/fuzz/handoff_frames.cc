// SPDX-License-Identifier: Apache-2.0
// Anything that may arrive on a hand-off socket, as a question and as an answer: no text may crash a decoder,
// and what one accepts is written back as something that it reads the same.
#include "fuzz.h"
#include "handoff/frames.h"

using namespace holdfast;

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
    std::string_view const text{reinterpret_cast<char const*>(data), size};
    for (auto const scope : {RequestScope::OwnUnit, RequestScope::AnyUnit}) {
        if (auto const request = decode_request(text, scope); request) {
            must(request->wanted.size() <= max_request_names, "the limit on names holds");
            must(decode_request(encode_request(*request), scope).value() == *request,
                 "a question is read back");
        }
    }
    if (auto const reply = decode_reply(text); reply) {
        must(reply->names.size() <= max_frame_fds, "the limit on descriptors holds");
        must(decode_reply(encode_reply(*reply)).value() == *reply, "an answer is read back");
    }
    return 0;
}
