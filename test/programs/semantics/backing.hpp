// What a mapping can be backed with, to run one case for each.
#pragma once

#include <memory>
#include <string>

#include "../support/memory.hpp"
#include "../support/process.hpp"

namespace guest {

struct Backing {
  const char* name;
  bool shared;
  enum class Kind { anonymous, file, zero_device } kind;
};

inline constexpr Backing kBackings[] = {
    {"anonymous private", false, Backing::Kind::anonymous},
    {"anonymous shared", true, Backing::Kind::anonymous},
    {"file private", false, Backing::Kind::file},
    {"file shared", true, Backing::Kind::file},
    {"/dev/zero private", false, Backing::Kind::zero_device},
};

// A source of mappings of one backing. A file's page n holds the letter 'a' + n; the others hold zeros.
class Source {
 public:
  static constexpr std::size_t kPages = 8;

  explicit Source(const Backing& backing);

  [[nodiscard]] char* map(std::size_t pages = kPages, int prot = kReadWrite, int more_flags = 0, void* at = nullptr,
                          std::size_t first_page = 0) const;
  [[nodiscard]] void* try_map(std::size_t pages, int prot, int more_flags, void* at, std::size_t first_page = 0) const;
  [[nodiscard]] char initial(std::size_t page) const {
    return backing_.kind == Backing::Kind::file ? static_cast<char>('a' + page) : '\0';
  }
  [[nodiscard]] const Backing& backing() const { return backing_; }
  [[nodiscard]] int file() const { return file_; }  // -1 for anonymous
  // The byte at the start of the file's page, read by a system call.
  [[nodiscard]] char in_file(std::size_t page) const;

 private:
  Backing backing_;
  std::unique_ptr<Folder> folder_;
  int file_ = -1;
};

// Registers `body` once for each backing.
void for_each_backing(const char* group, const std::string& what, void (*body)(const Source&));

}  // namespace guest
