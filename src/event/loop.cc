// SPDX-License-Identifier: Apache-2.0
#include "event/loop.h"

#include <csignal>
#include <ctime>
#include <system_error>

#include <systemd/sd-event.h>

namespace holdfast {

namespace {

constexpr std::uint64_t timer_accuracy_usec = 1000;

[[noreturn]] void refuse(int negative_errno, char const* what) {
    throw std::system_error{-negative_errno, std::generic_category(), what};
}

std::uint64_t to_usec(MonotonicTime when) {
    return when == MonotonicTime::never() ? UINT64_MAX
                                          : static_cast<std::uint64_t>(when.since_boot().count());
}

} // namespace

struct EventLoop::Callback {
    EventLoop* loop;
    std::function<void(std::uint32_t)> call;
};

// ---- EventSource ----

EventSource::EventSource(EventSource&& other) noexcept : source_{std::exchange(other.source_, nullptr)} {}

EventSource& EventSource::operator=(EventSource&& other) noexcept {
    if (this != &other) {
        reset();
        source_ = std::exchange(other.source_, nullptr);
    }
    return *this;
}

void EventSource::reset() {
    if (source_ == nullptr)
        return;
    // Disabled first: a source that is being dispatched is freed only after its callback returns.
    sd_event_source_disable_unref(std::exchange(source_, nullptr));
}

void EventSource::set_events(std::uint32_t events) {
    ensure(source_ != nullptr);
    if (int const r = sd_event_source_set_io_events(source_, events); r < 0)
        refuse(r, "change a descriptor watch");
}

void EventSource::rearm(MonotonicTime when) {
    ensure(source_ != nullptr);
    if (int const r = sd_event_source_set_time(source_, to_usec(when)); r < 0)
        refuse(r, "set a timer");
    if (int const r = sd_event_source_set_enabled(source_, SD_EVENT_ONESHOT); r < 0)
        refuse(r, "enable a timer");
}

// ---- EventLoop ----

Result<std::unique_ptr<EventLoop>> EventLoop::create() {
    sd_event* event = nullptr;
    if (int const r = sd_event_new(&event); r < 0)
        return system_error(-r, "make an event loop");
    std::unique_ptr<EventLoop> loop{new EventLoop{event}};
    // All timers share one descriptor, which is made with the first and stays: it must not be missing when a
    // timer is wanted because there was no descriptor left.
    sd_event_source* timer = nullptr;
    if (int const r = sd_event_add_time(event, &timer, CLOCK_MONOTONIC, UINT64_MAX, 0, nullptr, nullptr);
        r < 0)
        return system_error(-r, "make a timer");
    sd_event_source_disable_unref(timer);
    return loop;
}

EventLoop::~EventLoop() {
    posting_.reset();
    sd_event_unref(event_);
}

template <class F>
void EventLoop::guarded(F&& call) noexcept {
    owner_ = 0;
    try {
        call();
    } catch (std::exception const& broken) {
        try {
            if (told_)
                told_(owner_, broken.what());
        } catch (...) { // NOLINT: telling failed as well (no memory); there is nobody left to tell
        }
    }
    owner_ = 0;
}

EventSource EventLoop::adopt(sd_event_source* source, std::unique_ptr<Callback> callback, Priority priority) {
    EventSource owned{source};
    // From here sd-event owns the callback and frees it with the source, never while it is being dispatched.
    callback.release(); // NOLINT
    sd_event_source_set_destroy_callback(source,
                                         [](void* userdata) { delete static_cast<Callback*>(userdata); });
    sd_event_source_set_priority(source, static_cast<std::int64_t>(priority));
    return owned;
}

Result<EventSource> EventLoop::try_watch(FdRef fd, std::uint32_t events,
                                         std::function<void(std::uint32_t)> on_ready, Priority priority) {
    auto callback = std::make_unique<Callback>(Callback{this, std::move(on_ready)});
    sd_event_source* source = nullptr;
    int const r = sd_event_add_io(
        event_, &source, fd.raw(), events,
        [](sd_event_source*, int, std::uint32_t ready, void* userdata) {
            auto* self = static_cast<Callback*>(userdata);
            self->loop->guarded([&] { self->call(ready); });
            return 0;
        },
        callback.get());
    if (r < 0)
        return system_error(-r, "watch a descriptor");
    return adopt(source, std::move(callback), priority);
}

EventSource EventLoop::watch(FdRef fd, std::uint32_t events, std::function<void(std::uint32_t)> on_ready,
                             Priority priority) {
    auto source = try_watch(fd, events, std::move(on_ready), priority);
    if (!source)
        refuse(-source.error().code, "watch a descriptor");
    return std::move(source).value();
}

EventSource EventLoop::at(MonotonicTime when, std::function<void()> on_time) {
    auto callback =
        std::make_unique<Callback>(Callback{this, [call = std::move(on_time)](std::uint32_t) { call(); }});
    sd_event_source* source = nullptr;
    int const r = sd_event_add_time(
        event_, &source, CLOCK_MONOTONIC, to_usec(when), timer_accuracy_usec,
        [](sd_event_source*, std::uint64_t, void* userdata) {
            auto* self = static_cast<Callback*>(userdata);
            self->loop->guarded([&] { self->call(0); });
            return 0;
        },
        callback.get());
    if (r < 0)
        refuse(r, "set a timer");
    return adopt(source, std::move(callback), Priority::Normal);
}

EventSource EventLoop::on_signal(int signal, std::function<void()> on_signal) {
    auto callback =
        std::make_unique<Callback>(Callback{this, [call = std::move(on_signal)](std::uint32_t) { call(); }});
    sd_event_source* source = nullptr;
    int const r = sd_event_add_signal(
        event_, &source, signal,
        [](sd_event_source*, signalfd_siginfo const*, void* userdata) {
            auto* self = static_cast<Callback*>(userdata);
            self->loop->guarded([&] { self->call(0); });
            return 0;
        },
        callback.get());
    if (r < 0)
        refuse(r, "watch a signal");
    return adopt(source, std::move(callback), Priority::Messages);
}

void EventLoop::post(std::function<void()> work) {
    posted_.push_back(std::move(work));
    if (!posting_) {
        auto callback = std::make_unique<Callback>(Callback{this, [this](std::uint32_t) { run_posted(); }});
        sd_event_source* source = nullptr;
        int const r = sd_event_add_defer(
            event_, &source,
            [](sd_event_source*, void* userdata) {
                auto* self = static_cast<Callback*>(userdata);
                self->loop->guarded([&] { self->call(0); });
                return 0;
            },
            callback.get());
        if (r < 0)
            refuse(r, "post work");
        posting_ = adopt(source, std::move(callback), Priority::Deaths);
    }
    sd_event_source_set_enabled(posting_.source_, SD_EVENT_ONESHOT);
}

void EventLoop::run_posted() {
    // What is posted meanwhile waits for the next round, so that nobody can keep the loop from its
    // descriptors.
    auto work = std::exchange(posted_, {});
    for (auto& item : work)
        guarded(item);
}

Result<int> EventLoop::run() {
    if (int const r = sd_event_loop(event_); r < 0)
        return system_error(-r, "run the event loop");
    else
        return r;
}

void EventLoop::stop(int code) {
    sd_event_exit(event_, code);
}

bool EventLoop::run_once(Duration wait) {
    int const r =
        sd_event_run(event_, wait == forever ? UINT64_MAX : static_cast<std::uint64_t>(wait.count()));
    if (r < 0 && r != -ESTALE)
        refuse(r, "run the event loop");
    return r > 0;
}

void EventLoop::enable_watchdog() {
    sd_event_set_watchdog(event_, 1);
}

// ---- SignalMask ----

struct SignalMask::Saved {
    sigset_t before;
};

SignalMask::SignalMask(std::initializer_list<int> signals) : saved_{std::make_unique<Saved>()} {
    sigset_t block;
    sigemptyset(&block);
    for (int const signal : signals)
        sigaddset(&block, signal);
    sigprocmask(SIG_BLOCK, &block, &saved_->before);
}

SignalMask::~SignalMask() {
    sigprocmask(SIG_SETMASK, &saved_->before, nullptr);
}

} // namespace holdfast
