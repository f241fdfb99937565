// SPDX-License-Identifier: Apache-2.0
// The only file that knows CLI11. Its exceptions end here.
#include "cli/command_line.h"

#include "base/text.h"
#include "base/words.h"
#include "cli/help.h"
#include "unit/spec.h"

#include <algorithm>
#include <charconv>
#include <sstream>

#include <CLI/CLI.hpp>

namespace holdfast::cli {

namespace {

CLI::IsMember one_of_the_strategies() {
    std::vector<std::string> names;
    for (auto const& row : enum_table(Strategy{}))
        names.emplace_back(row.name);
    return CLI::IsMember{names};
}

void add_globals(CLI::App& app, CommandLine& line) {
    app.add_flag("--json", line.json, "Print the daemon's answers as JSON");
    auto* user = app.add_flag("--user", line.user, "Talk to your own daemon (default unless root)");
    app.add_flag("--system", line.system, "Talk to the machine's daemon (default for root)")->excludes(user);
    app.add_option("--runtime-dir", line.runtime_folder, "The folder of the daemon's control socket")
        ->type_name("DIR");
}

void add_run_options(CLI::App& verb, RunOptions& run) {
    verb.add_option("--listen", run.listen, "An address, as `listen` in a unit file; repeatable")
        ->type_name("ADDR")
        ->allow_extra_args(false)
        ->required();
    verb.add_option("--name", run.names, "The name of the socket; the n-th names the n-th --listen")
        ->type_name("NAME")
        ->allow_extra_args(false);
    verb.add_option("--workers", run.workers, "How many workers")
        ->type_name("N")
        ->check(CLI::Range(1U, unsigned{most_workers}));
    verb.add_flag("--reuse-port", run.reuse_port, "A shard of the listener for each worker");
    verb.add_option("--handoff", run.handoff, "How the program gets its sockets")
        ->type_name("WORD:{listen_fds,scm_rights}");
    verb.add_option("--ready", run.ready, "When it is ready: it says so, it runs, or its port answers")
        ->check(CLI::IsMember({"notify", "exec", "tcp"}))
        ->type_name("WORD");
    verb.add_option("--watch", run.watch, "Restart it when this file or folder changes; repeatable")
        ->type_name("PATH")
        ->allow_extra_args(false);
}

void add_verb_options(CLI::App& verb, Verb which, CommandLine& line) {
    bool const changes = which == Verb::Start || which == Verb::Stop || which == Verb::Restart ||
                         which == Verb::Reload || which == Verb::Scale || which == Verb::Rollout ||
                         which == Verb::Pause || which == Verb::Resume;
    if (changes || which == Verb::Apply || which == Verb::Run)
        verb.add_flag("-q,--quiet", line.quiet, "No progress, only the result");
    if (changes || which == Verb::Shutdown || which == Verb::Upgrade)
        verb.add_flag("--no-wait", line.no_wait, "Return as soon as the daemon has begun");
    if (which == Verb::Restart)
        verb.add_option("--strategy", line.strategy, "For this once, instead of that of the unit")
            ->check(one_of_the_strategies())
            ->type_name("WORD");
    if (which == Verb::Pause) {
        verb.add_option_function<std::string>(
                "--for",
                [&line](std::string const& text) {
                    line.pause_time = parse_duration(text);
                    if (!line.pause_time)
                        throw CLI::ValidationError("--for", "`" + text + "` is no duration like 30s or 5min");
                },
                "It resumes by itself then (5min)")
            ->type_name("DURATION");
        // It never gets here: see read_command_line().
        verb.add_option("--exec", line.command, "Last: run this meanwhile, and resume after it")
            ->type_name("CMD ARGS...");
    }
    if (which == Verb::Report || which == Verb::Timeline)
        verb.add_option("--generation", line.generation, "The rollout to this generation, not the last one")
            ->type_name("N");
    if (which == Verb::Timeline)
        verb.add_option("--svg", line.svg_path, "Where the picture goes; - is standard output")
            ->type_name("FILE")
            ->required();
    if (which == Verb::Show)
        verb.add_option("--key", line.key, "This setting alone: service.workers, or workers")
            ->type_name("KEY");
    if (which == Verb::Sockets)
        verb.add_option("--name", line.socket, "The sockets of this name alone")->type_name("SOCKET");
    if (which == Verb::Events)
        verb.add_flag("-f,--follow", line.follow, "Go on with what happens from now");
    if (which == Verb::Verify)
        verb.add_option("--config", line.config_file, "Check this file of the daemon's own settings")
            ->type_name("FILE");
    if (which == Verb::Verify)
        verb.add_option("--unit-dir", line.unit_folders, "Look for units here instead; repeatable")
            ->type_name("DIR")
            ->allow_extra_args(false);
    if (which == Verb::Run)
        add_run_options(verb, line.run);
}

void add_operands(CLI::App& verb, VerbRow const& row, CommandLine& line) {
    char const* what = row.verb == Verb::Verify ? "FILE|UNIT" : "UNIT";
    switch (row.operands) {
    case Operands::None:
        return;
    case Operands::One:
        verb.add_option("unit", line.operands)->expected(1)->required()->type_name(what);
        return;
    case Operands::OneAndCount: // together: a list of units would take the count as well
        verb.add_option("unit", line.operands)->expected(2)->required()->type_name("UNIT N");
        return;
    case Operands::ActionAndOne:
        verb.add_option("unit", line.operands)->expected(2)->required()->type_name("ACTION UNIT");
        return;
    case Operands::MaybeOne:
        verb.add_option("unit", line.operands)->expected(0, 1)->type_name(what);
        return;
    case Operands::Some:
        verb.add_option("unit", line.operands)->required()->type_name(what);
        return;
    case Operands::Any:
        verb.add_option("unit", line.operands)->type_name(what);
        return;
    }
}

std::string footer() {
    std::string later;
    for (auto const& row : verbs())
        if (!row.is_supported())
            later += (later.empty() ? "" : " ") + std::string{row.name};
    std::string text = "Not supported yet: " + later + "\n\n";
    std::string line = "Exit status: ";
    for (auto const& row : enum_table(ExitStatus{})) {
        auto const one = std::to_string(static_cast<int>(row.value)) + " " + std::string{row.name};
        if (line.size() + one.size() + 1 > help_width) { // a status and its words stay together
            text += line.substr(0, line.size() - 1) + "\n";
            line = "  ";
        }
        line += one + ", ";
    }
    text += line.substr(0, line.size() - 2);
    return text;
}

/// What the program takes, into `line`.
void describe(CLI::App& app, CommandLine& line) {
    app.name("holdfast");
    app.description("Holds a server's sockets fast while the server changes underneath.");
    app.set_version_flag("--version", "holdfast " HOLDFAST_VERSION);
    app.require_subcommand(0, 1);
    app.get_formatter()->label("SUBCOMMAND", "VERB");
    add_globals(app, line);
    for (auto const& row : verbs()) {
        if (!row.is_supported())
            continue;
        auto* verb = app.add_subcommand(std::string{row.name}, std::string{row.summary});
        verb->group("Verbs");
        verb->fallthrough(); // --json and its like are known after the verb as well
        add_operands(*verb, row, line);
        add_verb_options(*verb, row.verb, line);
        verb->footer("Example:\n  " + std::string{row.example});
    }
    app.footer(footer()); // last, or every verb would inherit it
}

OptionShape shape_of(CLI::Option const& option) {
    OptionShape shape;
    for (auto const& name : option.get_snames())
        shape.names.push_back("-" + name);
    for (auto const& name : option.get_lnames())
        shape.names.push_back("--" + name);
    shape.takes_value = option.get_items_expected_max() > 0;
    shape.summary = option.get_description();
    auto const type = option.get_type_name(); // "WORD:{a,b}", as the help text has it
    shape.value = type.substr(0, type.find(':'));
    auto const open = type.find('{');
    if (auto const close = type.find('}'); open != std::string::npos && close != std::string::npos)
        for (auto const word : split(std::string_view{type}.substr(open + 1, close - open - 1), ','))
            shape.words.emplace_back(word);
    return shape;
}

/// The word that stands where the verb should: the first that is neither an option nor an option's value.
std::string first_word(std::vector<std::string> const& arguments) {
    for (std::size_t i = 0; i < arguments.size(); ++i) {
        if (arguments[i] == "--runtime-dir")
            ++i;
        else if (!arguments[i].starts_with("-"))
            return arguments[i];
    }
    return {};
}

PrintAndExit usage(std::string text) {
    return {"holdfast: " + std::move(text) + "\n", ExitStatus::Usage};
}

PrintAndExit no_such_verb(std::string const& word) {
    std::vector<std::string_view> names;
    for (auto const& row : verbs())
        names.push_back(row.name);
    auto const meant = nearest(word, names);
    return usage(
        "there is no verb `" + word + "`" +
        (meant.empty() ? "; `holdfast --help` lists them" : "; did you mean `" + std::string{meant} + "`?"));
}

/// The sentence of CLI11 with ours in front and the way to the help behind.
PrintAndExit explain(CLI::App& app, CLI::ParseError const& error) {
    if (error.get_exit_code() == 0) { // --help
        std::ostringstream out;
        app.exit(error, out, out);
        return {fitted(out.str()), ExitStatus::Done};
    }
    std::string const verb =
        app.get_subcommands().empty() ? "" : " " + app.get_subcommands().front()->get_name();
    return usage(verb.substr(verb.empty() ? 0 : 1) + (verb.empty() ? "" : ": ") + error.what() +
                 "; see `holdfast" + verb + " --help`");
}

std::optional<unsigned> to_worker_count(std::string const& text) {
    unsigned count = 0;
    auto const [end, problem] = std::from_chars(text.data(), text.data() + text.size(), count);
    bool const is_good =
        problem == std::errc{} && end == text.data() + text.size() && count >= 1 && count <= most_workers;
    return is_good ? std::optional{count} : std::nullopt;
}

/// The action stands before the unit.
std::optional<PrintAndExit> take_action(CommandLine& line) {
    auto const word = line.operands.front();
    auto const action = from_name<RolloutAction>(word);
    if (!action)
        return usage("rollout: `" + word + "` is not one of status, history, pause, resume, undo");
    line.action = *action;
    line.operands.erase(line.operands.begin());
    return std::nullopt;
}

std::optional<PrintAndExit> check(CommandLine const& line, bool exec_is_empty) {
    if (line.verb == Verb::Run && line.run.command.empty())
        return usage("run: no program is given; put it after --: holdfast run --listen 8080 -- ./app");
    if (line.verb == Verb::Run && line.run.names.size() > line.run.listen.size())
        return usage("run: there are more --name than --listen");
    if (exec_is_empty)
        return usage("pause: no command is given after --exec");
    if (!line.command.empty() && line.no_wait)
        return usage("pause: --no-wait and --exec exclude each other: the command is to wait");
    if (line.pause_time &&
        (*line.pause_time < std::chrono::milliseconds{1} || *line.pause_time > std::chrono::hours{24}))
        return usage("pause: --for takes 1ms to 24h");
    if (line.user && line.system)
        return usage("--user and --system exclude each other");
    for (auto const& operand : line.operands) {
        if (line.verb == Verb::Verify)
            break;
        if (operand.ends_with(".toml"))
            return usage("give the name of the unit, not its file `" + operand + "`");
        if (!is_unit_name(operand))
            return usage("`" + operand + "` is no unit name");
    }
    return std::nullopt;
}

} // namespace

std::vector<OptionShape> options_of(VerbRow const* verb) {
    CommandLine line;
    CLI::App app;
    describe(app, line);
    std::vector<OptionShape> options;
    auto const* const of = verb == nullptr ? &app : app.get_subcommand(std::string{verb->name});
    for (auto const* option : of->get_options())
        if (!option->get_lnames().empty() && (verb == nullptr || !option->check_lname("help")))
            options.push_back(shape_of(*option));
    return options;
}

std::variant<CommandLine, PrintAndExit> read_command_line(std::vector<std::string> const& arguments) {
    // What follows -- is the program of `run`, untouched; to other verbs it is units like before. What
    // follows the --exec of `pause` is a command.
    auto const exec = first_word(arguments) == name_of(Verb::Pause)
                          ? std::find(arguments.begin(), arguments.end(), "--exec")
                          : arguments.end();
    auto const dashes = exec != arguments.end() ? exec : std::find(arguments.begin(), arguments.end(), "--");
    std::vector<std::string> const mine{arguments.begin(), dashes};
    std::vector<std::string> const behind{dashes == arguments.end() ? dashes : dashes + 1, arguments.end()};

    std::string const word = first_word(mine);
    auto const row = std::find_if(verbs().begin(), verbs().end(),
                                  [&](VerbRow const& candidate) { return candidate.name == word; });
    if (!word.empty() && row == verbs().end())
        return no_such_verb(word);
    if (!word.empty() && !row->is_supported())
        return PrintAndExit{"holdfast: holdfast " + word + " is not supported yet\n", ExitStatus::Failed};

    CommandLine line;
    CLI::App app;
    describe(app, line);
    try {
        std::vector<std::string> reversed{mine.rbegin(), mine.rend()};
        if (!word.empty() && row->verb != Verb::Run && exec == arguments.end())
            reversed.insert(reversed.begin(), behind.rbegin(), behind.rend());
        app.parse(reversed);
    } catch (CLI::ParseError const& error) {
        return explain(app, error);
    }
    if (word.empty())
        return PrintAndExit{fitted(app.help()), ExitStatus::Usage};
    line.verb = row->verb;
    if (line.verb == Verb::Run)
        line.run.command = behind;
    if (exec != arguments.end())
        line.command = behind;
    line.run.runtime_folder = line.runtime_folder;
    line.run.quiet = line.quiet;
    if (row->operands == Operands::OneAndCount) {
        line.workers = to_worker_count(line.operands.back());
        if (!line.workers)
            return usage(word + ": `" + line.operands.back() + "` is not a number of workers, 1 to " +
                         std::to_string(most_workers));
        line.operands.pop_back();
    }
    if (row->operands == Operands::ActionAndOne)
        if (auto wrong = take_action(line))
            return *std::move(wrong);
    if (auto wrong = check(line, exec != arguments.end() && behind.empty()))
        return *std::move(wrong);
    return line;
}

} // namespace holdfast::cli
