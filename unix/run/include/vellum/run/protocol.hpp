// What `vellum run` on the host and the kernel say to each other, over one virtio console device: frames in both
// directions, each a header and so many bytes. All numbers are little-endian.
#pragma once

#include <cstdint>

namespace vellum::run {

struct FrameHeader {
  std::uint32_t size;  // of what follows
  std::uint8_t kind;   // ToKernel or ToHost
  std::uint8_t zero[3];
};
static_assert(sizeof(FrameHeader) == 8);

inline constexpr std::uint32_t kMostFrameBytes = 65536;

enum class ToKernel : std::uint8_t {
  // First: zero-terminated texts KEY=VALUE. In order: `argument` (the first is the program's path), `environment`
  // (NAME=VALUE). Once each: `name` (what the program finds as its argument 0; without it, its path), `directory`
  // (current directory), `user` (illumos or linux: the layout), `stdin`, `stdout`, `stderr` (terminal, pipe, file or
  // null: what they are on the host), `rows`, `columns`, `time` (nanoseconds since 1970), `strace` (0 or 1), `uid`,
  // `gid`. Any number: `bind` (TAG:GUESTPATH of a 9P mount besides the root).
  start = 1,
  input = 2,        // bytes of stdin, never more than the kernel gave credit for
  input_end = 3,    // stdin has ended
  signal = 4,       // u32: a signal for the foreground processes
  window_size = 5,  // u32 rows, u32 columns
  // u32: 1 or 2. Nobody reads stdout or stderr any longer: writing to it gives EPIPE and SIGPIPE from now on.
  output_closed = 6,
  // The beginning of a `start` that is larger than a frame, cut anywhere; any number of these, before it.
  start_part = 7,
};

enum class ToHost : std::uint8_t {
  output = 64,        // bytes of stdout
  error_output = 65,  // bytes of stderr
  input_credit = 66,  // u32: so many more bytes of stdin may be sent
  log = 67,           // text: a line that the kernel logs
  trace = 68,         // text: a line of --strace
  fault = 69,         // JSON: a fatal fault, before the process dies of it
  report = 70,        // JSON: counters at the end of the run
  exit = 71,          // u32: wait status of the program, as wait(2) gives it; the last frame
};

}  // namespace vellum::run
