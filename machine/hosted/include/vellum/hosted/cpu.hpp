// A simulated CPU: what it remembers of page tables, its control state, and who drives it.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include <vellum/base/cpu.hpp>
#include <vellum/hosted/access_gate.hpp>
#include <vellum/hosted/tlb.hpp>

namespace vellum::hosted {

class Machine;
template <class Format>
class Mmu;

// Written by one thread at a time, read by any.
class Counter {
 public:
  void add(std::uint64_t amount) {
    value_.store(value_.load(std::memory_order_relaxed) + amount, std::memory_order_relaxed);
  }
  [[nodiscard]] std::uint64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_{0};
};

// What a CPU has done since its machine was made.
struct Statistics {
  std::uint64_t tlb_hits = 0;           // accesses that a cached translation of a 4 KB page served
  std::uint64_t tlb_misses = 0;         // those that it did not, for whatever reason
  std::uint64_t large_page_hits = 0;    // misses that a cached translation of a larger page served
  std::uint64_t entries_walked = 0;     // page-table entries read from memory
  std::uint64_t faults = 0;             // page faults and general-protection faults
  std::uint64_t root_loads = 0;         // set_root
  std::uint64_t local_flushes = 0;      // flush_local
  std::uint64_t shootdowns_sent = 0;    // interrupts to other CPUs: one a target
  std::uint64_t shootdowns_served = 0;  // interrupts received while running the space meant

  Statistics& operator+=(const Statistics& other);
};

// The bits of CR0, CR4 and EFLAGS that decide what an access may do [intel/vol3 4.6]. NXE and PAE are always on.
struct CpuControls {
  bool write_protect = true;           // CR0.WP: kernel writes honour read-only pages
  bool deny_user_execute = true;       // CR4.SMEP: the kernel fetches nothing from user pages
  bool deny_user_access = true;        // CR4.SMAP: the kernel touches no user page, unless
  bool user_access_permitted = false;  // EFLAGS.AC: set by STAC
  // PAE's processors read the four entries of the root when CR3 is loaded, and not in a walk [intel/vol3 4.4.1]. Only
  // formats whose root restricts nothing.
  bool root_entries_in_registers = false;
};

// Whether a translation with these rights permits an access. The dirty bit takes no part.
[[nodiscard]] constexpr bool permits(const CpuControls& controls, PageRights rights, Access access,
                                     Privilege privilege) {
  const bool user_page = rights.has(PageRights::user());
  if (privilege == Privilege::user && !user_page) {
    return false;
  }
  const bool kernel_on_user_page = privilege == Privilege::kernel && user_page;
  if (access == Access::execute) {
    return rights.has(PageRights::execute()) && !(kernel_on_user_page && controls.deny_user_execute);
  }
  if (kernel_on_user_page && controls.deny_user_access && !controls.user_access_permitted) {
    return false;
  }
  return access == Access::read || rights.has(PageRights::write()) ||
         (privilege == Privilege::kernel && !controls.write_protect);
}

enum class FaultKind : std::uint8_t {
  page,                // vector 14
  general_protection,  // vector 13: the address is not canonical, or beyond a 32-bit one; the error code is 0
};

// A fault as the processor reports it: kind, CR2 and error code [intel/vol3 4.7]; and what was tried.
struct Fault {
  static constexpr std::uint32_t kPresent = 1U << 0;  // a translation was found and denied the access
  static constexpr std::uint32_t kWrite = 1U << 1;
  static constexpr std::uint32_t kUser = 1U << 2;
  static constexpr std::uint32_t kReserved = 1U << 3;  // an entry had a reserved bit set
  static constexpr std::uint32_t kFetch = 1U << 4;

  VirtAddr address;
  FaultKind kind = FaultKind::page;
  Access access = Access::read;
  Privilege privilege = Privilege::user;
  std::uint32_t error_code = 0;

  bool operator==(const Fault&) const = default;
};

class alignas(kCacheLine) Cpu {
 public:
  Cpu() { set_controls({}); }
  Cpu(const Cpu&) = delete;
  Cpu& operator=(const Cpu&) = delete;

  // The functions below are for the thread that drives the CPU.

  [[nodiscard]] const CpuControls& controls() const { return controls_; }
  void set_controls(const CpuControls& controls);
  // The table that set_root gave; all ones before.
  [[nodiscard]] PhysAddr root() const { return PhysAddr(root_.load(std::memory_order_relaxed)); }

  [[nodiscard]] bool has_root() const { return root().value() != kNoRoot; }

  // For any thread. Exact where the CPU is at rest.
  [[nodiscard]] Statistics statistics() const;
  [[nodiscard]] bool is_driven_by_caller() const;

 private:
  friend class Machine;
  friend class CpuScope;
  template <class Format>
  friend class Mmu;

  static constexpr std::uint64_t kNoRoot = ~std::uint64_t{0};
  static constexpr unsigned kRegisterEntries = 4;
  static constexpr unsigned kAccessKinds = 6;

  [[nodiscard]] static constexpr unsigned access_kind(Access access, Privilege privilege) {
    return static_cast<unsigned>(access) * 2 + static_cast<unsigned>(privilege);
  }
  // Whether a cached translation serves an access as it is: permitted, and for a write known to be dirty.
  [[nodiscard]] bool serves(PageRights rights, Access access, Privilege privilege) const {
    return (served_[access_kind(access, privilege)] >> rights.bits() & 1U) != 0;
  }

  AccessGate gate_;
  std::uint16_t served_[kAccessKinds] = {};  // a bit for each PageRights
  Counter hits_;
  CpuControls controls_;
  std::atomic<std::uint64_t> root_{kNoRoot};
  std::uint64_t root_entries_[kRegisterEntries] = {};
  Counter misses_;
  Counter large_page_hits_;
  Counter entries_walked_;
  Counter faults_;
  Counter root_loads_;
  Counter local_flushes_;
  Counter shootdowns_sent_;
  Counter shootdowns_served_;
  Fault last_fault_;
  // Identifies the thread that drives the CPU; 0 for none.
  std::atomic<std::uintptr_t> driver_{0};
  unsigned section_depth_ = 0;
  Tlb tlb_;
};

}  // namespace vellum::hosted
