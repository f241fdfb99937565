// SPDX-License-Identifier: Apache-2.0
// The pieces of any text are in order, within it, and lose nothing but braces.
#include "base/placeholder.h"

#include "fuzz.h"

using namespace holdfast;

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
    std::string_view const text{reinterpret_cast<char const*>(data), size};
    std::size_t end = 0;
    for (auto const& piece : split_placeholders(text)) {
        must(piece.offset >= end, "pieces are in order and do not overlap");
        must(piece.is_placeholder() != !piece.literal.empty(), "a piece is text or a placeholder");
        for (auto const skipped : text.substr(end, piece.offset - end))
            must(skipped == '{' || skipped == '}', "only braces are left out");
        end = piece.offset + (piece.is_placeholder()
                                  ? piece.word.size() + piece.argument.size() + (piece.has_argument ? 3 : 2)
                                  : piece.literal.size());
        must(end <= text.size(), "pieces are within the text");
    }
    for (auto const skipped : text.substr(end))
        must(skipped == '}', "only a closing brace is left out at the end");
    return 0;
}
