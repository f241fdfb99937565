// SPDX-License-Identifier: Apache-2.0
#include "supervisor/log.h"

#include "base/fd.h"

// Compiled into this one file, without the logger to standard output that it would make by itself.
#define SPDLOG_DISABLE_DEFAULT_LOGGER

#include <algorithm>
#include <cerrno>
#include <memory>
#include <mutex>

#include <fcntl.h>
#include <poll.h>
#include <spdlog/async.h>
#include <spdlog/sinks/base_sink.h>
#include <spdlog/sinks/systemd_sink.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>
#include <unistd.h>

namespace holdfast {

namespace {

constexpr std::size_t queued_lines = 512;

std::shared_ptr<spdlog::async_logger>& the_log() {
    static std::shared_ptr<spdlog::async_logger> log;
    return log;
}

spdlog::level::level_enum level_of(Weight weight) {
    switch (weight) {
    case Weight::Normal:
        return spdlog::level::info;
    case Weight::Warning:
        return spdlog::level::warn;
    case Weight::Failure:
        return spdlog::level::err;
    }
    return spdlog::level::info;
}

/// Standard error, whose reader may have gone to sleep: what it does not take in a moment is dropped, so that
/// neither a line nor the end of the program ever waits for it.
class PatientStderr final : public spdlog::sinks::base_sink<std::mutex> {
public:
    PatientStderr() {
        // O_NONBLOCK belongs to the open file, which the workers may share: so a pipe or terminal is opened
        // anew. Where that is refused, and for a socket, poll(2) alone must do.
        struct stat seen {};
        if (::fstat(STDERR_FILENO, &seen) == 0 && (S_ISFIFO(seen.st_mode) || S_ISCHR(seen.st_mode)))
            own_ =
                UniqueFd{::open("/proc/self/fd/2", O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY | O_APPEND)};
    }

private:
    void sink_it_(spdlog::details::log_msg const& message) override {
        spdlog::memory_buf_t text;
        formatter_->format(message, text);
        int const fd = own_.is_open() ? own_.raw() : STDERR_FILENO;
        // A pipe that polls writable takes this much at once.
        constexpr std::size_t most_at_once = 4096; // PIPE_BUF
        for (std::size_t written = 0; written < text.size();) {
            pollfd writable{fd, POLLOUT, 0};
            is_stuck_ = ::poll(&writable, 1, is_stuck_ ? 0 : patience_milliseconds) == 0;
            if (is_stuck_)
                return;
            auto const size =
                ::write(fd, text.data() + written, std::min(text.size() - written, most_at_once));
            if (size < 0 && errno != EAGAIN && errno != EINTR)
                return;
            written += size < 0 ? 0 : static_cast<std::size_t>(size);
        }
    }
    void flush_() override {}

    static constexpr int patience_milliseconds = 200;
    UniqueFd own_;
    bool is_stuck_ = false;
};

} // namespace

bool has_journal() {
    return ::access("/run/systemd/journal/socket", W_OK) == 0;
}

void open_log(LogOptions options) {
    spdlog::sink_ptr sink;
    if (options.to_journal)
        sink = std::make_shared<spdlog::sinks::systemd_sink_mt>("holdfastd");
    else
        sink = std::make_shared<PatientStderr>();
    spdlog::init_thread_pool(queued_lines, 1);
    auto& logger = the_log();
    logger = std::make_shared<spdlog::async_logger>("holdfastd", std::move(sink), spdlog::thread_pool(),
                                                    spdlog::async_overflow_policy::overrun_oldest);
    logger->set_pattern(options.to_journal ? "%v" : "%Y-%m-%d %H:%M:%S.%e %l: %v");
    logger->set_level(options.quiet ? spdlog::level::warn : spdlog::level::info);
}

void set_log_level(LogLevel level) {
    if (auto const& log = the_log())
        log->set_level(level == LogLevel::Warning ? spdlog::level::warn
                       : level == LogLevel::Debug ? spdlog::level::debug
                                                  : spdlog::level::info);
}

void close_log() {
    the_log().reset();
    spdlog::shutdown();
}

void log_line(Weight weight, std::string_view text) {
    if (auto const& log = the_log())
        log->log(level_of(weight), spdlog::string_view_t{text.data(), text.size()});
}

} // namespace holdfast
