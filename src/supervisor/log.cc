// SPDX-License-Identifier: Apache-2.0
#include "supervisor/log.h"

#include "base/fd.h"

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
    auto logger = std::make_shared<spdlog::async_logger>("holdfastd", std::move(sink), spdlog::thread_pool(),
                                                         spdlog::async_overflow_policy::overrun_oldest);
    logger->set_pattern(options.to_journal ? "%v" : "%Y-%m-%d %H:%M:%S.%e %l: %v");
    logger->set_level(options.quiet     ? spdlog::level::warn
                      : options.verbose ? spdlog::level::debug
                                        : spdlog::level::info);
    spdlog::set_default_logger(std::move(logger));
}

void close_log() {
    spdlog::shutdown();
}

} // namespace holdfast
