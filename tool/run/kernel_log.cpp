#include "run/kernel_log.hpp"

#include <algorithm>
#include <utility>

namespace vellum::tool {

namespace {

constexpr std::size_t kMostLines = 400;
constexpr std::size_t kLongestLine = 4096;
// How the kernel says that it panics, and QEMU that KVM gave up and left the machine standing.
constexpr const char* kFailures[] = {"panic", "KVM internal error"};

}  // namespace

void KernelLog::append(std::string_view bytes) {
  for (const char c : bytes) {
    if (c == '\n' || unfinished_.size() == kLongestLine) {
      flush();
    }
    if (c != '\n' && c != '\r') {
      unfinished_ += c;
    }
  }
}

void KernelLog::flush() {
  if (!unfinished_.empty()) {
    add(std::exchange(unfinished_, {}));
  }
}

void KernelLog::add(std::string line) {
  has_panic_ =
      has_panic_ || std::ranges::any_of(kFailures, [&line](const char* text) { return line.starts_with(text); });
  listener_(line);
  lines_.push_back(std::move(line));
  if (lines_.size() > kMostLines) {
    lines_.pop_front();
  }
}

}  // namespace vellum::tool
