// SPDX-License-Identifier: Apache-2.0
#include "cli/log_tail.h"

#include "base/fd.h"
#include "base/text.h"
#include "cli/answer.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>

#include <fcntl.h>
#include <sys/stat.h>
#include <systemd/sd-journal.h>
#include <unistd.h>

namespace holdfast::cli {

using nlohmann::json;

namespace {

constexpr std::size_t longest_line = 500;
constexpr off_t most_bytes = 64 * 1024;

using Journal = std::unique_ptr<sd_journal, decltype(&sd_journal_close)>;

std::string shortened(std::string_view line) {
    return std::string{line.substr(0, longest_line)};
}

void read_journal(std::string const& unit, std::size_t most, LogTail& tail) {
    tail.where = "journalctl -t " + unit;
    sd_journal* opened = nullptr;
    if (int const problem = sd_journal_open(&opened, SD_JOURNAL_LOCAL_ONLY); problem < 0) {
        tail.problem = std::strerror(-problem);
        return;
    }
    Journal const journal{opened, sd_journal_close};
    // What went through journald's stream, as the output of workers does. Whoever may write to the journal
    // may do so under this name, as for `journalctl -t`.
    if (sd_journal_add_match(opened, ("SYSLOG_IDENTIFIER=" + unit).c_str(), 0) < 0 ||
        sd_journal_add_match(opened, "_TRANSPORT=stdout", 0) < 0 || sd_journal_seek_tail(opened) < 0)
        return;
    while (tail.lines.size() < most && sd_journal_previous(opened) > 0) {
        void const* data = nullptr;
        std::size_t size = 0;
        if (sd_journal_get_data(opened, "MESSAGE", &data, &size) < 0)
            continue;
        std::string_view text{static_cast<char const*>(data), size};
        text.remove_prefix(std::min(text.size(), std::strlen("MESSAGE=")));
        tail.lines.push_back(shortened(text));
    }
    std::reverse(tail.lines.begin(), tail.lines.end());
}

void read_file(std::string const& path, std::size_t most, LogTail& tail) {
    tail.where = path;
    UniqueFd const file{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
    struct stat seen {};
    if (!file.is_open() || ::fstat(file.raw(), &seen) < 0) {
        tail.problem = std::strerror(errno);
        return;
    }
    auto const start = std::max<off_t>(0, seen.st_size - most_bytes);
    std::string text(static_cast<std::size_t>(seen.st_size - start), '\0');
    auto const size = ::pread(file.raw(), text.data(), text.size(), start);
    text.resize(size < 0 ? 0 : static_cast<std::size_t>(size));
    auto lines = split(text, '\n');
    if (!lines.empty() && lines.back().empty())
        lines.pop_back();
    if (start > 0 && !lines.empty())
        lines.erase(lines.begin()); // its beginning is missing
    for (auto const line :
         std::vector(lines.end() - static_cast<long>(std::min(most, lines.size())), lines.end()))
        tail.lines.push_back(shortened(line));
}

} // namespace

LogTail read_log_tail(json const& unit, std::size_t most) {
    LogTail tail;
    if (auto const path = text_of(unit, "log"); !path.empty())
        read_file(path, most, tail);
    else if (text_of(unit, "output") == "journal")
        read_journal(text_of(unit, "name"), most, tail);
    return tail;
}

} // namespace holdfast::cli
