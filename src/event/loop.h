// SPDX-License-Identifier: Apache-2.0
// The only door to sd-event. EventLoop dispatches; EventSource is the owner of one watch. Callbacks never
// return an error to sd-event (a negative return would silently disable the source), and nothing they throw
// gets past the trampoline: it is told to on_broken() with the owner that was being worked for, and the loop
// lives on. Descriptors are watched by an epoll(7) of each priority, which is a source of sd-event: there are
// thousands of them, and a source of sd-event's own costs 250 bytes more.
#pragma once

#include "base/fd.h"
#include "base/result.h"
#include "base/time.h"

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>
#include <vector>

struct sd_event;
struct sd_event_source;

namespace holdfast {

/// Which of several pending events goes first. Deaths are seen before anything a dead process left behind is
/// acted on.
enum class Priority { Deaths = -20, Messages = -10, Normal = 0, Clients = 10 };

/// The owner of one watch: destroying it ends the watch, also from within its own callback.
class EventSource {
public:
    EventSource() = default;
    EventSource(EventSource&&) noexcept;
    EventSource& operator=(EventSource&&) noexcept;
    ~EventSource() { reset(); }

    void reset();
    explicit operator bool() const { return watch_ != nullptr; }
    /// Of a descriptor watch: the epoll(7) events to wait for from now on; 0 waits for errors only.
    void set_events(std::uint32_t events);
    /// Of a timer: rings (again) at `when`.
    void rearm(MonotonicTime when);

private:
    friend class EventLoop;
    struct Watch;
    explicit EventSource(Watch* watch) : watch_{watch} {}
    Watch* watch_ = nullptr;
};

class EventLoop {
public:
    /// Errors: those of epoll_create1(2) and timerfd_create(2).
    [[nodiscard]] static Result<std::unique_ptr<EventLoop>> create();
    /// It must outlive its sources.
    EventLoop(EventLoop const&) = delete;
    EventLoop& operator=(EventLoop const&) = delete;
    ~EventLoop();

    /// Level-triggered; `on_ready` gets the epoll events. The descriptor must outlive the source. Errors:
    /// those of epoll_ctl(2); ENOMEM and ENOSPC (fs.epoll.max_user_watches) are no fault of ours.
    [[nodiscard]] Result<EventSource> try_watch(FdRef fd, std::uint32_t events,
                                                std::function<void(std::uint32_t)> on_ready,
                                                Priority priority = Priority::Normal);
    /// The same for who has no answer to an error: that is thrown, to the trampoline.
    [[nodiscard]] EventSource watch(FdRef fd, std::uint32_t events,
                                    std::function<void(std::uint32_t)> on_ready,
                                    Priority priority = Priority::Normal);
    /// Rings once at `when` (accuracy 1 ms), then waits for rearm().
    [[nodiscard]] EventSource at(MonotonicTime when, std::function<void()> on_time);
    /// The signal must be blocked in every thread (see SignalMask).
    [[nodiscard]] EventSource on_signal(int signal, std::function<void()> on_signal);
    /// Runs `work` once, after the current callback and before the loop sleeps.
    void post(std::function<void()> work);

    /// Dispatches until stop(). Returns the code given to it, or the error that ended the loop.
    [[nodiscard]] Result<int> run();
    void stop(int code);
    /// Dispatches what is pending, or waits at most `wait` for something; false when nothing came. For tests.
    bool run_once(Duration wait);

    /// Runs `work` now, as a callback: what it throws is told to on_broken.
    void call(std::function<void()> const& work);

    /// Who the current callback works for, as an opaque number (0: the supervisor itself); told to on_broken.
    void set_owner(std::uint64_t owner) { owner_ = owner; }
    void on_broken(std::function<void(std::uint64_t owner, std::string_view what)> told) {
        told_ = std::move(told);
    }

private:
    friend class EventSource;
    using Watch = EventSource::Watch;
    /// The watched descriptors of one priority.
    struct Descriptors {
        EventLoop* loop = nullptr;
        UniqueFd epoll;
        EventSource source;
    };
    explicit EventLoop(sd_event* event) : event_{event} {}
    [[nodiscard]] Outcome open_descriptors();
    template <class F>
    void guarded(F&& call) noexcept;
    template <class... Details>
    static int dispatch(sd_event_source*, Details..., void* userdata) noexcept;
    void dispatch_one(Descriptors const& of);
    void forget(Watch* watch);
    EventSource adopt(std::unique_ptr<Watch> watch, Priority priority);
    void run_posted();

    sd_event* event_;
    std::array<Descriptors, 4> descriptors_; ///< by priority
    Watch* dispatching_ = nullptr;           ///< null again when it is forgotten meanwhile
    std::vector<std::function<void()>> posted_;
    EventSource posting_;
    EventSource first_timer_;
    std::uint64_t owner_ = 0;
    std::function<void(std::uint64_t, std::string_view)> told_;
};

/// Blocks the given signals for its lifetime (and, through fork without exec, nowhere else).
class SignalMask {
public:
    explicit SignalMask(std::initializer_list<int> signals);
    SignalMask(SignalMask const&) = delete;
    SignalMask& operator=(SignalMask const&) = delete;
    ~SignalMask();

private:
    struct Saved;
    std::unique_ptr<Saved> saved_;
};

} // namespace holdfast
