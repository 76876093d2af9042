// The last lines of the kernel's serial console, and of what QEMU says itself.
#pragma once

#include <deque>
#include <functional>
#include <string>
#include <string_view>

namespace vellum::tool {

class KernelLog {
 public:
  // Called with each whole line.
  using Listener = std::function<void(const std::string&)>;

  explicit KernelLog(Listener listener) : listener_(std::move(listener)) {}

  void append(std::string_view bytes);
  // Takes what came without an end of line as a line.
  void flush();
  // The kernel said that it panics, or KVM that it cannot go on.
  [[nodiscard]] bool has_panic() const { return has_panic_; }
  [[nodiscard]] const std::deque<std::string>& lines() const { return lines_; }

 private:
  void add(std::string line);

  Listener listener_;
  std::deque<std::string> lines_;
  std::string unfinished_;
  bool has_panic_ = false;
};

}  // namespace vellum::tool
