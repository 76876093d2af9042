// Archives of the format cpio newc, made for tests.
#pragma once

#include <cstdio>
#include <string>
#include <string_view>

namespace vellum::test {

struct Member {
  std::string name;
  unsigned mode = 0100644;
  std::string data{};
  unsigned inode = 0;
  unsigned links = 1;
  unsigned major = 0;  // of a device
  unsigned minor = 0;
  unsigned time = 1000;
  unsigned owner = 0;
  unsigned group = 0;
};

class Archive {
 public:
  Archive& add(const Member& member) {
    char header[128];
    std::snprintf(header, sizeof header, "070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X", member.inode,
                  member.mode, member.owner, member.group, member.links, member.time,
                  static_cast<unsigned>(member.data.size()), 0U, 0U, member.major, member.minor,
                  static_cast<unsigned>(member.name.size() + 1), 0U);
    bytes_ += header;
    bytes_ += member.name;
    bytes_ += '\0';
    align();
    bytes_ += member.data;
    align();
    return *this;
  }
  Archive& end() {
    add({.name = "TRAILER!!!", .mode = 0});
    while (bytes_.size() % 512 != 0) {
      bytes_ += '\0';
    }
    return *this;
  }
  [[nodiscard]] std::string& bytes() { return bytes_; }

 private:
  void align() {
    while (bytes_.size() % 4 != 0) {
      bytes_ += '\0';
    }
  }
  std::string bytes_;
};

}  // namespace vellum::test
