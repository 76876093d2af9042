// What the core asks of a machine. The core is compiled once for each machine: the build puts the directory of one
// machine's `vellum_machine.hpp` on the include path, and that header names the class that fills the port:
//
//   namespace vellum { using Machine = hosted::Machine; }
//   #define VELLUM_MACHINE_FORMATS(X) X(Amd64) X(I386Pae) ...    the page-table formats to compile for
//
// So everything below inlines, and yet several machines (hosted: several simulated PCs) live in one process, because
// every call goes through an object. example_machine.hpp beside this file is the smallest machine that compiles.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>

#include <vellum/base/cpu.hpp>
#include <vellum/base/range.hpp>
#include <vellum/base/types.hpp>

namespace vellum {

// What a CPU forgets: translations of some pages of the space that it runs, or all of them.
struct TlbFlush {
  static constexpr unsigned kMaxRanges = 8;
  // No ranges and a false `everything` flush nothing. Those from range_count on are not even set: most operations have
  // nothing to flush.
  union {
    VirtRange ranges[kMaxRanges];
  };
  unsigned range_count = 0;
  // Every translation of user space, and the paging-structure caches with them [intel/vol3 4.10.3].
  bool everything = false;

  TlbFlush() {}  // NOLINT(modernize-use-equals-default): would be deleted
};

template <class M>
concept MachinePort = requires(M& machine, const M& const_machine, Pfn frame, const TlbFlush& flush, const CpuSet& cpus,
                               PhysAddr root, std::byte* bytes) {
  // The bytes of a physical page, for as long as the returned object lives: `.data()` points at kPageSize bytes.
  // Where all memory is mapped linearly this is an addition; where it is not, the object holds a per-CPU window, of
  // which a CPU has at least 4 at a time. Never blocks, never fails for a frame of the memory map.
  { machine.window(frame).data() } -> std::convertible_to<std::byte*>;

  // Fills a page, of which the argument is the window, with zeros in the quickest way that the machine knows.
  { machine.clear_page(bytes) } -> std::same_as<void>;

  // The CPU that executes the call. The caller must not migrate while it uses the answer (CpuSection below).
  { const_machine.current_cpu() } -> std::same_as<CpuIndex>;
  // CPUs are 0 .. cpu_count()-1; fixed for the life of the machine.
  { const_machine.cpu_count() } -> std::convertible_to<unsigned>;

  // Keeps the calling thread on its CPU, and interrupts that may enter the core out, until the matching leave. They
  // nest. A section is short: nobody sleeps in one.
  { machine.enter_section() } -> std::same_as<void>;
  { machine.leave_section() } -> std::same_as<void>;

  // Drops translations on the calling CPU. Takes effect before it returns.
  { machine.flush_local(flush) } -> std::same_as<void>;
  // Drops translations of the space whose root table is `root` on every CPU of `cpus` that still runs it; the
  // calling CPU is never among them. Returns when all have done so. Called with locks held: a machine must answer
  // shootdowns while it spins for a lock.
  { machine.flush_remote(cpus, root, flush) } -> std::same_as<void>;

  // Drops translations on every CPU, whichever space it runs: for the kernel's half, which all spaces show. Returns
  // when all have done so. Called with locks held, as above.
  { machine.flush_everywhere(flush) } -> std::same_as<void>;

  // Asked before a page of memory is allocated; false makes that allocation fail as if memory were short. A real
  // machine
  // always says true; the hosted one lets a test fail any allocation it likes.
  { machine.allocation_permitted() } -> std::same_as<bool>;

  // Whether frames that were never allocated are known to hold zeros, so that the first use need not clear them.
  { const_machine.memory_starts_zeroed() } -> std::same_as<bool>;
};

// Keeps the caller on its CPU.
template <class M>
class [[nodiscard]] CpuSection {
 public:
  explicit CpuSection(M& machine) : machine_(machine) { machine_.enter_section(); }
  ~CpuSection() { machine_.leave_section(); }
  CpuSection(const CpuSection&) = delete;
  CpuSection& operator=(const CpuSection&) = delete;

 private:
  M& machine_;
};

}  // namespace vellum
