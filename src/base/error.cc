// SPDX-License-Identifier: Apache-2.0
#include "base/error.h"

#include <cstring>

namespace holdfast {

Error system_error(int code, std::string doing, std::string where, std::string advice) {
    return Error{code, std::move(doing), std::move(where), std::move(advice)};
}

Error plain_error(std::string doing, std::string where, std::string advice) {
    return Error{0, std::move(doing), std::move(where), std::move(advice)};
}

std::string_view errno_text(int code) {
    char const* text = ::strerrordesc_np(code);
    return text ? text : "unknown error";
}

std::string_view errno_name(int code) {
    char const* text = ::strerrorname_np(code);
    return text ? text : "?";
}

std::string to_string(Error const& error) {
    std::string line;
    if (!error.where.empty())
        line = error.where + ": ";
    if (error.code != 0) {
        line += "cannot " + error.doing + ": ";
        line += errno_text(error.code);
    } else {
        line += error.doing;
    }
    if (!error.advice.empty())
        line += "; " + error.advice;
    return line;
}

} // namespace holdfast
