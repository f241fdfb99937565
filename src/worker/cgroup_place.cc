// SPDX-License-Identifier: Apache-2.0
#include "worker/cgroup_place.h"

#include "base/text.h"

#include <algorithm>
#include <cstdio>
#include <optional>

namespace holdfast {

namespace {

/// proc(5): space, tab, newline and backslash are octal there.
std::string unescaped(std::string_view text) {
    auto const is_octal = [](char c) { return c >= '0' && c <= '7'; };
    std::string plain;
    for (std::size_t i = 0; i < text.size(); ++i)
        if (text[i] == '\\' && i + 3 < text.size() && is_octal(text[i + 1]) && is_octal(text[i + 2]) &&
            is_octal(text[i + 3])) {
            plain +=
                static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 + (text[i + 3] - '0'));
            i += 3;
        } else {
            plain += text[i];
        }
    return plain;
}

/// The line of version 2, "0::/path"; also in the hybrid layout, among those of version 1.
std::optional<std::string_view> path_in(std::string_view cgroup) {
    for (auto const line : split(cgroup, '\n'))
        if (line.starts_with("0::/"))
            return line.substr(3);
    return std::nullopt;
}

struct Mount {
    std::string root;
    std::string point;
};

/// "36 35 98:0 ROOT POINT OPTIONS [FIELD...] - TYPE SOURCE OPTIONS"
std::optional<Mount> cgroup2_mount(std::string_view line) {
    auto const words = split(line, ' ');
    auto const dash = std::ranges::find(words, std::string_view{"-"});
    if (dash - words.begin() < 6 || words.end() - dash < 2 || dash[1] != "cgroup2")
        return std::nullopt;
    return Mount{unescaped(words[3]), unescaped(words[4])};
}

/// What of `path` is below `root`: "" or "/…". Nothing where it is elsewhere.
std::optional<std::string_view> below(std::string_view path, std::string_view root) {
    if (root == "/")
        return path == "/" ? std::string_view{} : path;
    if (!path.starts_with(root) || (path.size() > root.size() && path[root.size()] != '/'))
        return std::nullopt;
    return path.substr(root.size());
}

} // namespace

std::vector<CgroupPlace> find_cgroups(std::string_view mountinfo, std::string_view cgroup) {
    std::vector<CgroupPlace> places;
    auto const path = path_in(cgroup);
    // One that is outside of our namespace ("/../other"), or was removed under us, cannot be worked with.
    if (!path || path->starts_with("/..") || path->ends_with(" (deleted)"))
        return places;
    for (auto const line : split(mountinfo, '\n'))
        if (auto const mount = cgroup2_mount(line))
            if (auto const rest = below(*path, mount->root))
                places.push_back({mount->point + std::string{*rest}, std::string{*path}});
    std::ranges::reverse(places);
    return places;
}

CgroupPlace parent_of(CgroupPlace const& place) {
    auto const path = place.path.rfind('/');
    auto const folder = place.folder.rfind('/');
    if (place.path == "/" || path == std::string::npos || folder == std::string::npos)
        return place;
    return {place.folder.substr(0, folder), path == 0 ? "/" : place.path.substr(0, path)};
}

std::string generation_cgroup(std::string_view unit, std::uint32_t generation) {
    constexpr std::size_t longest = 200; // of 255, and there is ".g4294967295" yet to come
    std::string name;
    std::uint64_t hash = 14695981039346656037U; // FNV-1a: the same in whatever we are built with
    for (char const c : unit) {
        hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211U;
        bool const is_plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                              c == '_' || c == ':' || c == '@' || c == '-';
        char text[8];
        std::snprintf(text, sizeof text, is_plain ? "%c" : "\\x%02x", static_cast<unsigned char>(c));
        name += text;
    }
    if (name.size() > longest) {
        char text[24];
        std::snprintf(text, sizeof text, "~%016llx", static_cast<unsigned long long>(hash));
        name.resize(longest - 17);
        name += text;
    }
    return name + ".g" + std::to_string(generation);
}

bool is_path_in(std::string_view cgroup, std::string_view name) {
    auto const path = path_in(cgroup);
    if (!path)
        return false;
    auto const parts = split(*path, '/');
    return std::ranges::find(parts, name) != parts.end();
}

bool is_cgroup_of(std::string_view name, std::string_view unit) {
    auto const one = generation_cgroup(unit, 0);
    auto const beginning = std::string_view{one}.substr(0, one.size() - 1);
    return is_generation_cgroup(name) && name.starts_with(beginning);
}

bool is_generation_cgroup(std::string_view name) {
    auto const dot = name.find('.');
    if (dot == 0 || dot == std::string_view::npos)
        return false;
    auto const end = name.substr(dot);
    return end.size() > 2 && end[1] == 'g' &&
           std::ranges::all_of(end.substr(2), [](char c) { return c >= '0' && c <= '9'; });
}

} // namespace holdfast
