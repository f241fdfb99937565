// SPDX-License-Identifier: Apache-2.0
#include "base/placeholder.h"

namespace holdfast {

namespace {

// The length of the placeholder that begins at text[at], which is '{', and its parts; 0 when there is none.
std::size_t scan(std::string_view text, std::size_t at, TextPiece& piece) {
    auto end = at + 1;
    while (end < text.size() &&
           ((text[end] >= 'a' && text[end] <= 'z') || (text[end] == '_' && end > at + 1)))
        ++end;
    piece = TextPiece{};
    piece.offset = at;
    auto const word = text.substr(at + 1, end - at - 1);
    if (word.empty() || end == text.size())
        return 0;
    if (text[end] == ':') {
        auto const start = end + 1;
        end = text.find_first_of("{}", start);
        if (end == std::string_view::npos || text[end] == '{')
            return 0;
        piece.argument = text.substr(start, end - start);
        piece.has_argument = true;
    } else if (text[end] != '}') {
        return 0;
    }
    piece.word = word;
    return end + 1 - at;
}

} // namespace

std::vector<TextPiece> split_placeholders(std::string_view text) {
    std::vector<TextPiece> pieces;
    std::size_t copied = 0; // all before this is in `pieces`
    auto const copy_until = [&](std::size_t end) {
        if (end > copied) {
            TextPiece piece;
            piece.literal = text.substr(copied, end - copied);
            piece.offset = copied;
            pieces.push_back(piece);
        }
        copied = end;
    };
    auto at = text.find('{');
    while (at != std::string_view::npos) {
        TextPiece piece;
        auto next = at + 1;
        if (at + 1 < text.size() && text[at + 1] == '{') {
            auto const length = scan(text, at + 1, piece);
            auto const end = at + 1 + length;
            if (length != 0 && end < text.size() && text[end] == '}') {
                copy_until(at);
                copied = at + 1; // the outer braces go
                copy_until(end);
                copied = next = end + 1;
            }
        } else if (auto const length = scan(text, at, piece); length != 0) {
            copy_until(at);
            pieces.push_back(piece);
            copied = next = at + length;
        }
        at = text.find('{', next);
    }
    copy_until(text.size());
    return pieces;
}

} // namespace holdfast
