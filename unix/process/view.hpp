// Looking at another process: what keeps it from going away meanwhile.
#pragma once

#include <vellum/unix/process_system.hpp>
#include <vellum/unix/text_sink.hpp>

namespace vellum::unix {

// A program that stays as long as this lives; nothing where the process runs none.
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

// By the id of one of its threads, or its own. Null where there is none.
[[nodiscard]] Process* process_by_any_id(ProcessId id) VELLUM_REQUIRES(process_lock);

// Sizes of a program's memory, in pages.
struct MemoryFigures {
  std::uint64_t mapped = 0;
  std::uint64_t resident = 0;
  std::uint64_t tables = 0;
  std::uint64_t locked = 0;
  std::uint64_t peak_resident = 0;
  std::uint64_t data = 0;  // private and writable, stacks not included
  std::uint64_t stack = 0;
  std::uint64_t code = 0;       // of the program
  std::uint64_t libraries = 0;  // other executable memory
  std::uint64_t files = 0;      // mapped of files
};
[[nodiscard]] MemoryFigures figures_of(Program& program);

void write_maps(Program& program, TextSink& sink);
// The text of /proc/PID/status and stat; `program` is null for a process that has ended.
[[nodiscard]] Result<void> write_status(ProcessId id, Program* program, TextSink& sink);
[[nodiscard]] Result<void> write_stat(ProcessId id, Program* program, TextSink& sink);

}  // namespace vellum::unix
