// Who a process acts for, and what it may use up.
#pragma once

#include <array>
#include <cstdint>

#include <vellum/base/result.hpp>
#include <vellum/unix/capabilities.hpp>
#include <vellum/unix/types.hpp>

namespace vellum::unix {

// One kind of id (user or group) in its four roles.
template <class Identity>
struct Identities {
  Identity real;
  Identity effective;
  Identity saved;
  Identity file_system;

  [[nodiscard]] bool has(Identity identity) const {
    return identity == real || identity == effective || identity == saved;
  }
};

struct Credentials {
  static constexpr unsigned kMostGroups = 64;

  Identities<UserId> user;
  Identities<GroupId> group;
  std::array<GroupId, kMostGroups> groups{};
  unsigned group_count = 0;
  CapabilitySets capabilities;
  bool keeps_capabilities = false;  // PR_SET_KEEPCAPS, until exec

  [[nodiscard]] bool has(Capability one) const { return capabilities.effective.has(one); }
  // What the ids come with when they are given to a first process: the superuser has all.
  void give_capabilities();
  // After setuid(2) and its kin: what leaving or taking the superuser's ids does to the sets.
  void adjust_capabilities(const Identities<UserId>& before);
  // After setfsuid(2).
  void adjust_file_capabilities(UserId before);
  // exec(2), after the file's set-id bits have been applied.
  void exec_capabilities();
};

// RLIMIT_*, Linux's numbers.
enum class Resource : std::uint8_t {
  cpu_seconds = 0,
  file_size,
  data,
  stack,
  core,
  resident,
  processes,
  files,
  locked_memory,
  address_space,
  locks,
  pending_signals,
  message_queues,
  nice,
  realtime_priority,
  realtime_microseconds,
};

// struct rlimit64.
struct Limit {
  static constexpr std::uint64_t kInfinite = ~std::uint64_t{0};
  std::uint64_t soft = kInfinite;
  std::uint64_t hard = kInfinite;
};

struct Limits {
  static constexpr unsigned kCount = 16;
  std::array<Limit, kCount> values{};

  [[nodiscard]] Limit& operator[](Resource resource) { return values[static_cast<unsigned>(resource)]; }
  [[nodiscard]] const Limit& operator[](Resource resource) const { return values[static_cast<unsigned>(resource)]; }
  // What the first process has, as Linux: `most_processes` for it and for pending signals.
  [[nodiscard]] static Limits initial(std::uint64_t most_processes);
};

}  // namespace vellum::unix
