// SPDX-License-Identifier: Apache-2.0
// What the codecs accept; beside each what it reads is in read.cc, codecs.cc and limits.cc.
#include "unit/accepts.h"

#include "base/signal_names.h"
#include "unit/codecs.h"

#include <limits>

namespace holdfast {

namespace {

using Kind = Accepts::Kind;

std::string any_of_words(std::vector<std::string_view> const& words) {
    std::string text;
    for (auto const word : words)
        text += (text.empty() ? "" : "|") + std::string{word};
    return "(" + text + ")";
}

// As parse_duration() has it. Every number but the last is followed by its unit or a space, so that no text
// can be taken apart in more than one way.
std::string duration_pattern(bool may_be_zero, bool may_be_infinite) {
    std::string const number = "[0-9]+(\\.[0-9]*)?";
    std::string const unit = "[ \\t]*" + any_of_words(duration_units());
    std::string const sum =
        "(" + number + unit + "[ \\t]*|" + number + "[ \\t]+)*" + number + "(" + unit + ")?";
    return "^[ \\t]*(" + std::string{may_be_infinite ? "infinity|" : ""} +
           (may_be_zero ? "" : "(?=.*[1-9])") + sum + ")[ \\t]*$";
}

// As parse_address() has it, but for the length of a path and what inet_pton(3) says of the digits of IPv6.
std::string address_pattern() {
    std::string const port =
        "0*(6553[0-5]|655[0-2][0-9]|65[0-4][0-9]{2}|6[0-4][0-9]{3}|[1-5][0-9]{4}|[0-9]{1,4})";
    std::string const byte = "(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])";
    std::string const ipv4 = byte + "(\\." + byte + "){3}";
    std::string const hex = "[0-9A-Fa-f.]*";
    std::string const ipv6 = "\\[" + hex + ":" + hex + ":[0-9A-Fa-f:.]*(%[^/ \\[\\]%]{1,15})?\\]";
    std::string const inet = "(tcp://|udp://)?((" + ipv4 + "|" + ipv6 + "):)?" + port;
    std::string const plain = "[^\\u0000-\\u001f\\u007f]";
    std::string const path = "(?!(.*/)?\\.\\.(/|$))/" + plain + "*[^/\\u0000-\\u001f\\u007f]";
    std::string const local = "(unix:(//(?=/))?)?(" + path + "|@" + plain + "+)";
    std::string const passed = "inherit:[ -.0-9;-~]{1,100}(:0*([2-9]|[1-9][0-9]{1,4}))?";
    return "^(" + inet + "|" + local + "|" + passed + ")$";
}

} // namespace

Accepts accepts_text(std::string pattern) {
    Accepts text{Kind::Text};
    text.pattern = std::move(pattern);
    return text;
}

Accepts accepts_words(std::vector<std::string_view> words) {
    Accepts text{Kind::Text};
    text.words = std::move(words);
    return text;
}

Accepts accepts_whole(std::int64_t least, std::int64_t most) {
    Accepts number{Kind::Whole};
    number.least = least;
    number.most = most;
    return number;
}

Accepts accepts_list(AcceptsAny items) {
    Accepts list{Kind::List};
    list.items = std::move(items);
    return list;
}

AcceptsAny one_or_list(AcceptsAny items) {
    auto all = items;
    all.push_back(accepts_list(std::move(items)));
    return all;
}

AcceptsAny Text::accepts() {
    return {accepts_text(std::string{any_text})};
}

AcceptsAny TextList::accepts() {
    return one_or_list(Text::accepts());
}

AcceptsAny Flag::accepts() {
    return {Accepts{Kind::Flag}};
}

AcceptsAny Mode::accepts() {
    return {accepts_text("^0*[0-7]{1,3}$")};
}

AcceptsAny accepts_duration(Allow allow) {
    auto const bits = static_cast<int>(allow);
    bool const may_be_zero = (bits & static_cast<int>(Allow::Zero)) != 0;
    bool const may_be_infinite = (bits & static_cast<int>(Allow::Infinity)) != 0;
    Accepts number{Kind::Number};
    number.least = 0;
    number.most = 1'000'000'000;
    number.least_is_too_small = !may_be_zero;
    return {accepts_text(duration_pattern(may_be_zero, may_be_infinite)), std::move(number)};
}

AcceptsAny accepts_word_list(std::vector<std::string_view> words) {
    auto any = one_or_list({accepts_words(std::move(words))});
    any.back().is_without_repetition = true;
    return any;
}

AcceptsAny Addresses::accepts() {
    auto any = one_or_list({accepts_text(address_pattern())});
    any.back().least = 1;
    return any;
}

AcceptsAny SocketName::accepts() {
    return {accepts_text("^[!-+.0-9;-z|~-]{1,255}$")};
}

AcceptsAny CommandWords::accepts() {
    auto words = accepts_list(Text::accepts());
    words.least = 1;
    words.first = {accepts_text("^(/[^\\u0000]*[^/\\u0000]|[^/\\u0000]+)$")};
    return {std::move(words)};
}

AcceptsAny ProbePath::accepts() {
    return {accepts_text("^/[!-~]{0,1023}$")};
}

AcceptsAny Environment::accepts() {
    std::string const name = "^[A-Za-z_][A-Za-z0-9_]*";
    Accepts table{Kind::Table};
    table.pattern = name + "$";
    table.items = Text::accepts();
    return {std::move(table), accepts_list({accepts_text(name + "=[^\\u0000]*$")})};
}

AcceptsAny Limits::accepts() {
    std::string const limit = "(infinity|[0-9]+[KMGTPE]?)";
    Accepts table{Kind::Table};
    table.words = limit_names();
    table.items = {accepts_whole(0, std::numeric_limits<std::int64_t>::max()),
                   accepts_text("^" + limit + "(:" + limit + ")?$")};
    return {std::move(table)};
}

AcceptsAny Signal::accepts() {
    std::vector<std::string_view> names;
    for (auto const name : signal_names())
        if (name != "SIGKILL" && name != "SIGSTOP")
            names.push_back(name.substr(3));
    return {accepts_text("^((SIG)?(" + any_of_words(names) + "|RTMIN(\\+[0-9]+)?|RTMAX(-[0-9]+)?)|[0-9]+)$"),
            accepts_whole(1, 64)};
}

AcceptsAny Account::accepts() {
    return {accepts_text("^[^\\u0000-\\u0020\\u007f:/-][^\\u0000-\\u0020\\u007f:/]{0,255}$"),
            accepts_whole(0, std::numeric_limits<std::uint32_t>::max() - 1)};
}

AcceptsAny AccountList::accepts() {
    return one_or_list(Account::accepts());
}

AcceptsAny AbsolutePath::accepts() {
    return {accepts_text("^/[^\\u0000]*$")};
}

AcceptsAny PathList::accepts() {
    auto any = one_or_list(AbsolutePath::accepts());
    any.back().least = 1;
    return any;
}

AcceptsAny Percentages::accepts() {
    auto list = accepts_list({accepts_whole(1, 99)});
    list.least = 1;
    list.most = most_canary_steps;
    list.is_without_repetition = true;
    return {std::move(list)};
}

AcceptsAny Workers::accepts() {
    return {accepts_whole(1, most_workers), accepts_words({"auto"})};
}

} // namespace holdfast
