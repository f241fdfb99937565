// SPDX-License-Identifier: Apache-2.0
// What no setting can see alone: sockets without an address, names and addresses that come twice,
// placeholders that name nothing, settings that contradict each other.
#pragma once

#include "unit/node.h"
#include "unit/report.h"
#include "unit/spec.h"

namespace holdfast {

/// `root` is the merged tree that `spec` was read from: it says where to complain.
void check_unit(Node const& root, UnitSpec const& spec, Report& report);

/// The part of it that `accept` is about.
void check_accept(Node const& root, UnitSpec const& spec, Report& report);

} // namespace holdfast
