// SPDX-License-Identifier: Apache-2.0
// The command's end of the control socket: calls that block until they are answered, each with a deadline.
// One call at a time. Not for the daemon, which must never block.
#pragma once

#include "base/fd.h"
#include "base/result.h"
#include "base/time.h"
#include "control/message.h"

#include <functional>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

namespace holdfast {

/// Why there was no answer at all, from Error::code of connect() and of the calls.
enum class NoAnswer { NoDaemon, NotPermitted, TimedOut, ConnectionLost, Other };
[[nodiscard]] NoAnswer why_no_answer(Error const& error);

class ControlClient {
public:
    /// Errors: ENOENT, ECONNREFUSED (no daemon), EACCES (not permitted), ETIMEDOUT (its queue stays full),
    /// ENAMETOOLONG; unix(7).
    [[nodiscard]] static Result<ControlClient> connect_to(std::string const& path,
                                                          Duration timeout = std::chrono::seconds{5});

    /// Calls `method` (of io.holdfast.Manager, or any with its interface) and waits for the answer, which may
    /// be an error of the daemon's. Errors: ETIMEDOUT; ECONNRESET, EPIPE (the daemon went away); a reply that
    /// is none.
    [[nodiscard]] Result<ControlAnswer> call(std::string_view method, nlohmann::json const& parameters,
                                             Duration timeout = std::chrono::seconds{30});

    /// Calls with `more`: `on_progress` sees each reply before the last one and says whether to go on. The
    /// timeout is that of one reply. When it said no, the answer is empty with `continues` set, and the
    /// client must not be used again.
    [[nodiscard]] Result<ControlAnswer>
    call_more(std::string_view method, nlohmann::json const& parameters,
              std::function<bool(nlohmann::json const&)> const& on_progress, Duration timeout = forever);

    /// Until the daemon closes the connection.
    void wait_for_end();

private:
    explicit ControlClient(UniqueFd socket) : socket_{std::move(socket)} {}
    [[nodiscard]] Outcome send_all(std::string_view message, MonotonicTime deadline);
    [[nodiscard]] Result<ControlAnswer> receive(MonotonicTime deadline);
    [[nodiscard]] Outcome wait_for(short events, MonotonicTime deadline);

    UniqueFd socket_;
    std::string input_;
};

} // namespace holdfast
