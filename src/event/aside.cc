// SPDX-License-Identifier: Apache-2.0
#include "event/aside.h"

#include "base/scope_exit.h"

#include <csignal>
#include <exception>

#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

namespace holdfast {

namespace {

constexpr std::size_t stack_size = 256 * 1024;

/// What the thread and the loop share: each has it until it is done with it. The thread writes before it
/// tells `ended`, the loop reads after it was told.
struct Job {
    std::function<void()> work;
    UniqueFd ended; ///< eventfd(2)
    std::exception_ptr failure{};
};

void do_work(Job& job) noexcept {
    try {
        job.work();
    } catch (...) {
        job.failure = std::current_exception();
    }
    job.work = nullptr; // what it was given goes with the thread
}

void* run_thread(void* given) noexcept {
    std::unique_ptr<std::shared_ptr<Job>> const job{static_cast<std::shared_ptr<Job>*>(given)};
    do_work(**job);
    ::eventfd_write((*job)->ended.raw(), 1);
    return nullptr;
}

/// With every signal blocked: they are for the loop's thread.
bool start_thread(std::shared_ptr<Job> const& job) {
    pthread_attr_t attributes;
    if (::pthread_attr_init(&attributes) != 0)
        return false;
    ScopeExit const destroy{[&] { ::pthread_attr_destroy(&attributes); }};
    ::pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    ::pthread_attr_setstacksize(&attributes, stack_size);
    sigset_t all, before;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before);
    ScopeExit const restore{[&] { ::pthread_sigmask(SIG_SETMASK, &before, nullptr); }};
    auto given = std::make_unique<std::shared_ptr<Job>>(job);
    pthread_t thread{};
    if (::pthread_create(&thread, &attributes, run_thread, given.get()) != 0)
        return false;
    (void)given.release(); // the thread's
    return true;
}

} // namespace

Aside::Aside(EventLoop& loop, std::function<void()> work, std::function<void()> done)
    : is_under_way_{std::make_shared<bool>(true)} {
    auto const job = std::make_shared<Job>();
    job->work = std::move(work);
    job->ended = UniqueFd{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
    auto end = [job, done = std::move(done), under_way = is_under_way_] {
        *under_way = false;
        if (job->failure)
            std::rethrow_exception(job->failure);
        done();
    };
    if (job->ended.is_open())
        if (auto watched = loop.try_watch(job->ended, EPOLLIN,
                                          [job, end](std::uint32_t) {
                                              eventfd_t count = 0;
                                              ::eventfd_read(job->ended.raw(), &count);
                                              auto const once = end; // it may destroy us
                                              once();
                                          });
            watched && start_thread(job)) {
            ended_ = std::move(watched).value();
            return;
        }
    do_work(*job);
    ended_ = loop.at(MonotonicTime::now(), [end] {
        auto const once = end;
        once();
    });
}

} // namespace holdfast
