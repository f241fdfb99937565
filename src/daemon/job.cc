// SPDX-License-Identifier: Apache-2.0
#include "daemon/job.h"

#include <cstdlib>
#include <memory>
#include <optional>
#include <string>

#include <systemd/sd-bus.h>
#include <systemd/sd-login.h>

namespace holdfast::daemon {

namespace {

constexpr std::uint64_t patience_usec = 1'000'000;
constexpr char systemd[] = "org.freedesktop.systemd1";

using Bus = std::unique_ptr<sd_bus, decltype(&sd_bus_close_unref)>;
using Message = std::unique_ptr<sd_bus_message, decltype(&sd_bus_message_unref)>;
using Text = std::unique_ptr<char, decltype(&std::free)>;

Bus connect(RunMode mode) {
    std::string path = "/run";
    if (char const* const runtime = std::getenv("XDG_RUNTIME_DIR"); mode == RunMode::User)
        path = runtime != nullptr ? runtime : "";
    sd_bus* bus = nullptr;
    if (sd_bus_new(&bus) < 0)
        return {nullptr, sd_bus_close_unref};
    Bus connected{bus, sd_bus_close_unref};
    if (sd_bus_set_address(bus, ("unix:path=" + path + "/systemd/private").c_str()) < 0 ||
        sd_bus_set_method_call_timeout(bus, patience_usec) < 0 || sd_bus_start(bus) < 0)
        connected.reset();
    return connected;
}

/// The object path of the unit's job; "/" where it has none.
std::optional<std::string> job_of(sd_bus* bus, char const* unit) {
    char* path = nullptr;
    if (sd_bus_path_encode("/org/freedesktop/systemd1/unit", unit, &path) < 0)
        return std::nullopt;
    Text const owned{path, std::free};
    sd_bus_message* reply = nullptr;
    if (sd_bus_get_property(bus, systemd, path, "org.freedesktop.systemd1.Unit", "Job", nullptr, &reply,
                            "(uo)") < 0)
        return std::nullopt;
    Message const read{reply, sd_bus_message_unref};
    std::uint32_t id = 0;
    char const* job = nullptr;
    if (sd_bus_message_read(reply, "(uo)", &id, &job) < 0)
        return std::nullopt;
    return job;
}

} // namespace

std::string own_unit(RunMode mode) {
    char* name = nullptr;
    int const found = mode == RunMode::User ? sd_pid_get_user_unit(0, &name) : sd_pid_get_unit(0, &name);
    Text const owned{found < 0 ? nullptr : name, std::free};
    return owned ? owned.get() : std::string{};
}

bool is_stopped_for_good(RunMode mode) {
    auto const unit = own_unit(mode);
    auto const bus = unit.empty() ? Bus{nullptr, sd_bus_close_unref} : connect(mode);
    auto const job = bus ? job_of(bus.get(), unit.c_str()) : std::nullopt;
    char* type = nullptr;
    if (!job || sd_bus_get_property_string(bus.get(), systemd, job->c_str(), "org.freedesktop.systemd1.Job",
                                           "JobType", nullptr, &type) < 0)
        return false;
    Text const owned{type, std::free};
    return std::string_view{type} == "stop";
}

} // namespace holdfast::daemon
