#include <vellum/base/machine.hpp>
#include <vellum/pc/cpus.hpp>

namespace vellum::pc {

constinit PerCpu boot_cpu{.self = &boot_cpu};

namespace {

// From so many pages on, dropping everything is cheaper than dropping each.
constexpr std::uint64_t kMostSinglePages = 32;

// QEMU's emulation marks entries of a PAE root as accessed, which processors do not.
[[maybe_unused]] constexpr std::uint64_t kAccessed = 1U << 5;

// Loads CR3: drops every translation but global ones, and the paging-structure caches [intel/vol3 4.10.4.1].
void load_root(PhysAddr root) {
  this_cpu().kernel_root = static_cast<Word>(root.value());
  write_cr3(static_cast<Word>(root.value()));
#if VELLUM_DEBUG
  PerCpu& cpu = this_cpu();
  const auto* entries = direct_mapped<const std::uint64_t>(root);
  for (unsigned i = 0; i < kRootEntriesInRegisters; ++i) {
    cpu.root_entries[i] = entries[i] & ~kAccessed;
  }
#endif
}

void flush_user() { load_root(PhysAddr(read_cr3())); }

}  // namespace

void drop_translations() {
  // Changing CR4.PGE invalidates everything [intel/vol3 4.10.4.1].
  const Word value = read_cr4();
  write_cr4(value & ~cr4::kGlobalPages);
  write_cr4(value);
  flush_user();
}

void Machine::set_root(PhysAddr root) { load_root(root); }

bool Machine::root_is_current() const {
#if VELLUM_DEBUG
  const auto* entries = direct_mapped<const std::uint64_t>(PhysAddr(read_cr3()));
  for (unsigned i = 0; i < kRootEntriesInRegisters; ++i) {
    if (this_cpu().root_entries[i] != (entries[i] & ~kAccessed)) {
      return false;
    }
  }
#endif
  return true;
}

void Machine::flush_local(const TlbFlush& flush) {
  if (flush.everything) {
    flush_user();
    return;
  }
  for (unsigned i = 0; i < flush.range_count; ++i) {
    const VirtRange& range = flush.ranges[i];
    const std::uint64_t pages = pages_for(range.size()).value();
    if (pages > kMostSinglePages) {
      drop_translations();
      return;
    }
    for (std::uint64_t page = 0; page < pages; ++page) {
      invalidate_page(static_cast<Word>((range.start() + bytes_of(PageCount(page))).value()));
    }
  }
}

#if defined(__x86_64__)

void Machine::flush_remote(const CpuSet& cpus, PhysAddr /*root*/, const TlbFlush& flush) { flush_cpus(cpus, flush); }

void Machine::flush_everywhere(const TlbFlush& flush) {
  flush_local(flush);
  flush_other_cpus(flush);
}

#else

void Machine::flush_remote(const CpuSet& /*cpus*/, PhysAddr /*root*/, const TlbFlush& /*flush*/) {
  panic("TLB flush asked of a CPU that does not run");
}

void Machine::flush_everywhere(const TlbFlush& flush) { flush_local(flush); }

#endif

}  // namespace vellum::pc

namespace vellum {

HeldLocks& held_locks() { return pc::this_cpu().held_locks; }

void relax(unsigned /*rounds*/) {
#if defined(__x86_64__)
  pc::answer_if_asked();
#endif
  pc::pause();
}

}  // namespace vellum
