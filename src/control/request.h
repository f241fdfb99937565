// SPDX-License-Identifier: Apache-2.0
// What the control server hands to its handler: one checked request, and the right to answer it. The method
// exists, the peer may call it, and its parameters have the types of the interface description.
#pragma once

#include "base/peer.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include <nlohmann/json_fwd.hpp>

namespace holdfast {

class ControlConnection;

/// The right to answer one request, and the duty: a reply that is dropped unanswered sends InternalError. May
/// be kept and answered at any later time, on the loop's thread. The client holds its further requests back
/// until then. After the client went away every call is harmless.
class ControlReply {
public:
    ControlReply() = default;
    ControlReply(std::shared_ptr<ControlConnection> const& client, bool more, bool oneway);
    ControlReply(ControlReply&& other) noexcept;
    ControlReply& operator=(ControlReply&& other) noexcept;
    ~ControlReply();

    /// One of several replies; passed over when the client did not ask for `more`.
    void progress(nlohmann::json const& parameters);
    /// The last reply.
    void done(nlohmann::json const& parameters);
    /// The last reply: an error of our interface ("NoSuchUnit"), or any with its interface
    /// ("org.varlink.service.ExpectedMore").
    void fail(std::string_view error, nlohmann::json const& parameters);

    /// Calls `told` once when the client goes away before this is answered, from the loop; at once if it has
    /// gone already; never after the answer. A second one takes the first one's place.
    void on_gone(std::function<void()> told);
    /// The client went away (or this was answered): nobody waits.
    [[nodiscard]] bool is_gone() const;
    [[nodiscard]] bool wants_more() const { return more_; }

private:
    std::shared_ptr<ControlConnection> take();
    void abandon() noexcept;
    std::weak_ptr<ControlConnection> client_;
    bool owed_ = false;
    bool more_ = false;
    bool oneway_ = false;
};

struct ControlRequest {
    std::string method; ///< without the interface: "Restart"
    std::shared_ptr<nlohmann::json const> parameters;
    Peer peer;
    bool may_change = false;
    bool more = false;
    ControlReply reply;

    /// A parameter by its name; nothing when it was not given, or null.
    [[nodiscard]] std::optional<std::string> text(std::string_view name) const;
    [[nodiscard]] std::optional<bool> flag(std::string_view name) const;
    [[nodiscard]] std::optional<std::int64_t> number(std::string_view name) const;
};

} // namespace holdfast
