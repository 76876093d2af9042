// Lines for --strace.
#pragma once

#include <cstdint>

#include <vellum/unix/system_call.hpp>
#include <vellum/unix/thread.hpp>

namespace vellum::unix {

// An error as a program sees it: a small negative number.
[[nodiscard]] constexpr std::uint64_t encoded(Errno error) {
  return -static_cast<std::uint64_t>(static_cast<std::uint8_t>(error));
}

// Makes a call and reports it, before it is made where it may not come back. `call` is null where there is none.
[[nodiscard]] std::uint64_t traced_call(Thread& thread, std::uint64_t number, const SystemCall* call,
                                        const Arguments& arguments);

}  // namespace vellum::unix
