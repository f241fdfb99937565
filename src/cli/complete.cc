// SPDX-License-Identifier: Apache-2.0
#include "cli/complete.h"

#include "base/folders.h"
#include "base/text.h"
#include "cli/answer.h"
#include "cli/screen.h"
#include "cli/session.h"
#include "unit/load.h"
#include "unit/settings.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <map>

namespace holdfast::cli {

namespace {

constexpr Duration patience = std::chrono::milliseconds{500};
constexpr std::size_t longest_about = 60;

VerbRow const* find_verb(std::string_view name) {
    for (auto const& row : verbs())
        if (row.name == name && row.is_supported())
            return &row;
    return nullptr;
}

/// "service.workers": those of units that are supported.
std::vector<Candidate> all_keys() {
    std::vector<Candidate> keys;
    for (auto const& [section, name] : enum_table(Section{}))
        for (auto const& row : settings_of(section))
            if (row.is_supported() && file_of(section) == SettingsFile::Unit)
                keys.push_back({std::string{name} + "." + std::string{row.key}, std::string{row.doc}});
    return keys;
}

/// A command line that is being typed.
class Typing {
public:
    Typing(std::vector<std::string> const& words, NameSources const& sources)
        : words_{words}, sources_{sources}, current_{words.empty() ? std::string{} : words.back()} {
        options_ = options_of(nullptr);
    }

    std::vector<Candidate> next() {
        for (at_ = 0; at_ + 1 < words_.size(); ++at_)
            if (!take(words_[at_]))
                return std::move(found_);
        offer_next();
        return std::move(found_);
    }

private:
    /// A word before the one at the cursor. False: it says what that one is.
    bool take(std::string const& word) {
        bool const is_end = verb_ != nullptr && ((verb_->verb == Verb::Run && word == "--") ||
                                                 (verb_->verb == Verb::Pause && word == "--exec"));
        if (is_end) {
            found_.push_back({std::string{at_ + 2 == words_.size() ? any_program : any_file}, {}});
            return false;
        }
        if (word.size() > 1 && word.front() == '-')
            return take_option(word);
        if (verb_ != nullptr) {
            operands_.push_back(word);
            return true;
        }
        verb_ = find_verb(word);
        if (verb_ == nullptr)
            return false;
        for (auto& option : options_of(verb_))
            options_.push_back(std::move(option));
        return true;
    }

    bool take_option(std::string const& word) {
        auto const equals = word.find('=');
        auto const* const option = find_option(word.substr(0, equals));
        if (option == nullptr || !option->takes_value) {
            line_.user = line_.user || word == "--user";
            line_.system = line_.system || word == "--system";
            return true;
        }
        if (equals == std::string::npos && at_ + 2 == words_.size()) {
            offer_values(*option, {}, current_);
            return false;
        }
        auto const value = equals == std::string::npos ? words_[++at_] : word.substr(equals + 1);
        if (option->names.back() == "--runtime-dir")
            line_.runtime_folder = value;
        if (option->names.back() == "--unit-dir")
            line_.unit_folders.push_back(value);
        return true;
    }

    OptionShape const* find_option(std::string_view name) const {
        for (auto const& option : options_)
            if (std::find(option.names.begin(), option.names.end(), name) != option.names.end())
                return &option;
        return nullptr;
    }

    void offer_next() {
        if (auto const equals = current_.find('=');
            current_.starts_with("--") && equals != std::string::npos) {
            if (auto const* const option = find_option(current_.substr(0, equals));
                option && option->takes_value)
                offer_values(*option, current_.substr(0, equals + 1), current_.substr(equals + 1));
        } else if (current_.starts_with('-')) {
            offer_options();
        } else if (verb_ != nullptr) {
            offer_operands();
        } else {
            for (auto const& row : verbs())
                if (row.is_supported())
                    offer(std::string{row.name}, std::string{row.summary});
        }
    }

    void offer_options() {
        for (auto const& option : options_)
            for (auto const& name : option.names)
                offer(name, option.summary);
        if (verb_ != nullptr && verb_->verb == Verb::Run)
            offer("--", "The program and its arguments follow");
    }

    void offer_values(OptionShape const& option, std::string const& before, std::string_view begun) {
        if (option.value == "DIR")
            found_.push_back({std::string{any_folder}, {}});
        else if (option.value == "FILE" || option.value == "PATH")
            found_.push_back({std::string{any_file}, {}});
        for (auto const& word : option.words)
            if (word.starts_with(begun))
                found_.push_back({before + word, {}});
        line_.operands = operands_;
        for (auto& name : option.value == "KEY"      ? all_keys()
                          : option.value == "SOCKET" ? sources_.sockets_of_daemon(line_)
                                                     : std::vector<Candidate>{})
            if (name.word.starts_with(begun))
                found_.push_back({before + name.word, std::move(name.about)});
    }

    void offer_operands() {
        auto const count = operands_.size();
        switch (verb_->operands) {
        case Operands::None:
            return verb_->verb == Verb::Run ? offer_options() : void();
        case Operands::One:
        case Operands::MaybeOne:
        case Operands::OneAndCount:
            return count == 0 ? offer_units() : void();
        case Operands::ActionAndOne:
            if (count == 0)
                for (auto const& row : enum_table(RolloutAction{}))
                    offer(std::string{row.name}, {});
            return count == 1 ? offer_units() : void();
        case Operands::Some:
        case Operands::Any:
            return offer_units();
        }
    }

    void offer_units() {
        bool const is_of_files = verb_->verb == Verb::Verify;
        for (auto& unit : is_of_files ? sources_.units_in_folders(line_) : sources_.units_of_daemon(line_))
            if (std::find(operands_.begin(), operands_.end(), unit.word) == operands_.end())
                offer(std::move(unit.word), std::move(unit.about));
        if (is_of_files)
            found_.push_back({std::string{any_file}, {}});
    }

    void offer(std::string word, std::string about) {
        if (word.starts_with(current_))
            found_.push_back({std::move(word), std::move(about)});
    }

    std::vector<std::string> const& words_;
    NameSources const& sources_;
    std::string current_;
    std::size_t at_ = 0;
    VerbRow const* verb_ = nullptr;
    std::vector<OptionShape> options_; ///< that may stand here
    std::vector<std::string> operands_;
    CommandLine line_; ///< which daemon, which folders
    std::vector<Candidate> found_;
};

/// The parameters of the answer; an empty object where there is none.
nlohmann::json ask(CommandLine const& line, std::string_view method) {
    auto const path = socket_path(line);
    if (!path)
        return nlohmann::json::object();
    auto client = ControlClient::connect_to(*path, patience);
    if (!client)
        return nlohmann::json::object();
    auto answer = client->call(method, nlohmann::json::object(), patience);
    return answer && answer->error.empty() ? std::move(answer->parameters) : nlohmann::json::object();
}

std::vector<Candidate> ask_for_sockets(CommandLine const& line) {
    auto const answer = ask(line, "Sockets");
    std::map<std::string, std::string> found; // once for all shards and addresses
    for (auto const& socket : list_of(answer, "sockets"))
        if (line.operands.empty() || text_of(socket, "unit") == line.operands.front())
            found.emplace(text_of(socket, "name"),
                          text_of(socket, "unit") + ": " + text_of(socket, "address"));
    std::vector<Candidate> sockets;
    for (auto& [name, about] : found)
        sockets.push_back({name, std::move(about)});
    return sockets;
}

std::vector<Candidate> ask_for_units(CommandLine const& line) {
    auto const answer = ask(line, "List");
    std::vector<Candidate> units;
    for (auto const& unit : list_of(answer, "units")) {
        auto const description = text_of(unit, "description");
        units.push_back({text_of(unit, "name"),
                         text_of(unit, "state") + (description.empty() ? "" : ": " + description)});
    }
    return units;
}

/// By their names alone: nobody waits here for ten thousand files to be read.
std::vector<Candidate> find_units(CommandLine const& line) {
    auto const mode = line.user ? RunMode::User : line.system ? RunMode::System : default_mode();
    auto const folders = !line.unit_folders.empty() ? line.unit_folders
                         : mode == RunMode::System  ? system_unit_folders()
                                                    : user_unit_folders();
    std::map<std::string, std::string> found; // the first folder that has it wins
    for (auto const& folder : folders) {
        std::error_code ignored;
        for (std::filesystem::directory_iterator entry{folder, ignored}, end; entry != end;
             entry.increment(ignored)) {
            auto const& file = entry->path();
            if (file.extension() == ".toml" && is_unit_name(file.stem().string()))
                found.emplace(file.stem().string(), file.string());
        }
    }
    std::vector<Candidate> units;
    for (auto& [name, path] : found)
        units.push_back({name, std::move(path)});
    return units;
}

} // namespace

std::vector<Candidate> complete(std::vector<std::string> const& words, NameSources const& sources) {
    return Typing{words, sources}.next();
}

void print_completions(std::vector<std::string> const& words) {
    for (auto const& candidate : complete(words, {ask_for_units, find_units, ask_for_sockets})) {
        auto const about = cut_to(harmless(candidate.about), longest_about);
        std::printf("%s%s%s\n", candidate.word.c_str(), about.empty() ? "" : "\t", about.c_str());
    }
}

} // namespace holdfast::cli
