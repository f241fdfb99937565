// SPDX-License-Identifier: Apache-2.0
#include "supervisor/log.h"

#include <memory>

#include <spdlog/async.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/sinks/systemd_sink.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

namespace holdfast {

namespace {
constexpr std::size_t queued_lines = 512;
} // namespace

bool has_journal() {
    return ::access("/run/systemd/journal/socket", W_OK) == 0;
}

void open_log(LogOptions options) {
    spdlog::sink_ptr sink;
    if (options.to_journal)
        sink = std::make_shared<spdlog::sinks::systemd_sink_mt>("holdfastd");
    else
        sink = std::make_shared<spdlog::sinks::stderr_sink_mt>();
    spdlog::init_thread_pool(queued_lines, 1);
    auto logger = std::make_shared<spdlog::async_logger>("holdfastd", std::move(sink), spdlog::thread_pool(),
                                                         spdlog::async_overflow_policy::overrun_oldest);
    logger->set_pattern(options.to_journal ? "%v" : "%Y-%m-%d %H:%M:%S.%e %l: %v");
    logger->set_level(options.quiet     ? spdlog::level::warn
                      : options.verbose ? spdlog::level::debug
                                        : spdlog::level::info);
    logger->flush_on(spdlog::level::err);
    spdlog::set_default_logger(std::move(logger));
}

void close_log() {
    spdlog::shutdown();
}

} // namespace holdfast
