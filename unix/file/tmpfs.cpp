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

// A size as Linux's memparse takes it: decimal, octal or hexadecimal, with a letter for 1024, its square and so on.
std::optional<std::uint64_t> size_of(std::string_view text, PageCount memory) {
  constexpr std::string_view kLetters = "kmgtpe";
  unsigned base = 10;
  if (text.starts_with("0x") || text.starts_with("0X")) {
    base = 16;
    text.remove_prefix(2);
  } else if (text.starts_with('0')) {
    base = 8;
  }
  std::uint64_t value = 0;
  std::size_t digits = 0;
  for (; digits < text.size(); ++digits) {
    const auto letter = static_cast<unsigned>(text[digits] | 0x20);
    const unsigned digit = letter >= 'a' ? letter - 'a' + 10 : static_cast<unsigned>(text[digits] - '0');
    if (digit >= base) {
      break;
    }
    value = value * base + digit;
  }
  const std::string_view rest = text.substr(digits);
  if (rest.empty()) {
    return value;
  }
  const std::size_t power = kLetters.find(static_cast<char>(rest.front() | 0x20));
  if (rest.size() != 1 || digits == 0 || (power == std::string_view::npos && rest != "%")) {
    return std::nullopt;
  }
  return rest == "%" ? bytes_of(memory).value() / 100 * value : value << (10 * (power + 1));
}

struct Options {
  PageCount memory;
  PageCount most_pages;
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
  if (name == "size" || name == "nr_blocks" || name == "nr_inodes") {
    const std::optional<std::uint64_t> size = size_of(value, options.memory);
    if (!size || (name != "size" && value.ends_with('%'))) {
      return Errno::invalid;
    }
    if (name != "nr_inodes") {  // files are as many as memory holds
      options.most_pages = name == "size" ? pages_for(ByteCount(*size)) : PageCount(*size);
    }
    return {};
  }
  return name.empty() || name == "huge" ? Result<void>() : Result<void>(Errno::invalid);
}

}  // namespace

Result<Ref<FileSystem>> create_tmpfs(Files& files, std::string_view type, std::string_view options) {
  const PageCount memory = files.virtual_memory().memory.total_count();
  Options chosen = {.memory = memory, .most_pages = PageCount(memory.value() / 2), .owner = {}};
  while (!options.empty()) {
    const std::size_t comma = std::min(options.find(','), options.size());
    VELLUM_TRY(take_option(options.substr(0, comma), chosen));
    options.remove_prefix(std::min(comma + 1, options.size()));
  }
  const std::uint64_t magic = type == "tmpfs" ? kTmpfsMagic : kRamfsMagic;
  const RamFileSystem::Kind kind = {.type = type,
                                    .magic = magic,
                                    .permissions = chosen.permissions,
                                    .most_pages = type == "tmpfs" ? chosen.most_pages : PageCount(0)};
  Ref<RamFileSystem> system = VELLUM_TRY(RamFileSystem::create(files, kind, nullptr));
  VELLUM_TRY(system->root()->node().change(chosen.owner));
  return Ref<FileSystem>(std::move(system));
}

}  // namespace vellum::unix
