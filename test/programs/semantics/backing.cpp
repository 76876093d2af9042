#include "backing.hpp"

namespace guest {

Source::Source(const Backing& backing) : backing_(backing) {
  if (backing.kind == Backing::Kind::zero_device) {
    file_ = static_cast<int>(MUST(open("/dev/zero", O_RDWR)));
  } else if (backing.kind == Backing::Kind::file) {
    folder_ = std::make_unique<Folder>();
    std::string text;
    for (std::size_t page = 0; page < kPages; page++) {
      text.append(kPage, initial(page));
    }
    file_ = folder_->file("backing", text);
  }
}

void* Source::try_map(std::size_t pages, int prot, int more_flags, void* at, std::size_t first_page) const {
  const int flags = (backing_.shared ? MAP_SHARED : MAP_PRIVATE) | more_flags |
                    (backing_.kind == Backing::Kind::anonymous ? MAP_ANONYMOUS : 0);
  return mmap(at, pages * kPage, prot, flags, file_, static_cast<off_t>(first_page * kPage));
}

char* Source::map(std::size_t pages, int prot, int more_flags, void* at, std::size_t first_page) const {
  void* result = try_map(pages, prot, more_flags, at, first_page);
  if (result == MAP_FAILED) {
    fail(__FILE__, __LINE__, std::string("mmap: ") + std::strerror(errno));
  }
  return static_cast<char*>(result);
}

char Source::in_file(std::size_t page) const {
  char value = 0;
  EXPECT_EQ(pread(file_, &value, 1, static_cast<off_t>(page * kPage)), 1);
  return value;
}

void for_each_backing(const char* group, const std::string& what, void (*body)(const Source&)) {
  for (const Backing& backing : kBackings) {
    add_case(group, std::string(backing.name) + ": " + what, [&backing, body] { body(Source(backing)); });
  }
}

}  // namespace guest
