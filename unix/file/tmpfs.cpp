// tmpfs and ramfs: RAM file systems that mount(2) makes.
#include <vellum/unix/file_caller.hpp>

#include "ram_node.hpp"

namespace vellum::unix {

namespace {

constexpr std::uint64_t kTmpfsMagic = 0x01021994;
constexpr std::uint64_t kRamfsMagic = 0x858458f6;

std::optional<std::uint32_t> number_of(std::string_view text, unsigned base) {
  std::uint64_t value = 0;
  for (const char character : text) {
    const auto digit = static_cast<unsigned>(character - '0');
    if (digit >= base) {
      return std::nullopt;
    }
    value = value * base + digit;
    if (value > 0xffff'ffff) {
      return std::nullopt;
    }
  }
  return text.empty() ? std::nullopt : std::optional(static_cast<std::uint32_t>(value));
}

struct Options {
  std::uint16_t permissions = 01777;
  AttributeChange owner;
};

// Error: invalid.
Result<void> take_option(std::string_view option, Options& options) {
  const std::size_t equals = std::min(option.find('='), option.size());
  const std::string_view name = option.substr(0, equals);
  const std::string_view value = option.substr(std::min(equals + 1, option.size()));
  if (name == "mode") {
    options.permissions = static_cast<std::uint16_t>(number_of(value, 8).value_or(kPermissionMask + 1U));
    return options.permissions <= kPermissionMask ? Result<void>() : Result<void>(Errno::invalid);
  }
  if (name == "uid" || name == "gid") {
    const std::optional<std::uint32_t> id = number_of(value, 10);
    if (!id) {
      return Errno::invalid;
    }
    if (name == "uid") {
      options.owner.owner = UserId(*id);
    } else {
      options.owner.group = GroupId(*id);
    }
    return {};
  }
  // All of memory is the limit.
  const bool is_limit = name == "size" || name == "nr_inodes" || name == "nr_blocks" || name == "huge";
  return name.empty() || is_limit ? Result<void>() : Result<void>(Errno::invalid);
}

}  // namespace

Result<Ref<FileSystem>> create_tmpfs(Files& files, std::string_view type, std::string_view options) {
  Options chosen;
  while (!options.empty()) {
    const std::size_t comma = std::min(options.find(','), options.size());
    VELLUM_TRY(take_option(options.substr(0, comma), chosen));
    options.remove_prefix(std::min(comma + 1, options.size()));
  }
  const std::uint64_t magic = type == "tmpfs" ? kTmpfsMagic : kRamfsMagic;
  Ref<RamFileSystem> system = VELLUM_TRY(
      RamFileSystem::create(files, {.type = type, .magic = magic, .permissions = chosen.permissions}, nullptr));
  VELLUM_TRY(system->root()->node().change(chosen.owner));
  return Ref<FileSystem>(std::move(system));
}

}  // namespace vellum::unix
