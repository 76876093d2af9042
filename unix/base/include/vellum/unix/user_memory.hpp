// Copies between the kernel and the program that the calling thread runs. Any address may be given: what the program
// itself may not read or write is refused. Implemented once in each program: a kernel touches user memory through the
// program's own mappings and recovers from faults, a test has memory of its own.
//
// All may sleep (a page may have to come from a file); so they are called with no spinlock held and outside of
// sections. Error of all: bad_address; how much was copied before is not defined.
#pragma once

#include <cstddef>
#include <span>
#include <type_traits>

#include <vellum/base/result.hpp>
#include <vellum/base/types.hpp>

namespace vellum::unix {

[[nodiscard]] Result<void> copy_in(std::span<std::byte> to, VirtAddr from);
[[nodiscard]] Result<void> copy_out(VirtAddr to, std::span<const std::byte> from);
[[nodiscard]] Result<void> clear_out(VirtAddr to, ByteCount size);
// Copies up to and including a zero byte; returns the length without it. Also name_too_long: no zero byte within `to`.
[[nodiscard]] Result<std::size_t> copy_in_string(std::span<char> to, VirtAddr from);

template <class T>
  requires std::is_trivially_copyable_v<T>
[[nodiscard]] Result<T> read_user(VirtAddr from) {
  T value;
  VELLUM_TRY(copy_in(std::as_writable_bytes(std::span<T, 1>(&value, 1)), from));
  return value;
}

template <class T>
  requires std::is_trivially_copyable_v<T>
[[nodiscard]] Result<void> write_user(VirtAddr to, const T& value) {
  return copy_out(to, std::as_bytes(std::span<const T, 1>(&value, 1)));
}

}  // namespace vellum::unix
