// process_vm_readv and process_vm_writev: copies between the memory of the calling process and another's.

#include <algorithm>

#include <vellum/unix/checkpoint.hpp>
#include <vellum/unix/remote_memory.hpp>
#include <vellum/unix/system_call.hpp>

#include "segments.hpp"

namespace vellum::unix {

namespace {

// A place in a list of stretches of memory.
class Place {
 public:
  explicit Place(std::span<const UserSegment> segments) : segments_(segments) { skip_empty(); }

  [[nodiscard]] bool is_at_end() const { return segments_.empty(); }
  [[nodiscard]] VirtAddr address() const { return segments_.front().base + done_; }
  // What follows in one piece, and in one page.
  [[nodiscard]] std::size_t in_page() const {
    const std::uint64_t to_end = kPageSize - (address().value() & (kPageSize - 1));
    return static_cast<std::size_t>(std::min((segments_.front().size - done_).value(), to_end));
  }
  void advance(std::size_t size) {
    done_ += ByteCount(size);
    skip_empty();
  }

 private:
  void skip_empty() {
    while (!segments_.empty() && done_ == segments_.front().size) {
      segments_ = segments_.subspan(1);
      done_ = ByteCount(0);
    }
  }
  std::span<const UserSegment> segments_;
  ByteCount done_{0};
};

enum class Direction : std::uint8_t { read, write };

Result<void> copy_piece(RemoteMemory& memory, Direction direction, VirtAddr own, VirtAddr other,
                        std::span<std::byte> buffer) {
  if (direction == Direction::read) {
    VELLUM_TRY(memory.read(other, buffer));
    return copy_out(own, buffer);
  }
  VELLUM_TRY(copy_in(buffer, own));
  return memory.write(other, buffer);
}

// Page by page, until one fails: an error counts only where nothing was copied.
template <Direction kDirection>
Result<std::uint64_t> sys_process_memory(const Arguments& arguments) {
  if (arguments.value[5] != 0) {
    return Errno::invalid;
  }
  Segments own;
  VELLUM_TRY(own.read(arguments.address(1), arguments.value[2]));
  Place here(own.get());
  if (here.is_at_end()) {
    return 0;
  }
  Segments other;
  VELLUM_TRY(other.read(arguments.address(3), arguments.value[4]));
  Place there(other.get());
  if (there.is_at_end()) {
    return 0;
  }
  RemoteMemory memory;
  VELLUM_TRY(memory.open(ProcessId(arguments.integer(0))));
  Scratch scratch(all_files().memory());
  VELLUM_TRY(scratch.allocate(ByteCount(kPageSize)));
  std::uint64_t copied = 0;
  Pace pace;
  while (!here.is_at_end() && !there.is_at_end()) {
    const std::size_t size = std::min(here.in_page(), there.in_page());
    const Result<void> piece =
        copy_piece(memory, kDirection, here.address(), there.address(), scratch.bytes().first(size));
    if (!piece.ok()) {
      return copied != 0 ? Result<std::uint64_t>(copied) : piece.error();
    }
    copied += size;
    here.advance(size);
    there.advance(size);
    if (!pace.go_on(size)) {
      break;
    }
  }
  return copied;
}

constexpr Shown kDecimal = Shown::decimal;
constexpr Shown kHex = Shown::hexadecimal;

constexpr SystemCall kCalls[] = {
    {310,
     "process_vm_readv",
     sys_process_memory<Direction::read>,
     6,
     {kDecimal, kHex, kDecimal, kHex, kDecimal, Shown::flags}},
    {311,
     "process_vm_writev",
     sys_process_memory<Direction::write>,
     6,
     {kDecimal, kHex, kDecimal, kHex, kDecimal, Shown::flags}},
};

}  // namespace

std::span<const SystemCall> remote_calls() { return kCalls; }

}  // namespace vellum::unix
