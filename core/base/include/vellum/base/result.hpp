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
  not_permitted = 1,   // EPERM
  no_entry = 2,        // ENOENT
  interrupted = 4,     // EINTR
  io_error = 5,        // EIO
  bad_descriptor = 9,  // EBADF
  try_again = 11,      // EAGAIN
  no_memory = 12,      // ENOMEM
  access_denied = 13,  // EACCES
  bad_address = 14,    // EFAULT
  busy = 16,           // EBUSY
  exists = 17,         // EEXIST
  no_device = 19,      // ENODEV
  invalid = 22,        // EINVAL
  no_space = 28,       // ENOSPC
  out_of_range = 34,   // ERANGE
  overflow = 75,       // EOVERFLOW
  not_supported = 95,  // EOPNOTSUPP
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
