// SPDX-License-Identifier: Apache-2.0
// The methods of io.holdfast.Manager in one table: who may call each, and which parameters it takes. The
// server refuses by it before a handler sees a request; a test holds it against the interface text.
#pragma once

#include "base/enum_names.h"

#include <span>
#include <string_view>

namespace holdfast {

inline constexpr std::string_view control_interface = "io.holdfast.Manager";
inline constexpr std::string_view varlink_service = "org.varlink.service";

/// look: everybody whom the socket's mode lets in; change: root, the daemon's own user, the control group.
enum class Access { Look, Change };
constexpr auto enum_table(Access) {
    return std::array{EnumName{Access::Look, "look"}, EnumName{Access::Change, "change"}};
}

/// Named as the interface description names its types.
enum class ParameterType { Text, Flag, Number };
constexpr auto enum_table(ParameterType) {
    return std::array{EnumName{ParameterType::Text, "string"}, EnumName{ParameterType::Flag, "bool"},
                      EnumName{ParameterType::Number, "int"}};
}

struct ControlParameter {
    std::string_view name;
    ParameterType type = ParameterType::Text;
    bool required = false;
};

struct ControlMethod {
    std::string_view name;
    Access access = Access::Look;
    std::span<ControlParameter const> parameters;
};

[[nodiscard]] std::span<ControlMethod const> control_methods();
/// By the name without the interface; null when there is none.
[[nodiscard]] ControlMethod const* find_control_method(std::string_view name);

/// The text of io.holdfast.Manager.varlink and of org.varlink.service, or empty for any other interface.
[[nodiscard]] std::string_view interface_text(std::string_view interface);

} // namespace holdfast
