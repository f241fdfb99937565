// SPDX-License-Identifier: Apache-2.0
// A unit with `accept = true`: for the lifecycle core it is one that waits for its first traffic, for ever.
// While the core has its listeners watched we accept from them ourselves (Instances); a stop or a pause has
// ended when the last instance has.
#include "supervisor/instances.h"
#include "supervisor/unit_runner.h"

namespace holdfast {

using namespace lifecycle;

bool UnitRunner::is_served() const {
    return is_running() || (instances_ && instances_->is_open());
}

bool UnitRunner::has_instances() const {
    return instances_ && !instances_->is_empty();
}

/// The wanted spec is another one, or `found` was left by a supervisor before us.
void UnitRunner::follow_accept(FoundInstances found) {
    bool const accepts = wanted_->service.accept;
    bool const is_new = !instances_ && (accepts || !found.is_empty());
    if (is_new) {
        sockets_.unwatch();
        instances_ = std::make_unique<Instances>(shared_, *this, number_, sockets_, wanted_,
                                                 later(&UnitRunner::hear_instances_gone));
    }
    if (instances_)
        instances_->adopt(std::move(found));
    if (is_new && accepts && state_.listening) {
        enact(Watch{});
    } else if (instances_ && accepts) {
        instances_->follow(wanted_);
    } else if (instances_ && instances_->is_empty()) {
        instances_->drop_all();
        instances_.reset();
        sockets_.restore_blocking();
        if (state_.listening)
            enact(Watch{});
    }
}

void UnitRunner::open_instances() {
    if (wanted_->service.accept)
        instances_->follow(wanted_); // it may have been paused to change what its program and its user are
    instances_->open();
    for (auto& answer : take_waiting(WishKind::Stop))
        shared_.loop.post([answer = std::move(answer)] {
            answer({false, "it was started again before all its instances had ended", std::nullopt});
        });
}

void UnitRunner::hear_instances_gone() {
    if (is_broken_)
        return;
    shared_.loop.set_owner(number_);
    if (state_.goal == Goal::Down)
        tell({.happening = Happening::Stopped, .generation = state_.stop_covers});
    else if (state_.pause && !state_.pause->is_owed)
        tell({.happening = Happening::Paused,
              .generation = state_.last_generation,
              .until = state_.pause->until});
    if (!wanted_->service.accept)
        follow_accept({});
    settle();
}

} // namespace holdfast
