#include "inspect/select.hpp"

#include <fmt/core.h>

#include <vellum/layout/text.hpp>

#include "parse.hpp"
#include "print.hpp"

namespace vellum::tool {

void add_run_option(CLI::App& command, RunSelection& selection) {
  command.add_option("--run", selection.run, "Which run: its number or its --name [the only one]")->type_name("RUN");
}

void add_process_option(CLI::App& command, RunSelection& selection) {
  command
      .add_option("--process", selection.process,
                  "Which process of the run [the program that it was started with]; 0 is the kernel")
      ->type_name("PID")
      ->check(CLI::Range(0, 1 << 22));
}

void add_address_option(CLI::App& command, std::vector<VirtAddr>& addresses) {
  command
      .add_option_function<std::vector<std::string>>(
          "ADDRESS",
          [&addresses](const std::vector<std::string>& texts) {
            for (const std::string& text : texts) {
              const auto parsed = parse_address(text);
              if (!parsed.has_value()) {
                throw CLI::ValidationError(
                    "ADDRESS",
                    fmt::format("'{}' is no address; write 0x2a, FFFFFFFF.FBC00000 or FFFFFFFF_FBC00000", text));
              }
              addresses.push_back(*parsed);
            }
          },
          "The address, hexadecimal; or several")
      ->type_name("")
      ->required();
}

ExitStatus complain(const std::string& reason) {
  fmt::print(stderr, "vellum: {}\n", reason);
  return ExitStatus::no_answer;
}

std::optional<Json> ask_run(const RunSelection& selection, const Json& question) {
  auto answers = ask_run_all(selection, std::vector<Json>{question});
  return answers.has_value() ? std::optional(std::move(answers->front())) : std::nullopt;
}

std::optional<std::vector<Json>> ask_run_all(const RunSelection& selection, const std::vector<Json>& questions) {
  auto run = RunClient::find(selection.run);
  if (!run.has_value()) {
    complain(run.error());
    return std::nullopt;
  }
  std::vector<Json> answers;
  for (auto& answer : run->ask_all(questions)) {
    if (!answer.has_value()) {
      complain(answer.error());
      return std::nullopt;
    }
    answers.push_back(std::move(*answer));
  }
  return answers;
}

std::vector<Json> walk_questions(const RunSelection& selection, const std::vector<VirtAddr>& addresses) {
  std::vector<Json> questions;
  for (const VirtAddr address : addresses) {
    questions.push_back(selection.question("walk"));
    questions.back()["address"] = hex_text(address.value());
  }
  return questions;
}

std::optional<AddressMap> map_of(const Json& answer) {
  const Json machine = answer.value("machine", Json::object());
  KernelInputs inputs;
  inputs.physical_top = ByteCount(machine.value("physical_top", std::uint64_t{0}));
  inputs.usable_pages = PageCount(machine.value("usable_pages", std::uint64_t{0}));
  inputs.tables_size = ByteCount(machine.value("tables_size", std::uint64_t{0}));
  UserInputs user;
  user.model =
      machine.value("user", std::string()) == name_of(UserModel::linux_low) ? UserModel::linux_low : UserModel::illumos;
  const auto map = AddressMap::create(inputs, user);
  if (!map.has_value()) {
    complain("the kernel's layout cannot be computed: " +
             written([&map](TextBuffer& out) { describe(out, map.error()); }));
    return std::nullopt;
  }
  return *map;
}

}  // namespace vellum::tool
