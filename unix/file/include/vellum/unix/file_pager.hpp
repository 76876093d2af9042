// Pagers of this system's file objects: each can say what it is that it fills, for /proc/PID/maps and fault reports.
#pragma once

#include <string_view>

#include <vellum/object/object.hpp>
#include <vellum/unix/file_types.hpp>
#include <vellum/unix/format.hpp>

namespace vellum::unix {

struct ObjectName {
  DeviceNumber device;
  std::uint64_t inode = 0;
  std::string_view path;  // lies in the caller's bytes; empty where they were too few
};

// Every MemoryObject of the kernel that has a pager has one of these.
class FilePager : public Pager {
 public:
  // Says what the object is; the path is written into `into`, " (deleted)" included.
  [[nodiscard]] virtual ObjectName describe(std::span<char> into) = 0;
  // Whether what a clean page holds can be read again.
  [[nodiscard]] virtual bool keeps_what_is_clean() const { return false; }

 protected:
  ~FilePager() = default;
};

// What a mapping of the object shows; shared anonymous memory too.
[[nodiscard]] ObjectName describe_object(const MemoryObject<Format>& object, std::span<char> into);

}  // namespace vellum::unix
