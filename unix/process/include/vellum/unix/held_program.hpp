// Looking at another process: what keeps its program from going away meanwhile.
#pragma once

#include <vellum/unix/process_system.hpp>

namespace vellum::unix {

// A program that stays as long as this lives; nothing where the process runs none. Made under process_lock, and ended
// without it.
class HeldProgram {
 public:
  explicit HeldProgram(Program* program) : program_(program) {
    if (program_ != nullptr) {
      ProcessSystem::retain(*program_);
    }
  }
  ~HeldProgram() {
    if (program_ != nullptr) {
      process_system().release(*program_);
    }
  }
  HeldProgram(const HeldProgram&) = delete;
  HeldProgram& operator=(const HeldProgram&) = delete;

  [[nodiscard]] Program* get() const { return program_; }

 private:
  Program* const program_;
};

}  // namespace vellum::unix
