// Waiting for events of several files at once (poll, select).
#pragma once

#include <optional>

#include <vellum/unix/file_memory.hpp>
#include <vellum/unix/wait_queue.hpp>

namespace vellum::unix {

// poll(2)'s events.
using Events = std::uint16_t;
namespace event {
inline constexpr Events kInput = 0x001;
inline constexpr Events kPriority = 0x002;
inline constexpr Events kOutput = 0x004;
inline constexpr Events kError = 0x008;
inline constexpr Events kHangUp = 0x010;
inline constexpr Events kInvalid = 0x020;
inline constexpr Events kReadNormal = 0x040;
inline constexpr Events kReadBand = 0x080;
inline constexpr Events kWriteNormal = 0x100;
inline constexpr Events kWriteBand = 0x200;
inline constexpr Events kReadHangUp = 0x2000;
inline constexpr Events kReadable = kInput | kReadNormal;
inline constexpr Events kWritable = kOutput | kWriteNormal;
}  // namespace event

// One act of waiting. The queues must outlive it, so whoever polls holds the files.
class Poller {
 public:
  explicit Poller(FileMemory& memory) : memory_(memory) {}
  ~Poller();
  Poller(const Poller&) = delete;
  Poller& operator=(const Poller&) = delete;

  // Called by a file's poll() before it looks at its state: a wake of the queue from now on ends wait().
  void add(WaitQueue& queue);
  // After the first round of polls all queues are known, and add() does nothing.
  void stop_adding() { adding_ = false; }
  // Error: no_memory, if a queue could not be added.
  [[nodiscard]] Result<void> status() const { return failed_ ? Result<void>(Errno::no_memory) : Result<void>(); }

  [[nodiscard]] Wakeup wait(std::optional<Nanoseconds> deadline) { return sleep_.until(deadline); }

 private:
  struct Place {
    Place(Sleep& sleep, WaitQueue& queue) : in(sleep, queue) {}
    Sleep::In in;
    Place* next = nullptr;
  };

  FileMemory& memory_;
  Sleep sleep_;
  Place* places_ = nullptr;
  bool adding_ = true;
  bool failed_ = false;
};

}  // namespace vellum::unix
