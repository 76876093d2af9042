// Errors are values. An Errno says what the caller did wrong or which resource lacks; its numbers are Linux's, so
// that the system-call layer passes them through.
#pragma once

#include <cstdint>
#include <expected>
#include <utility>

#include <vellum/base/panic.hpp>

namespace vellum {

// Linux's numbers (include/uapi/asm-generic/errno-base.h and errno.h).
enum class Errno : std::uint8_t {
  not_permitted = 1,           // EPERM
  no_entry = 2,                // ENOENT
  no_process = 3,              // ESRCH
  interrupted = 4,             // EINTR
  io_error = 5,                // EIO
  no_such_device = 6,          // ENXIO
  argument_list_too_long = 7,  // E2BIG
  not_executable = 8,          // ENOEXEC
  bad_descriptor = 9,          // EBADF
  no_child = 10,               // ECHILD
  try_again = 11,              // EAGAIN
  no_memory = 12,              // ENOMEM
  access_denied = 13,          // EACCES
  bad_address = 14,            // EFAULT
  busy = 16,                   // EBUSY
  exists = 17,                 // EEXIST
  cross_device = 18,           // EXDEV
  no_device = 19,              // ENODEV
  not_directory = 20,          // ENOTDIR
  is_directory = 21,           // EISDIR
  invalid = 22,                // EINVAL
  too_many_files = 24,         // EMFILE
  not_terminal = 25,           // ENOTTY
  text_busy = 26,              // ETXTBSY
  file_too_big = 27,           // EFBIG
  no_space = 28,               // ENOSPC
  illegal_seek = 29,           // ESPIPE
  read_only = 30,              // EROFS
  too_many_links = 31,         // EMLINK
  broken_pipe = 32,            // EPIPE
  out_of_range = 34,           // ERANGE
  deadlock = 35,               // EDEADLK
  name_too_long = 36,          // ENAMETOOLONG
  no_call = 38,                // ENOSYS
  not_empty = 39,              // ENOTEMPTY
  link_loop = 40,              // ELOOP
  overflow = 75,               // EOVERFLOW
  not_socket = 88,             // ENOTSOCK
  not_supported = 95,          // EOPNOTSUPP
  no_address_family = 97,      // EAFNOSUPPORT
  timed_out = 110,             // ETIMEDOUT
};

// A value or the reason why there is none. Must be looked at: discarding one is a compile error.
template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : expected_(std::move(value)) {}          // NOLINT(google-explicit-constructor): `return value;`
  Result(Errno error) : expected_(std::unexpect, error) {}  // NOLINT(google-explicit-constructor): `return Errno::x;`

  [[nodiscard]] bool ok() const { return expected_.has_value(); }
  explicit operator bool() const { return ok(); }
  [[nodiscard]] Errno error() const {
    VELLUM_ASSERT(!ok());
    return expected_.error();
  }
  [[nodiscard]] T& value() & {
    VELLUM_ASSERT(ok());
    return *expected_;
  }
  [[nodiscard]] const T& value() const& {
    VELLUM_ASSERT(ok());
    return *expected_;
  }
  [[nodiscard]] T&& value() && {
    VELLUM_ASSERT(ok());
    return std::move(*expected_);
  }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T* operator->() { return &value(); }

 private:
  std::expected<T, Errno> expected_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  constexpr Result() = default;
  constexpr Result(Errno error) : error_(error) {}  // NOLINT(google-explicit-constructor): `return Errno::x;`

  [[nodiscard]] constexpr bool ok() const { return error_ == Errno{}; }
  constexpr explicit operator bool() const { return ok(); }
  [[nodiscard]] constexpr Errno error() const {
    VELLUM_ASSERT(!ok());
    return error_;
  }
  constexpr void value() const { VELLUM_ASSERT(ok()); }

 private:
  Errno error_{};
};

}  // namespace vellum

// The value of a Result, or a return of its error from the enclosing function.
#define VELLUM_TRY(expression)                  \
  __extension__({                               \
    auto vellum_try_result = (expression);      \
    if (!vellum_try_result.ok()) [[unlikely]] { \
      return vellum_try_result.error();         \
    }                                           \
    std::move(vellum_try_result).value();       \
  })
