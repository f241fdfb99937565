// SPDX-License-Identifier: Apache-2.0
#include "socket/listener_requests.h"

#include "base/fd.h"
#include "base/text.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <optional>
#include <string>
#include <string_view>

#include <fcntl.h>
#include <unistd.h>

namespace holdfast {

namespace {

// A row of net/tcp has 150 bytes. The kernel makes no more rows than are asked for, and behind those of the
// listeners come all others.
constexpr std::size_t row_bytes = 150;
constexpr std::string_view listening = "0A";

enum Column : std::size_t { State = 3, Inode = 9, References = 10, columns };

struct Row {
    bool is_listening = false;
    std::uint32_t inode = 0;
    std::uint32_t references = 0;
};

std::optional<Row> parse(std::string_view line) {
    std::array<std::string_view, columns> words;
    for (auto& word : words) {
        line.remove_prefix(std::min(line.size(), line.find_first_not_of(' ')));
        word = line.substr(0, line.find(' '));
        line.remove_prefix(word.size());
    }
    auto const inode = parse_decimal<std::uint32_t>(words[Inode]);
    auto const references = parse_decimal<std::uint32_t>(words[References]);
    if (!inode || !references)
        return std::nullopt;
    return Row{words[State] == listening, *inode, *references};
}

} // namespace

Result<std::unordered_map<std::uint32_t, std::uint32_t>>
count_requests(std::vector<std::uint32_t> const& listeners, bool is_ipv6) {
    char const* const path = is_ipv6 ? "/proc/net/tcp6" : "/proc/net/tcp";
    UniqueFd const file{::open(path, O_RDONLY | O_CLOEXEC)};
    if (!file.is_open())
        return system_error(errno, std::string{"open "} + path);
    std::unordered_map<std::uint32_t, std::uint32_t> counted;
    std::string text;
    bool is_header = true;
    for (char part[row_bytes]; counted.size() < listeners.size();) {
        auto const size = ::read(file.raw(), part, sizeof part);
        if (size < 0)
            return system_error(errno, std::string{"read "} + path);
        if (size == 0)
            break;
        text.append(part, static_cast<std::size_t>(size));
        for (auto end = text.find('\n'); end != std::string::npos; end = text.find('\n')) {
            auto const row = parse(std::string_view{text}.substr(0, end));
            text.erase(0, end + 1);
            if (std::exchange(is_header, false) || !row)
                continue;
            if (!row->is_listening)
                return counted;
            if (std::ranges::find(listeners, row->inode) != listeners.end())
                counted[row->inode] = row->references - std::min(row->references, 1U);
        }
    }
    return counted;
}

} // namespace holdfast
