// SPDX-License-Identifier: Apache-2.0
// What the value of a setting may be, as far as the value alone shows it: what a JSON schema can say, and a
// manual page. Each codec (read.h, codecs.h) tells it beside the function that reads; nothing that runs asks
// for it. Where it cannot be exact it takes more than the codec does, never less.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast {

struct Accepts {
    enum class Kind { Text, Whole, Number, Flag, List, Table };
    Kind kind{};
    /// Text: a regular expression of the whole, in what ECMA 262, Python and Rust have in common. Table: of
    /// each key.
    std::string pattern{};
    std::vector<std::string_view> words{}; ///< Text: it is one of these; Table: its keys are
    std::optional<std::int64_t> least{};   ///< of a number, or of the items of a list
    std::optional<std::int64_t> most{};
    bool least_is_too_small = false;
    bool is_without_repetition = false;
    std::vector<Accepts>
        first{}; ///< List: any of these is the first item, where that is another than the rest
    std::vector<Accepts> items{}; ///< List, Table: any of these is each value
};

/// Any of them.
using AcceptsAny = std::vector<Accepts>;

[[nodiscard]] Accepts accepts_text(std::string pattern);
[[nodiscard]] Accepts accepts_words(std::vector<std::string_view> words);
[[nodiscard]] Accepts accepts_whole(std::int64_t least, std::int64_t most);
[[nodiscard]] Accepts accepts_list(AcceptsAny items);
/// One of them, or a list of them.
[[nodiscard]] AcceptsAny one_or_list(AcceptsAny items);

/// Text without NUL.
inline constexpr std::string_view any_text = "^[^\\u0000]*$";

} // namespace holdfast
