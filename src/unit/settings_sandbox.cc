// SPDX-License-Identifier: Apache-2.0
// The rows of [sandbox] and [resources], none of them built yet.
#include "unit/settings.h"

namespace holdfast {

namespace {

constexpr auto in = Section::Sandbox;

constexpr std::array sandbox_rows{
    later(in, "no_new_privileges", "true or false", "Workers cannot gain rights by executing a program."),
    later(in, "capability_bounding_set", "list of capabilities", "The most that workers can have."),
    later(in, "ambient_capabilities", "list of capabilities", "What workers of an ordinary user have."),
    later(in, "private_tmp", "true or false", "Workers have a /tmp of their own."),
    later(in, "private_devices", "true or false", "Workers see only the harmless devices."),
    later(in, "private_network", "true or false", "Workers have no network but their listeners."),
    later(in, "protect_system", "true, false or word", "The system's folders are read-only."),
    later(in, "protect_home", "true, false or word", "Home folders cannot be seen."),
    later(in, "protect_kernel_tunables", "true or false", "/proc/sys and the like are read-only."),
    later(in, "protect_kernel_modules", "true or false", "Modules cannot be loaded."),
    later(in, "protect_kernel_logs", "true or false", "The kernel's log cannot be read."),
    later(in, "read_write_paths", "list of paths", "Paths that can be written all the same."),
    later(in, "read_only_paths", "list of paths", "Paths that can only be read."),
    later(in, "inaccessible_paths", "list of paths", "Paths that cannot be seen."),
    later(in, "restrict_address_families", "list of families", "Which kinds of socket workers may make."),
    later(in, "restrict_namespaces", "true, false or list", "Which namespaces workers may make."),
    later(in, "system_call_filter", "list of system calls", "Which system calls workers may make."),
    later(in, "memory_deny_write_execute", "true or false", "No memory is both writable and executable."),
    later(in, "lock_personality", "true or false", "The execution domain cannot be changed."),
    later(in, "landlock_read_only_paths", "list of paths", "The only paths that can be read, by Landlock."),
    later(in, "landlock_read_write_paths", "list of paths",
          "The only paths that can be written, by Landlock."),
};

constexpr std::array resources_rows{
    later(Section::Resources, "memory_max", "size", "More memory than this ends the workers."),
    later(Section::Resources, "memory_high", "size", "More memory than this slows the workers down."),
    later(Section::Resources, "cpu_quota", "percentage", "The most CPU time of the unit."),
    later(Section::Resources, "cpu_weight", "number", "The unit's share of CPU time when it is short."),
    later(Section::Resources, "tasks_max", "number", "The most processes and threads of the unit."),
    later(Section::Resources, "io_weight", "number", "The unit's share of the disk when it is short."),
    later(Section::Resources, "allowed_cpus", "list of CPUs", "The CPUs that the unit may use."),
};

} // namespace

std::span<Setting const> sandbox_settings() {
    return sandbox_rows;
}
std::span<Setting const> resources_settings() {
    return resources_rows;
}

} // namespace holdfast
