// SPDX-License-Identifier: Apache-2.0
// The methods of io.holdfast.Manager, answered: each checked request becomes a look at the supervisor or a
// wish, and its reply is kept until the wish is answered.
#pragma once

#include "control/server.h"
#include "supervisor/supervisor.h"

#include <functional>

namespace holdfast {

class Requests {
public:
    /// `shut_down` is called once somebody asked for it and was told so.
    Requests(Supervisor& supervisor, std::function<void()> shut_down)
        : supervisor_{supervisor}, shut_down_{std::move(shut_down)} {}

    void handle(ControlRequest request);

private:
    using Wish = std::function<void(UnitRunner&, WishAnswer)>;
    void wish(ControlRequest request, Wish const& wish);
    void restart(ControlRequest request);
    void reload(ControlRequest request);
    void change_rollout(ControlRequest request, RolloutWish rollout_wish);
    void pause(ControlRequest request);
    void resume(ControlRequest request);
    void scale(ControlRequest request);
    void status(ControlRequest request);
    void list(ControlRequest request);
    void sockets(ControlRequest request);
    void show(ControlRequest request);
    void plan(ControlRequest request);
    void apply(ControlRequest request);
    void events(ControlRequest request);
    void trace(ControlRequest request);
    void report(ControlRequest request);
    void history(ControlRequest request);
    void version(ControlRequest request);
    void upgrade(ControlRequest request);

    /// The unit that the request names; answers with an error itself when there is none.
    [[nodiscard]] UnitRunner* named_unit(ControlRequest& request);
    /// There is such a unit, and it is wanted up; answers with an error itself when not so.
    [[nodiscard]] bool is_up(ControlRequest& request);
    void give_back_memory(std::size_t shown);
    void no_such_unit(ControlRequest& request, std::string const& name);

    Supervisor& supervisor_;
    std::function<void()> shut_down_;
};

} // namespace holdfast
