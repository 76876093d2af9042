// struct rusage.
#pragma once

#include <vellum/unix/process.hpp>

#include "linux_time.hpp"

namespace vellum::unix {

struct LinuxUsage {
  LinuxTimeval user;
  LinuxTimeval system;
  std::int64_t most_resident;  // KiB
  std::int64_t zero1[3];
  std::int64_t minor_faults;
  std::int64_t major_faults;
  std::int64_t zero2[8];
};
static_assert(sizeof(LinuxUsage) == 144);

[[nodiscard]] inline LinuxUsage linux_usage(const Usage& usage) {
  return {.user = to_timeval(Nanoseconds(usage.user_nanoseconds)),
          .system = to_timeval(Nanoseconds(usage.system_nanoseconds)),
          .most_resident = static_cast<std::int64_t>(usage.most_resident * (kPageSize / 1024)),
          .zero1 = {},
          .minor_faults = static_cast<std::int64_t>(usage.minor_faults),
          .major_faults = static_cast<std::int64_t>(usage.major_faults),
          .zero2 = {}};
}

}  // namespace vellum::unix
