// SPDX-License-Identifier: Apache-2.0
#include "cli/log_tail.h"

#include "base/fd.h"
#include "base/result.h"
#include "base/text.h"
#include "cli/answer.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <memory>

#include <fcntl.h>
#include <sys/stat.h>
#include <systemd/sd-id128.h>
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

/// What went through journald's stream since the machine was booted, as the output of workers does. Where
/// holdfastd is a service of systemd, journald vouches for the sender; else whoever may write to the journal
/// may do so under this name, as for `journalctl -t`.
int match(sd_journal* journal, json const& unit) {
    sd_id128_t boot{};
    if (int const problem = sd_id128_get_boot(&boot); problem < 0)
        return problem;
    std::array<char, SD_ID128_STRING_MAX> id{};
    for (auto const& what :
         {"SYSLOG_IDENTIFIER=" + text_of(unit, "name"), std::string{"_TRANSPORT=stdout"},
          std::string{"_BOOT_ID="} + sd_id128_to_string(boot, id.data()), text_of(unit, "journal_match")})
        if (int const problem = what.empty() ? 0 : sd_journal_add_match(journal, what.c_str(), 0);
            problem < 0)
            return problem;
    return 0;
}

/// Negative: an error. There may be none of the files, or none that we may read.
int look_into(sd_journal* journal) {
    int const has_volatile = sd_journal_has_runtime_files(journal);
    int const has_lasting = sd_journal_has_persistent_files(journal);
    return has_volatile == 0 && has_lasting == 0 ? -EACCES : std::min({has_volatile, has_lasting, 0});
}

void read_journal(json const& unit, std::size_t most, LogTail& tail) {
    tail.where = "journalctl -t " + text_of(unit, "name");
    sd_journal* opened = nullptr;
    int problem = sd_journal_open(&opened, SD_JOURNAL_LOCAL_ONLY);
    Journal const journal{opened, sd_journal_close};
    if (problem >= 0)
        problem = look_into(opened);
    if (problem >= 0)
        problem = match(opened, unit);
    if (problem >= 0)
        problem = sd_journal_seek_tail(opened);
    while (problem >= 0 && tail.lines.size() < most && (problem = sd_journal_previous(opened)) > 0) {
        void const* data = nullptr;
        std::size_t size = 0;
        if (sd_journal_get_data(opened, "MESSAGE", &data, &size) < 0)
            continue;
        std::string_view text{static_cast<char const*>(data), size};
        text.remove_prefix(std::min(text.size(), std::strlen("MESSAGE=")));
        tail.lines.push_back(shortened(text));
    }
    if (problem < 0)
        tail.problem = errno_text(-problem);
    std::reverse(tail.lines.begin(), tail.lines.end());
}

/// Its last lines; of one that is longer than what is read, its end.
std::vector<std::string> last_lines(std::string_view text, bool is_whole, std::size_t most) {
    auto lines = split(text, '\n');
    if (!lines.empty() && lines.back().empty())
        lines.pop_back();
    if (!is_whole && lines.size() == 1 && most > 0) {
        auto const only = lines.front();
        return {"..." + std::string{only.substr(only.size() - std::min(only.size(), longest_line - 3))}};
    }
    if (!is_whole && !lines.empty())
        lines.erase(lines.begin()); // its beginning is missing
    std::vector<std::string> last;
    for (auto const line :
         std::vector(lines.end() - static_cast<long>(std::min(most, lines.size())), lines.end()))
        last.push_back(shortened(line));
    return last;
}

Result<std::vector<std::string>> read_end(std::string const& path, std::size_t most) {
    UniqueFd const file{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)};
    struct stat seen {};
    if (!file.is_open() || ::fstat(file.raw(), &seen) < 0)
        return system_error(errno, "read " + path);
    if (!S_ISREG(seen.st_mode))
        return plain_error("not a regular file");
    auto const start = std::max<off_t>(0, seen.st_size - most_bytes);
    std::string text(static_cast<std::size_t>(seen.st_size - start), '\0');
    auto const size = ::pread(file.raw(), text.data(), text.size(), start);
    if (size < 0)
        return system_error(errno, "read " + path);
    text.resize(static_cast<std::size_t>(size));
    return last_lines(text, start == 0, most);
}

void read_file(std::string const& path, std::size_t most, LogTail& tail) {
    tail.where = path;
    auto lines = read_end(path, most);
    if (lines)
        tail.lines = std::move(lines).value();
    else
        tail.problem = lines.error().code != 0 ? errno_text(lines.error().code) : lines.error().doing;
}

} // namespace

LogTail read_log_tail(json const& unit, std::size_t most) {
    LogTail tail;
    if (auto const path = text_of(unit, "log"); !path.empty())
        read_file(path, most, tail);
    else if (text_of(unit, "output") == "journal")
        read_journal(unit, most, tail);
    return tail;
}

} // namespace holdfast::cli
