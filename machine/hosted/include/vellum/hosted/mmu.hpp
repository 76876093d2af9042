// The memory management unit of a simulated CPU: loads, stores and fetches at virtual addresses, for tables of format
// F.
//
//   hosted::Mmu<Amd64> mmu(machine);                       // of the CPU that the calling thread drives
//   auto value = mmu.load<std::uint64_t>(address, Privilege::user, [&](const hosted::Fault& fault) {
//     return space.resolve(fault) ? hosted::AfterFault::retry : hosted::AfterFault::give_up;
//   });
//
// It does what [intel/vol3 chapter 4] says of paging with IA32_EFER.NXE = 1:
//
// - A cached translation is used without a look at memory; where its rights do not permit the access, that is a fault
//   even if memory meanwhile permits it, and the fault drops what is cached for the page (4.10.4.1): a "spurious"
//   fault.
// - A walk begins at the deepest table that is cached, reads each entry once, ANDs the rights, and faults at an entry
//   that is not present, has a reserved bit set, or at the end if the rights do not permit the access (4.6, 4.7).
// - A walk that succeeds sets the accessed bit in every entry that it read and for a write the dirty bit of the page's,
//   by compare-exchange; if one of these entries changed meanwhile, it begins again (4.8). A write through a cached
//   translation that is not known to be dirty walks again.
// - Only translations that a successful walk found are cached; never that something is not present.
//
// Not modelled: global pages, process-context identifiers, protection keys, memory types.
#pragma once

#include <atomic>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <optional>
#include <span>

#include <vellum/hosted/machine.hpp>
#include <vellum/hosted/ram_copy.hpp>
#include <vellum/pagetable/format.hpp>

namespace vellum::hosted {

enum class AfterFault : std::uint8_t { retry, give_up };

// Called with each fault, outside of the access: it may use the machine as it likes.
template <class H>
concept FaultHandler = requires(H& handler, const Fault& fault) {
  { handler(fault) } -> std::same_as<AfterFault>;
};

struct GiveUp {
  AfterFault operator()(const Fault& /*fault*/) const { return AfterFault::give_up; }
};

// What a CPU loads and stores at once: 1, 2, 4 or 8 bytes.
template <class T>
concept AccessUnit = std::unsigned_integral<T> && !std::same_as<T, bool>;

struct Translation {
  PhysAddr address;    // of the byte asked for
  unsigned level = 0;  // of the entry that maps it
  PageRights rights;   // combined
};

template <class F>
class Mmu {
  static_assert(PageTableFormat<F>);

 public:
  explicit Mmu(Machine& machine) : Mmu(machine, machine.current()) {}
  // For the thread that drives `cpu`.
  Mmu(Machine& machine, Cpu& cpu) : cpu_(cpu), ram_(machine.ram()), ram_end_(machine.ram_end()) {}

  [[nodiscard]] Cpu& cpu() { return cpu_; }

  // Translates as an access would, with all that it does to TLB and tables, but touches nothing. The answer is as old
  // as the call.
  [[nodiscard]] std::expected<Translation, Fault> access(VirtAddr address, Access access, Privilege privilege);

  // Loads and stores that are naturally aligned are atomic, others go byte by byte, in two steps where they cross a
  // page. After each fault the handler says whether to try again; if not, the fault is returned and nothing was stored.
  template <AccessUnit T, FaultHandler H = GiveUp>
  [[nodiscard]] std::expected<T, Fault> load(VirtAddr address, Privilege privilege, H&& handler = {}) {
    return read_unit<T>(address, Access::read, privilege, handler);
  }
  template <AccessUnit T, FaultHandler H = GiveUp>
  [[nodiscard]] std::expected<T, Fault> fetch(VirtAddr address, Privilege privilege, H&& handler = {}) {
    return read_unit<T>(address, Access::execute, privilege, handler);
  }
  template <AccessUnit T, FaultHandler H = GiveUp>
  [[nodiscard]] std::expected<void, Fault> store(VirtAddr address, T value, Privilege privilege, H&& handler = {});
  // LOCK XADD: adds and returns what was there. Naturally aligned addresses only.
  template <AccessUnit T, FaultHandler H = GiveUp>
  [[nodiscard]] std::expected<T, Fault> fetch_add(VirtAddr address, T value, Privilege privilege, H&& handler = {});

  // Page by page. After a fault that the handler gives up on, the pages before it have been copied.
  template <FaultHandler H = GiveUp>
  [[nodiscard]] std::expected<void, Fault> copy_in(std::span<std::byte> to, VirtAddr from, Privilege privilege,
                                                   H&& handler = {}) {
    return copy(from, to.size(), Access::read, privilege, handler,
                [&](std::byte* at, std::size_t done, std::size_t n) { copy_from_ram(to.data() + done, at, n); });
  }
  template <FaultHandler H = GiveUp>
  [[nodiscard]] std::expected<void, Fault> copy_out(VirtAddr to, std::span<const std::byte> from, Privilege privilege,
                                                    H&& handler = {}) {
    return copy(to, from.size(), Access::write, privilege, handler,
                [&](std::byte* at, std::size_t done, std::size_t n) { copy_to_ram(at, from.data() + done, n); });
  }

 private:
  // A handler that always says "again" without mending anything would hang a test.
  static constexpr unsigned kMaxRetries = 1'000'000;

  struct Step {
    std::uint64_t* slot = nullptr;  // null: a register
    Entry entry;
    PageRights rights;  // of this entry and those above
  };
  struct Walk {
    Step steps[F::kLevels + 1];  // by level, from `top` down to `bottom`
    unsigned top = F::kLevels;
    unsigned bottom = F::kLevels;
  };

  static constexpr TableGeometry geometry() {
    TableGeometry result;
    result.levels = F::kLevels;
    for (unsigned level = 1; level <= F::kLevels; ++level) {
      result.shift[level] = F::shift(level);
    }
    return result;
  }
  static constexpr TableGeometry kGeometry = geometry();
  static constexpr PageRights kAllRights = PageRights::write() | PageRights::execute() | PageRights::user();

  // One access within a page: touch(host address of the byte). False where it faulted; the CPU then has the fault.
  template <class Touch>
  [[nodiscard]] bool perform(VirtAddr address, Access access, Privilege privilege, Touch touch) {
    cpu_.gate_.enter();
    const Tlb::Entry* entry = cpu_.tlb_.find_page(address);
    if (entry != nullptr && cpu_.serves(entry->rights, access, privilege)) [[likely]] {
      cpu_.hits_.add(1);
      touch(ram_ + (entry->target + address.offset_in_page()).value());
      cpu_.gate_.leave();
      return true;
    }
    const std::optional<Translation> found = translate(address, access, privilege);
    if (found) {
      touch(ram_ + found->address.value());
    }
    cpu_.gate_.leave();
    return found.has_value();
  }
  template <class Handler, class Touch>
  [[nodiscard]] std::expected<void, Fault> perform(VirtAddr address, Access access, Privilege privilege,
                                                   Handler& handler, Touch touch) {
    for (unsigned tries = 0; !perform(address, access, privilege, touch); ++tries) [[unlikely]] {
      VELLUM_CHECK(tries < kMaxRetries);
      const Fault fault = cpu_.last_fault_;  // the handler may cause others
      if (handler(fault) == AfterFault::give_up) {
        return std::unexpected(fault);
      }
    }
    return {};
  }
  template <class Handler, class Touch>
  [[nodiscard]] std::expected<void, Fault> copy(VirtAddr address, std::size_t size, Access access, Privilege privilege,
                                                Handler& handler, Touch touch);
  template <class T, class Handler>
  [[nodiscard]] std::expected<T, Fault> read_unit(VirtAddr address, Access access, Privilege privilege,
                                                  Handler& handler);

  // Where perform() finds no translation that serves. Inside the gate, as all below.
  [[nodiscard, gnu::noinline]] std::optional<Translation> translate(VirtAddr address, Access access,
                                                                    Privilege privilege);
  [[nodiscard]] const Tlb::Entry* find_cached(VirtAddr address, unsigned& level) const;
  [[nodiscard]] std::optional<Translation> walk_tables(VirtAddr address, Access access, Privilege privilege);
  // The error code's bits P and RSVD where the walk ends in a fault.
  [[nodiscard]] std::optional<std::uint32_t> descend(VirtAddr address, Walk& walk);
  [[nodiscard]] Step read_entry(PhysAddr table, VirtAddr address, unsigned level);
  [[nodiscard]] static bool mark_used(Walk& walk, Access access);
  [[nodiscard]] Translation remember(VirtAddr address, const Walk& walk);
  std::nullopt_t fault(FaultKind kind, VirtAddr address, Access access, Privilege privilege, std::uint32_t code);

  [[nodiscard]] static PageRights rights_of(Entry entry, unsigned level);
  [[nodiscard]] static bool has_reserved_bits(Entry entry, unsigned level);

  Cpu& cpu_;
  std::byte* const ram_;
  const PhysAddr ram_end_;
};

}  // namespace vellum::hosted

#include <vellum/hosted/mmu_access.hpp>
#include <vellum/hosted/mmu_walk.hpp>
