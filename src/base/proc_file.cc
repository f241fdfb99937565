// SPDX-License-Identifier: Apache-2.0
#include "base/proc_file.h"

#include "base/fd.h"

#include <array>
#include <cerrno>
#include <charconv>

#include <fcntl.h>
#include <unistd.h>

namespace holdfast {

namespace {
constexpr std::size_t most_bytes = 256 * 1024;
}

std::optional<std::string> read_proc_file(char const* path) {
    UniqueFd const file{::open(path, O_RDONLY | O_CLOEXEC)};
    if (!file.is_open())
        return std::nullopt;
    std::string text;
    std::array<char, 8192> buffer;
    while (text.size() < most_bytes) {
        ssize_t const count = ::read(file.raw(), buffer.data(), buffer.size());
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return std::nullopt;
        if (count == 0)
            break;
        text.append(buffer.data(), static_cast<std::size_t>(count));
    }
    return text;
}

std::optional<std::uint64_t> read_proc_number(char const* path) {
    auto const text = read_proc_file(path);
    if (!text)
        return std::nullopt;
    std::uint64_t number = 0;
    auto const [end, error] = std::from_chars(text->data(), text->data() + text->size(), number);
    if (error != std::errc{})
        return std::nullopt;
    return number;
}

} // namespace holdfast
