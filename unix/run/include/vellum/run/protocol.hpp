// What `vellum run` on the host and the kernel say to each other, over one virtio console device: frames in both
// directions, each a header and so many bytes. All numbers are little-endian.
#pragma once

#include <cstddef>
#include <cstdint>

namespace vellum::run {

struct FrameHeader {
  std::uint32_t size;  // of what follows
  std::uint8_t kind;   // ToKernel or ToHost
  std::uint8_t zero[3];
};
static_assert(sizeof(FrameHeader) == 8);

inline constexpr std::uint32_t kMostFrameBytes = 65536;

// Changes whenever an old and a new side would misunderstand each other. The kernel says its own first of all
// (`hello`), the host in its request (`protocol`); a side that hears another number than its own says so and ends the
// run.
inline constexpr std::uint32_t kProtocolVersion = 1;

// What can be asked about the running kernel (`inspect`). The answers are texts.
enum class Inspect : std::uint32_t {
  processes = 1,  // JSON: all processes
  walk = 2,       // JSON: the tables that lead to an address
  maps = 3,       // what /proc/PID/maps shows
  layout = 4,     // JSON: the rows of the layout, and what the tables map in each
};

struct InspectRequest {
  std::uint32_t number;  // comes back with the answer
  Inspect what;
  std::int32_t process;  // 0: the kernel's own tables; kFirstProcess: the program that the run was started with
  std::uint32_t zero;
  std::uint64_t address;  // of walk

  static constexpr std::int32_t kFirstProcess = -1;
};
static_assert(sizeof(InspectRequest) == 24);

// So many may wait for their answers at a time. They are answered in order.
inline constexpr std::size_t kMostQuestions = 64;

// What an answer begins with; the rest is text.
struct AnswerHead {
  std::uint32_t number;
  std::uint32_t error;  // 0, or an error number of Linux: there is no such process (3)...
};

enum class ToKernel : std::uint8_t {
  // First: zero-terminated texts KEY=VALUE. In order: `argument` (the first is the program's path), `environment`
  // (NAME=VALUE). Once each: `name` (what the program finds as its argument 0; without it, its path), `directory`
  // (current directory), `user` (illumos or linux: the layout), `stdin`, `stdout`, `stderr` (terminal, pipe, file or
  // null: what they are on the host), `rows`, `columns`, `time` (nanoseconds since 1970), `strace` (0 or 1), `uid`,
  // `gid`, `protocol` (kProtocolVersion), `vmem` (bytes that may be promised to all programs together; without it, or
  // 0, as
  // many as vm.overcommit_memory says), `hold` (0 or 1: wait before a program ends, see `held`). Any number: `bind`
  // (TAG:GUESTPATH of a 9P mount besides the root).
  start = 1,
  input = 2,        // bytes of stdin, never more than the kernel gave credit for
  input_end = 3,    // stdin has ended
  signal = 4,       // u32: a signal for the foreground processes
  window_size = 5,  // u32 rows, u32 columns
  // u32: 1 or 2. Nobody reads stdout or stderr any longer: writing to it gives EPIPE and SIGPIPE from now on.
  output_closed = 6,
  // The beginning of a `start` that is larger than a frame, cut anywhere; any number of these, before it.
  start_part = 7,
  inspect = 8,  // InspectRequest, while fewer than kMostQuestions wait for their answers
  go_on = 9,    // nothing is held any longer
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
  hello = 72,         // u32: kProtocolVersion; the first frame
  answer_part = 73,   // AnswerHead and the beginning of an answer's text; any number of these, before it
  answer = 74,        // AnswerHead and the end of the text
  held = 75,          // u32: the process with this id waits, as asked for, and can be looked at, until `go_on` comes
};

}  // namespace vellum::run
