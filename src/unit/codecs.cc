// SPDX-License-Identifier: Apache-2.0
#include "unit/codecs.h"

#include "base/signal_names.h"

#include <algorithm>
#include <charconv>
#include <csignal>
#include <map>

namespace holdfast {

namespace {

// "gunicorn -w 2" as the list it should have been.
std::string as_list(std::string_view command) {
    std::vector<std::string> words;
    for (auto const word : split(command, ' '))
        if (!word.empty())
            words.emplace_back(word);
    return words.empty() || words.size() > 8 ? "write [\"PROGRAM\", \"ARGUMENT\", …]"
                                             : "write " + toml_list(words);
}

bool is_account(std::string_view name) {
    if (name.empty() || name.size() > 256 || name.front() == '-')
        return false;
    if (name.find_first_not_of("0123456789") == std::string_view::npos) {
        // 65535 and 4294967295 are "no change" to the kernel's calls.
        std::uint32_t number = 0;
        auto const [end, problem] = std::from_chars(name.data(), name.data() + name.size(), number);
        return problem == std::errc{} && number != 0xffff && number != 0xffffffff;
    }
    return std::none_of(name.begin(), name.end(), [](char c) {
        return static_cast<unsigned char>(c) <= ' ' || c == 0x7f || c == ':' || c == '/';
    });
}

// Adds to the variables of one setting; a name that comes again replaces its value.
class VariableReader {
public:
    VariableReader(Reader in, Variables& into) : in_{in}, into_{into} {}

    void add(Node const& at, Place const& name_at, std::string_view name, std::string_view value) {
        if (!is_variable_name(name)) {
            in_.report.error(name_at, quoted(name) + " is no name of an environment variable",
                             "letters, digits and '_', not beginning with a digit");
            return;
        }
        if (value.find('\0') != std::string_view::npos)
            return in_.error(at, "the value of " + quoted(name) + " holds a NUL character (\\u0000)");
        auto const [known, is_new] = known_.emplace(name, into_.size());
        if (is_new)
            into_.emplace_back(name, value);
        else
            into_[known->second].second = value;
    }

private:
    Reader in_;
    Variables& into_;
    std::map<std::string, std::size_t> known_;
};

} // namespace

void Addresses::read(Reader in, Node const& node, std::vector<ListenAddress>& into) {
    constexpr auto what = "an address or a list of addresses";
    into.clear();
    auto const add = [&](Node const& item) {
        if (item.is(NodeKind::Integer) && item.integer >= 0 && item.integer <= 65535)
            return in.wrong_kind(item, what, "write \"" + std::to_string(item.integer) + "\", in quotes");
        if (!in.is_text(item, what, "write it as in \"127.0.0.1:80\""))
            return;
        auto address = parse_address(item.text);
        if (address)
            into.push_back(std::move(*address));
        else
            in.error(item, address.error().doing, address.error().advice);
    };
    if (!node.is(NodeKind::List))
        return add(node);
    if (node.items.empty())
        in.error(node, "`listen` is an empty list", "name at least one address, as in \"127.0.0.1:80\"");
    for (auto const& item : node.items)
        add(item);
}

std::string Addresses::write(std::vector<ListenAddress> const& addresses) {
    std::vector<std::string> texts;
    for (auto const& address : addresses)
        texts.push_back(to_string(address));
    return texts.size() == 1 ? toml_string(texts.front()) : toml_list(texts);
}

void SocketName::read(Reader in, Node const& node, std::string& into) {
    if (!in.is_text(node))
        return;
    if (!is_socket_name(node.text))
        return in.error(node, quoted(node.text) + " is no name of a socket",
                        "1 to 255 printable ASCII characters, none of them a space or one of : { } , /");
    into = node.text;
}

void CommandWords::read(Reader in, Node const& node, std::vector<std::string>& into) {
    into.clear();
    if (!node.is(NodeKind::List))
        return in.wrong_kind(node, "a list of strings", node.is(NodeKind::Text) ? as_list(node.text) : "");
    if (node.items.empty())
        return in.error(node, quoted(in.key) + " is empty", "write [\"PROGRAM\", \"ARGUMENT\", …]");
    for (auto const& item : node.items)
        if (in.is_text(item, "a list of strings",
                       item.is(NodeKind::Integer)
                           ? "write \"" + std::to_string(item.integer) + "\", in quotes"
                           : ""))
            into.push_back(item.text);
    auto const& program = node.items.front();
    if (!program.is(NodeKind::Text))
        return;
    if (program.text.empty())
        return in.error(program, "the program of " + quoted(in.key) + " is empty");
    if (program.text.find('/') != std::string::npos && program.text.front() != '/')
        return in.error(program, quoted(program.text) + " is a relative path",
                        "give an absolute path, or a bare name that is looked up in the default PATH");
    if (program.text.back() == '/')
        return in.error(program, quoted(program.text) + " is a folder");
    if (node.items.size() == 1 && program.text.front() == '/' && program.text.find(' ') != std::string::npos)
        in.report.warning(program.place, "the program's name holds a space; arguments are items of their own",
                          as_list(program.text));
}

bool is_variable_name(std::string_view name) {
    if (name.empty() || (name.front() >= '0' && name.front() <= '9'))
        return false;
    return std::all_of(name.begin(), name.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
    });
}

void Environment::read(Reader in, Node const& node, Variables& into) {
    into.clear();
    VariableReader variables{in, into};
    if (node.is(NodeKind::Table)) {
        for (auto const& entry : node.entries) {
            if (entry.value.is(NodeKind::Text))
                variables.add(entry.value, entry.place, entry.key, entry.value.text);
            else
                Reader{in.report, entry.key}.wrong_kind(
                    entry.value, "a string",
                    entry.value.is(NodeKind::Integer)
                        ? "write \"" + std::to_string(entry.value.integer) + "\", in quotes"
                        : "");
        }
        return;
    }
    if (!node.is(NodeKind::List))
        return in.wrong_kind(node, "a table of strings or a list of \"NAME=VALUE\"",
                             "write it as in { LANG = \"C.UTF-8\" }");
    for (auto const& item : node.items) {
        if (!item.is(NodeKind::Text)) {
            in.wrong_kind(item, "a list of \"NAME=VALUE\"");
            continue;
        }
        auto const equals = item.text.find('=');
        if (equals == std::string::npos)
            in.error(item, quoted(item.text) + " has no `=`", "write \"NAME=VALUE\"");
        else
            variables.add(item, item.place, std::string_view{item.text}.substr(0, equals),
                          std::string_view{item.text}.substr(equals + 1));
    }
}

std::string Environment::write(Variables const& variables) {
    std::string text;
    for (auto const& [name, value] : variables)
        text += (text.empty() ? " " : ", ") + (is_variable_name(name) ? name : toml_string(name)) + " = " +
                toml_string(value);
    return "{" + text + (text.empty() ? "}" : " }");
}

void Signal::read(Reader in, Node const& node, int& into) {
    std::optional<int> signal;
    if (node.is(NodeKind::Integer))
        signal = node.integer >= 1 && node.integer <= 64 && is_signal(static_cast<int>(node.integer))
                     ? std::optional{static_cast<int>(node.integer)}
                     : std::nullopt;
    else if (in.is_text(node, "a signal's name or number"))
        signal = parse_signal(node.text);
    else
        return;
    if (!signal) {
        if (node.is(NodeKind::Integer))
            return in.error(node, std::to_string(node.integer) + " is no signal");
        std::string upper;
        for (char const c : node.text.substr(0, 32))
            upper += c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
        if (upper.substr(0, 3) != "SIG")
            upper = "SIG" + upper;
        return in.error(node, quoted(node.text) + " is no signal",
                        did_you_mean(nearest(upper, signal_names()), "names are as in SIGTERM, SIGRTMIN+3"));
    }
    if (*signal == SIGKILL || *signal == SIGSTOP)
        return in.error(
            node, signal_name(*signal) + " cannot be caught, so no program can do what it asks for",
            in.key == "drain_signal" ? "SIGTERM is the usual one; SIGKILL follows by itself at the deadline"
                                     : "");
    into = *signal;
}

std::string Signal::write(int signal) {
    return toml_string(signal_name(signal));
}

void ProbePath::read(Reader in, Node const& node, std::string& into) {
    if (!in.is_text(node, "a path"))
        return;
    constexpr std::size_t longest = 1024;
    bool const is_plain =
        std::all_of(node.text.begin(), node.text.end(), [](char c) { return c > ' ' && c < 0x7f; });
    if (!node.text.starts_with('/') || !is_plain || node.text.size() > longest)
        return in.error(node, quoted(node.text) + " is no path of a request",
                        "write it as in \"/healthz\", without spaces, percent-encoded where needed");
    into = node.text;
}

void Account::read(Reader in, Node const& node, std::string& into) {
    auto const text = node.is(NodeKind::Integer) ? std::to_string(node.integer) : node.text;
    if (!node.is(NodeKind::Integer) && !in.is_text(node, "a name or a number"))
        return;
    if (!is_account(text))
        return in.error(node, quoted(text) + " is no name or number of a user or group");
    into = text;
}

void AccountList::read(Reader in, Node const& node, std::vector<std::string>& into) {
    into.clear();
    auto const add = [&](Node const& item) {
        std::string name;
        Account::read(in, item, name);
        if (!name.empty())
            into.push_back(std::move(name));
    };
    if (!node.is(NodeKind::List))
        return add(node);
    for (auto const& item : node.items)
        add(item);
}

void AbsolutePath::read(Reader in, Node const& node, std::string& into) {
    if (!in.is_text(node))
        return;
    if (node.text.empty() || node.text.front() != '/')
        return in.error(node, quoted(node.text) + " is no absolute path", "begin it with '/'");
    into = node.text;
}

void PathList::read(Reader in, Node const& node, std::vector<std::string>& into) {
    into.clear();
    auto const add = [&](Node const& item) {
        std::string path;
        AbsolutePath::read(in, item, path);
        if (!path.empty())
            into.push_back(std::move(path));
    };
    if (!node.is(NodeKind::List))
        return add(node);
    if (node.items.empty())
        in.error(node, quoted(in.key) + " is an empty list", "name at least one folder, or leave it out");
    for (auto const& item : node.items)
        add(item);
}

void Percentages::read(Reader in, Node const& node, CanarySteps& into) {
    if (!node.is(NodeKind::List))
        return in.wrong_kind(node, "a list of percentages, [5, 25, 50]");
    if (node.items.empty() || node.items.size() > most_canary_steps)
        return in.error(node, "give 1 to " + std::to_string(most_canary_steps) + " steps");
    CanarySteps steps{};
    std::int64_t least = 1;
    for (std::size_t i = 0; i < node.items.size(); ++i) {
        auto const step = read_whole(in, node.items[i], 1, 99);
        if (!step)
            return;
        if (*step < least)
            return in.error(node.items[i], "each step must be higher than the one before");
        steps[i] = static_cast<std::uint8_t>(*step);
        least = *step + 1;
    }
    into = steps;
}

std::string Percentages::write(CanarySteps const& steps) {
    std::string text;
    for (auto const step : steps)
        if (step != 0)
            text += (text.empty() ? "" : ", ") + std::to_string(step);
    return "[" + text + "]";
}

void Workers::read(Reader in, Node const& node, std::uint16_t& into) {
    if (node.is(NodeKind::Text) && node.text == "auto")
        into = workers_auto;
    else if (node.is(NodeKind::Text))
        in.wrong_kind(node, "a number or \"auto\"");
    else if (auto const number = read_whole(in, node, 1, most_workers))
        into = static_cast<std::uint16_t>(*number);
}

} // namespace holdfast
