#include "coordinator/cli/command_line.h"

#include <algorithm>
#include <boost/program_options/options_description.hpp>
#include <boost/program_options/parsers.hpp>
#include <set>

#include "proto/core/status.h"
#include "proto/core/strings.h"
#include "proto/core/suggest.h"

namespace muster::cli {
namespace {

namespace po = boost::program_options;

constexpr char kOperand[] = "operand";  // the hidden option that collects operands

constexpr OptionSpec kGlobal[] = {
    {.name = "coordinator", .value = "HOST:PORT", .help = "the coordinator"},
    {.name = "credential", .value = "DIR", .help = "folder with ca.pem, cert.pem and key.pem"},
    {.name = "json", .help = "print JSON on stdout, and errors as JSON on stderr"},
    {.name = "no-color", .help = "no colors, as with NO_COLOR"},
    {.name = "rpc-timeout", .value = "TIME", .help = "longest wait for one answer (30s)"},
    {.name = "help", .letter = 'h', .help = "this manual"},
};

absl::Status Usage(std::string_view problem, std::string_view command) {
  return absl::InvalidArgumentError(
      StrCat(problem, "; see `muster ", command, command.empty() ? "" : " ", "--help`"));
}

// An option's spec by the token that begins it, "--name", "--name=value" or "-c".
const OptionSpec* FindOption(std::span<const OptionSpec> options, std::string_view token) {
  for (const OptionSpec& option : options) {
    if (token.starts_with("--") && token.substr(2, token.find('=') - 2) == option.name) {
      return &option;
    }
    if (option.letter != 0 && token.size() >= 2 && token[0] == '-' && token[1] == option.letter) {
      return &option;
    }
  }
  return nullptr;
}

bool TakesNextToken(const OptionSpec& option, std::string_view token) {
  if (option.value.empty()) return false;
  return token.starts_with("--") ? token.find('=') == std::string_view::npos : token.size() == 2;
}

// Positions of the command's words: the tokens before any that only a command could explain.
std::vector<size_t> LeadingWords(std::span<const std::string> tokens) {
  std::vector<size_t> words;
  for (size_t i = 0; i < tokens.size() && words.size() < 2; ++i) {
    if (!tokens[i].starts_with("-")) {
      words.push_back(i);
      continue;
    }
    const OptionSpec* option = FindOption(kGlobal, tokens[i]);
    if (option == nullptr) break;
    if (TakesNextToken(*option, tokens[i])) ++i;
  }
  return words;
}

struct Found {
  const Command* command = nullptr;
  size_t words = 0;
};

Found FindCommand(std::span<const Command> commands, std::string_view first,
                  std::string_view second) {
  Found found;
  for (const Command& command : commands) {
    if (command.words == first && found.words < 1) found = {&command, 1};
    if (!second.empty() && command.words == StrCat(first, " ", second)) found = {&command, 2};
  }
  return found;
}

absl::Status UnknownCommand(std::span<const Command> commands, const std::string& first,
                            const std::string& second) {
  std::set<std::string_view> firsts, seconds;
  for (const Command& command : commands) {
    const size_t space = command.words.find(' ');
    firsts.insert(command.words.substr(0, space));
    if (space != std::string_view::npos && command.words.substr(0, space) == first) {
      seconds.insert(command.words.substr(space + 1));
    }
  }
  if (seconds.empty()) {
    const std::vector<std::string_view> names(firsts.begin(), firsts.end());
    return Usage(StrCat("unknown command '", first, "'", DidYouMean(first, names)), "");
  }
  const std::vector<std::string_view> names(seconds.begin(), seconds.end());
  if (second.empty()) return Usage(StrCat(first, " needs one of: ", StrJoin(names, ", ")), first);
  return Usage(StrCat("unknown command '", first, " ", second, "'", DidYouMean(second, names),
                      "; there are ", StrJoin(names, ", ")),
               first);
}

// Boost refuses "--name=" although an empty selector is a selector; as two tokens it is fine.
std::vector<std::string> SplitEmptyValues(std::span<const std::string> tokens) {
  std::vector<std::string> split;
  for (const std::string& token : tokens) {
    if (token.size() > 3 && token.starts_with("--") && token.find('=') == token.size() - 1) {
      split.push_back(token.substr(0, token.size() - 1));
      split.emplace_back();
    } else {
      split.push_back(token);
    }
  }
  return split;
}

po::options_description Describe(std::span<const OptionSpec> options) {
  po::options_description described;
  for (const OptionSpec& option : options) {
    std::string name(option.name);
    if (option.letter != 0) name += {',', option.letter};
    if (option.value.empty()) {
      described.add_options()(name.c_str(), "");
    } else {
      described.add_options()(name.c_str(), po::value<std::string>(), "");
    }
  }
  described.add_options()(kOperand, po::value<std::vector<std::string>>(), "");
  return described;
}

absl::StatusOr<Arguments> ParseOptions(std::span<const std::string> tokens,
                                       std::span<const OptionSpec> options,
                                       std::string_view command) {
  using namespace po::command_line_style;
  // No guessing: an abbreviation that works today would be another option's tomorrow.
  constexpr int kStyle = unix_style & ~allow_guessing;
  Arguments arguments;
  try {
    const po::options_description described = Describe(options);
    po::positional_options_description positional;
    positional.add(kOperand, -1);
    const auto parsed = po::command_line_parser(SplitEmptyValues(tokens))
                            .options(described)
                            .positional(positional)
                            .style(kStyle)
                            .run();
    for (const auto& option : parsed.options) {
      auto& values =
          option.string_key == kOperand ? arguments.operands : arguments.options[option.string_key];
      values.insert(values.end(), option.value.begin(), option.value.end());
    }
  } catch (const po::unknown_option& error) {
    const std::string& given = error.get_option_name();
    std::vector<std::string_view> names;
    for (const OptionSpec& option : options) names.push_back(option.name);
    const std::string bare = given.substr(std::min(given.size(), given.find_first_not_of('-')));
    return Usage(StrCat("unknown option '", given, "'", DidYouMean(bare, names)), command);
  } catch (const po::error& error) {
    return Usage(error.what(), command);
  }
  return arguments;
}

absl::Status CheckOperands(const Command& command, const Arguments& arguments) {
  const size_t count = arguments.operands.size();
  if (count < command.operands_min) {
    return Usage(StrCat(command.words, " needs ", command.operands), command.words);
  }
  if (count <= command.operands_max) return absl::OkStatus();
  return Usage(
      StrCat(command.words, " cannot use '", arguments.operands[command.operands_max], "'"),
      command.words);
}

}  // namespace

std::span<const OptionSpec> GlobalOptions() { return kGlobal; }

std::string Arguments::Get(std::string_view name, std::string_view otherwise) const {
  const auto found = options.find(name);
  return found == options.end() || found->second.empty() ? std::string(otherwise)
                                                         : found->second.back();
}

std::vector<std::string> Arguments::All(std::string_view name) const {
  const auto found = options.find(name);
  return found == options.end() ? std::vector<std::string>() : found->second;
}

absl::StatusOr<CommandLine> ParseCommandLine(std::span<const std::string> tokens,
                                             std::span<const Command> commands) {
  CommandLine line;
  const std::vector<size_t> words = LeadingWords(tokens);
  const std::string first = words.empty() ? "" : tokens[words[0]];
  const std::string second = words.size() < 2 ? "" : tokens[words[1]];
  const Found found = FindCommand(commands, first, second);
  std::vector<std::string> rest;
  const size_t used = found.command != nullptr ? found.words : (first.empty() ? 0 : 1);
  for (size_t i = 0; i < tokens.size(); ++i) {
    const auto end = words.begin() + static_cast<ptrdiff_t>(std::min(used, words.size()));
    if (std::find(words.begin(), end, i) == end) rest.push_back(tokens[i]);
  }
  std::vector<OptionSpec> options(std::begin(kGlobal), std::end(kGlobal));
  if (found.command != nullptr) {
    options.insert(options.begin(), found.command->options.begin(), found.command->options.end());
    line.command = found.command;
    MUSTER_ASSIGN_OR_RETURN(line.arguments, ParseOptions(rest, options, found.command->words));
    if (line.arguments.Has("help")) return line;
    MUSTER_RETURN_IF_ERROR(CheckOperands(*found.command, line.arguments));
    return line;
  }
  line.group = first;
  const bool asks_help = std::find(rest.begin(), rest.end(), "--help") != rest.end() ||
                         std::find(rest.begin(), rest.end(), "-h") != rest.end();
  const bool is_group = std::any_of(commands.begin(), commands.end(), [&](const Command& c) {
    return c.words.starts_with(StrCat(first, " "));
  });
  if (!first.empty() && !(asks_help && is_group && second.empty())) {
    return UnknownCommand(commands, first, second);
  }
  MUSTER_ASSIGN_OR_RETURN(line.arguments, ParseOptions(rest, options, first));
  return line;
}

}  // namespace muster::cli
