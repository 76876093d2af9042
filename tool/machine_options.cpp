#include "machine_options.hpp"

#include <fmt/core.h>

#include <nlohmann/json.hpp>

#include <vellum/layout/text.hpp>

#include "parse.hpp"
#include "print.hpp"

namespace vellum::tool {

namespace {

// An option whose value is one of a few words.
template <class Value>
void add_choice(CLI::App& command, const char* name, const char* description, Value& target,
                std::initializer_list<Value> choices) {
  std::string list;
  for (const Value value : choices) {
    list += (list.empty() ? "" : "|") + std::string(name_of(value));
  }
  const std::vector<Value> values(choices);
  command
      .add_option_function<std::string>(
          name,
          [&target, values, list, name](const std::string& text) {
            for (const Value value : values) {
              if (text == name_of(value)) {
                target = value;
                return;
              }
            }
            throw CLI::ValidationError(name, fmt::format("'{}' is none of {}", text, list));
          },
          fmt::format("{} [{}]", description, name_of(target)))
      ->type_name(list);
}

}  // namespace

void add_machine_options(CLI::App& command, MachineOptions& options) {
  add_choice(command, "--arch", "The kernel", options.arch, {Arch::amd64, Arch::i386});
  command
      .add_option_function<std::string>(
          "--memory",
          [&options](const std::string& text) {
            const auto size = parse_size(text);
            if (!size.has_value()) {
              throw CLI::ValidationError("--memory", fmt::format("'{}' is no size; write 64M, 4G, 2T or 512MiB", text));
            }
            options.memory = *size;
          },
          "Physical memory; what floats depends on it [4G]")
      ->type_name("SIZE");
  add_choice(command, "--user", "The user half: illumos's, one below 2^47 as on Linux, or a 32-bit program",
             options.model, {UserModel::illumos, UserModel::linux_low, UserModel::program32});
  command.add_flag_callback("--json", [&options] { options.format = OutputFormat::json; }, "Print JSON");
}

std::optional<AddressMap> make_map(const MachineOptions& options, const char* schema) {
  UserInputs user;
  user.model = options.model;
  const auto map = AddressMap::create(KernelInputs::for_memory(options.arch, options.memory), user);
  if (map.has_value()) {
    return *map;
  }
  if (map.error().rule == LayoutRule::model_fits_arch) {
    throw CLI::ValidationError("--user",
                               fmt::format("'{}' is a layout on the 64-bit kernel; with --arch i386 the only one "
                                           "is illumos",
                                           name_of(options.model)));
  }
  const std::string reason = written([&map](TextBuffer& out) { describe(out, map.error()); });
  fmt::print(stderr, "vellum: no layout of {} with {} of memory: {}\n", name_of(options.arch),
             size_text(options.memory), reason);
  if (options.format == OutputFormat::json) {
    const nlohmann::ordered_json document = {{"schema", schema},
                                             {"arch", name_of(options.arch)},
                                             {"memory", options.memory.value()},
                                             {"error",
                                              {{"rule", name_of(map.error().rule)},
                                               {"text", reason},
                                               {"required", map.error().required.value()},
                                               {"available", map.error().available.value()}}}};
    fmt::print("{}\n", document.dump(2));
  }
  return std::nullopt;
}

}  // namespace vellum::tool
