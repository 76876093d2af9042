// The operations that a fuzzer has done, to be printed when something is wrong.
#pragma once

#include <cstdarg>
#include <cstdlib>
#include <optional>
#include <set>
#include <vector>

#include "operation.hpp"

namespace vellum::test {

class ProgramRecord {
 public:
  [[nodiscard]] static ProgramRecord& of_process() {
    static ProgramRecord record;
    return record;
  }

  void begin(const char* format, unsigned options) {
    operations_.clear();
    format_ = format;
    options_ = options;
    count_ = 0;
  }
  // False where the operation is to be left out.
  [[nodiscard]] bool add(const Operation& op) {
    const std::uint64_t number = count_++;
    if (only && !only->contains(number)) {
      return false;
    }
    operations_.emplace_back(number, op);
    if (print_each) {
      print_one(operations_.back());
    }
    return true;
  }
  void print() const {
    std::fprintf(stderr, "program, format %s, options 0x%x:\n", format_, options_);
    for (const auto& operation : operations_) {
      print_one(operation);
    }
  }

  bool print_each = false;
  std::optional<std::set<std::uint64_t>> only;

 private:
  using Numbered = std::pair<std::uint64_t, Operation>;
  static void print_one(const Numbered& operation) {
    std::fprintf(stderr, "/* %llu */ ", static_cast<unsigned long long>(operation.first));
    operation.second.print(stderr);
  }

  std::vector<Numbered> operations_;
  const char* format_ = "";
  unsigned options_ = 0;
  std::uint64_t count_ = 0;
};

// Says what is different, and ends the process.
[[noreturn, gnu::format(printf, 1, 2)]] inline void differ(const char* format, ...) {
  std::fprintf(stderr, "difference: ");
  std::va_list arguments;
  va_start(arguments, format);
  std::vfprintf(stderr, format, arguments);
  va_end(arguments);
  std::fprintf(stderr, "\n");
  std::abort();
}

}  // namespace vellum::test
