// SPDX-License-Identifier: Apache-2.0
// Small values that a UnitRunner keeps lists of.
#pragma once

#include "lifecycle/policy.h"
#include "supervisor/wish.h"
#include "unit/spec.h"
#include "worker/pinned_program.h"

#include <memory>
#include <optional>
#include <string>

#include <sys/types.h>

namespace holdfast {

class Instances;
struct FoundInstances;

/// What somebody waits for; a restart only until its rollout has begun.
enum class WishKind { Start, Stop, Restart, Reload, Scale, Undo, Pause, Resume, PauseUnit, ResumeUnit };
struct Waiting {
    WishKind kind;
    WishAnswer answer;
    std::shared_ptr<PinnedProgram const> program{}; ///< of a restart that goes back
};

/// The answer to who asks a unit to reload that cannot.
extern char const* const no_way_to_reload;

/// What a change that was refused answers.
[[nodiscard]] std::string refusal_text(Error const& why);

/// A text of the unit that a generation still uses.
struct KnownSpec {
    lifecycle::SpecId id;
    UnitSpecPtr spec;
};

/// The program that a generation was started with.
struct Pin {
    lifecycle::GenerationId generation;
    std::shared_ptr<PinnedProgram const> program;
};

/// The reload that was wished last, and what came of it.
struct LastReload {
    MonotonicTime wished;
    std::optional<WishResult> result{};
};

/// How a worker ended, in words, for the reports that its end leads to.
struct Ending {
    lifecycle::WorkerId worker;
    pid_t pid;
    std::string text;
};

} // namespace holdfast
