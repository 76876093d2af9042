// The options that say which machine and which layout a command is about.
#pragma once

#include <optional>
#include <string>

#include <CLI/CLI.hpp>

#include <vellum/layout/address_map.hpp>

#include "commands.hpp"

namespace vellum::tool {

enum class OutputFormat { text, json, markdown };

struct MachineOptions {
  Arch arch = Arch::amd64;
  UserModel model = UserModel::illumos;
  ByteCount memory{std::uint64_t{4} << 30};
  OutputFormat format = OutputFormat::text;
};

// --arch, --memory, --user, --json.
void add_machine_options(CLI::App& command, MachineOptions& options);

// The map that the options describe, its notes told on stderr. Throws CLI::ValidationError where two options contradict
// each other. Without a map: says why on stderr, as JSON also on stdout with the given schema.
[[nodiscard]] std::optional<AddressMap> make_map(const MachineOptions& options, const char* schema);

}  // namespace vellum::tool
