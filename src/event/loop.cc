// SPDX-License-Identifier: Apache-2.0
#include "event/loop.h"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <ctime>
#include <system_error>

#include <sys/epoll.h>
#include <systemd/sd-event.h>

namespace holdfast {

namespace {

constexpr std::uint64_t timer_accuracy_usec = 1000;

constexpr std::array priorities{Priority::Deaths, Priority::Messages, Priority::Normal, Priority::Clients};

std::size_t index_of(Priority priority) {
    return static_cast<std::size_t>(std::find(priorities.begin(), priorities.end(), priority) -
                                    priorities.begin());
}

[[noreturn]] void refuse(int negative_errno, char const* what) {
    throw std::system_error{-negative_errno, std::generic_category(), what};
}

std::uint64_t to_usec(MonotonicTime when) {
    return when == MonotonicTime::never() ? UINT64_MAX
                                          : static_cast<std::uint64_t>(when.since_boot().count());
}

} // namespace

/// What one EventSource owns: a descriptor in the epoll of its priority, or a source of sd-event's.
struct EventSource::Watch {
    EventLoop* loop;
    std::function<void(std::uint32_t)> call;
    sd_event_source* source = nullptr; ///< frees this with itself
    int fd = -1;
    int epoll = -1;

    Outcome control(int operation, std::uint32_t events) {
        epoll_event event{};
        event.events = events;
        event.data.ptr = this;
        if (::epoll_ctl(epoll, operation, fd, &event) < 0)
            return system_error(errno, "watch a descriptor");
        return {};
    }
};

// ---- EventSource ----

EventSource::EventSource(EventSource&& other) noexcept : watch_{std::exchange(other.watch_, nullptr)} {}

EventSource& EventSource::operator=(EventSource&& other) noexcept {
    if (this != &other) {
        reset();
        watch_ = std::exchange(other.watch_, nullptr);
    }
    return *this;
}

void EventSource::reset() {
    auto* const watch = std::exchange(watch_, nullptr);
    if (watch == nullptr)
        return;
    // Disabled first: a source that is being dispatched is freed only after its callback returns.
    if (watch->source != nullptr)
        sd_event_source_disable_unref(watch->source);
    else
        watch->loop->forget(watch);
}

void EventSource::set_events(std::uint32_t events) {
    ensure(watch_ != nullptr);
    if (auto const changed = watch_->control(EPOLL_CTL_MOD, events); !changed)
        refuse(-changed.error().code, "change a descriptor watch");
}

void EventSource::rearm(MonotonicTime when) {
    ensure(watch_ != nullptr);
    if (int const r = sd_event_source_set_time(watch_->source, to_usec(when)); r < 0)
        refuse(r, "set a timer");
    if (int const r = sd_event_source_set_enabled(watch_->source, SD_EVENT_ONESHOT); r < 0)
        refuse(r, "enable a timer");
}

// ---- EventLoop ----

Result<std::unique_ptr<EventLoop>> EventLoop::create() {
    sd_event* event = nullptr;
    if (int const r = sd_event_new(&event); r < 0)
        return system_error(-r, "make an event loop");
    std::unique_ptr<EventLoop> loop{new EventLoop{event}};
    if (auto opened = loop->open_descriptors(); !opened)
        return std::move(opened).error();
    return loop;
}

Outcome EventLoop::open_descriptors() {
    for (auto const priority : priorities) {
        auto& of = descriptors_[index_of(priority)];
        of.loop = this;
        of.epoll = UniqueFd{::epoll_create1(EPOLL_CLOEXEC)};
        if (!of.epoll.is_open())
            return system_error(errno, "make an event loop");
        auto watch = std::make_unique<Watch>(Watch{this, {}});
        int const r = sd_event_add_io(event_, &watch->source, of.epoll.raw(), EPOLLIN,
                                      dispatch<int, std::uint32_t>, watch.get());
        if (r < 0)
            return system_error(-r, "make an event loop");
        watch->call = [&of, this](std::uint32_t) { dispatch_one(of); };
        of.source = adopt(std::move(watch), priority);
    }
    // sd-event makes the descriptor of its timers with the first of them: now, so that a timer can be set
    // also when there are no descriptors left.
    auto never = std::make_unique<Watch>(Watch{this, {}});
    int const r = sd_event_add_time(event_, &never->source, CLOCK_MONOTONIC, UINT64_MAX, timer_accuracy_usec,
                                    dispatch<std::uint64_t>, never.get());
    if (r < 0)
        return system_error(-r, "make an event loop");
    first_timer_ = adopt(std::move(never), Priority::Normal);
    return {};
}

EventLoop::~EventLoop() {
    posting_.reset();
    first_timer_.reset();
    for (auto& of : descriptors_)
        of.source.reset();
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

void EventLoop::call(std::function<void()> const& work) {
    guarded(work);
}

template <class... Details>
int EventLoop::dispatch(sd_event_source*, Details..., void* userdata) noexcept {
    auto* const watch = static_cast<Watch*>(userdata);
    watch->loop->guarded([&] { watch->call(0); });
    return 0;
}

// From here sd-event owns the watch and frees it with its source, never while that is being dispatched.
EventSource EventLoop::adopt(std::unique_ptr<Watch> watch, Priority priority) {
    sd_event_source_set_destroy_callback(watch->source,
                                         [](void* userdata) { delete static_cast<Watch*>(userdata); });
    sd_event_source_set_priority(watch->source, static_cast<std::int64_t>(priority));
    return EventSource{watch.release()};
}

Result<EventSource> EventLoop::try_watch(FdRef fd, std::uint32_t events,
                                         std::function<void(std::uint32_t)> on_ready, Priority priority) {
    auto watch = std::make_unique<Watch>(Watch{this, std::move(on_ready)});
    watch->fd = fd.raw();
    watch->epoll = descriptors_[index_of(priority)].epoll.raw();
    if (auto added = watch->control(EPOLL_CTL_ADD, events); !added)
        return std::move(added).error();
    return EventSource{watch.release()};
}

// One only: after its callback another may be gone, or one of a higher priority be ready. The epoll gives
// those that are ready in turn.
void EventLoop::dispatch_one(Descriptors const& of) {
    ensure(dispatching_ == nullptr, "the event loop is not run from one of its callbacks");
    epoll_event event{};
    if (::epoll_wait(of.epoll.raw(), &event, 1, 0) != 1)
        return;
    auto* const watch = static_cast<Watch*>(event.data.ptr);
    dispatching_ = watch;
    guarded([&] { watch->call(event.events); });
    if (std::exchange(dispatching_, nullptr) == nullptr)
        delete watch;
}

void EventLoop::forget(Watch* watch) {
    // Explicitly: closing the descriptor does not end the watch while others share the open file.
    (void)watch->control(EPOLL_CTL_DEL, 0);
    if (watch == dispatching_)
        dispatching_ = nullptr;
    else
        delete watch;
}

EventSource EventLoop::watch(FdRef fd, std::uint32_t events, std::function<void(std::uint32_t)> on_ready,
                             Priority priority) {
    auto source = try_watch(fd, events, std::move(on_ready), priority);
    if (!source)
        refuse(-source.error().code, "watch a descriptor");
    return std::move(source).value();
}

EventSource EventLoop::at(MonotonicTime when, std::function<void()> on_time) {
    auto watch = std::make_unique<Watch>(Watch{this, [call = std::move(on_time)](std::uint32_t) { call(); }});
    int const r = sd_event_add_time(event_, &watch->source, CLOCK_MONOTONIC, to_usec(when),
                                    timer_accuracy_usec, dispatch<std::uint64_t>, watch.get());
    if (r < 0)
        refuse(r, "set a timer");
    return adopt(std::move(watch), Priority::Normal);
}

EventSource EventLoop::on_signal(int signal, std::function<void()> on_signal) {
    auto watch =
        std::make_unique<Watch>(Watch{this, [call = std::move(on_signal)](std::uint32_t) { call(); }});
    int const r =
        sd_event_add_signal(event_, &watch->source, signal, dispatch<signalfd_siginfo const*>, watch.get());
    if (r < 0)
        refuse(r, "watch a signal");
    return adopt(std::move(watch), Priority::Messages);
}

void EventLoop::post(std::function<void()> work) {
    posted_.push_back(std::move(work));
    if (!posting_) {
        auto watch = std::make_unique<Watch>(Watch{this, [this](std::uint32_t) { run_posted(); }});
        int const r = sd_event_add_defer(event_, &watch->source, dispatch<>, watch.get());
        if (r < 0)
            refuse(r, "post work");
        posting_ = adopt(std::move(watch), Priority::Deaths);
    }
    sd_event_source_set_enabled(posting_.watch_->source, SD_EVENT_ONESHOT);
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
    // Who wrote where nobody reads was told by EPIPE; the signal still waits, and would end us now.
    sigset_t pipe;
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    constexpr timespec at_once{};
    while (sigismember(&saved_->before, SIGPIPE) == 0 && sigtimedwait(&pipe, nullptr, &at_once) > 0) {
    }
    sigprocmask(SIG_SETMASK, &saved_->before, nullptr);
}

} // namespace holdfast
