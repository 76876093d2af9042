// Paths and descriptors as system calls get them.
#pragma once

#include <vellum/unix/file_caller.hpp>
#include <vellum/unix/process_system.hpp>
#include <vellum/unix/resolve.hpp>
#include <vellum/unix/scratch.hpp>
#include <vellum/unix/user_memory.hpp>

namespace vellum::unix {

inline constexpr std::int32_t kCurrentDirectory = -100;  // AT_FDCWD

namespace at_flag {
inline constexpr std::uint64_t kNoFollow = 0x100;         // AT_SYMLINK_NOFOLLOW
inline constexpr std::uint64_t kRemoveDirectory = 0x200;  // AT_REMOVEDIR
inline constexpr std::uint64_t kEffective = 0x200;        // AT_EACCESS
inline constexpr std::uint64_t kFollow = 0x400;           // AT_SYMLINK_FOLLOW
inline constexpr std::uint64_t kNoAutomount = 0x800;
inline constexpr std::uint64_t kEmptyPath = 0x1000;
inline constexpr std::uint64_t kSyncMask = 0x6000;
}  // namespace at_flag

[[nodiscard]] inline Files& all_files() { return process_system().files; }

// A text that a program passes, copied.
class UserText {
 public:
  UserText() : scratch_(all_files().memory()) {}
  // Errors: bad_address, name_too_long, no_memory.
  [[nodiscard]] Result<void> read(VirtAddr from) {
    VELLUM_TRY(scratch_.allocate(ByteCount(kLongestPath)));
    length_ = VELLUM_TRY(copy_in_string(scratch_.characters(), from));
    return {};
  }
  [[nodiscard]] std::string_view view() const { return {scratch_.characters().data(), length_}; }

 private:
  Scratch scratch_;
  std::size_t length_ = 0;
};

// A descriptor's file; O_PATH's too. Error: bad_descriptor.
[[nodiscard]] inline Result<Ref<OpenFile>> any_file(std::int32_t descriptor) {
  return calling_files().table->get(descriptor);
}
// A descriptor's file that can be used for more than its place. Error: bad_descriptor.
[[nodiscard]] inline Result<Ref<OpenFile>> usable_file(std::int32_t descriptor) {
  Ref<OpenFile> file = VELLUM_TRY(any_file(descriptor));
  if (file->is_path_only()) {
    return Errno::bad_descriptor;
  }
  return file;
}

// Where a path is resolved from: a directory's descriptor matters for relative paths only. Errors: bad_descriptor,
// not_directory.
[[nodiscard]] Result<Resolution> resolution_from(std::int32_t directory, std::string_view path);
// What a path leads to; with kEmptyPath among the flags an empty one is the directory's file itself.
[[nodiscard]] Result<Path> place_at(std::int32_t directory, VirtAddr path, std::uint64_t flags);
// A new descriptor. Errors: too_many_files, no_memory.
[[nodiscard]] Result<std::uint64_t> give_descriptor(Ref<OpenFile> file, bool close_on_exec);

}  // namespace vellum::unix
