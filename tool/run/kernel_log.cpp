#include "run/kernel_log.hpp"

#include <utility>

namespace vellum::tool {

namespace {

constexpr std::size_t kMostLines = 400;
constexpr std::size_t kLongestLine = 4096;
constexpr const char* kPanic = "panic";

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
  has_panic_ = has_panic_ || line.starts_with(kPanic);
  listener_(line);
  lines_.push_back(std::move(line));
  if (lines_.size() > kMostLines) {
    lines_.pop_front();
  }
}

}  // namespace vellum::tool
