#include <vellum/base/machine.hpp>

namespace vellum::pc {

constinit PerCpu boot_cpu;

namespace {

// From so many pages on, dropping everything is cheaper than dropping each.
constexpr std::uint64_t kMostSinglePages = 32;

// Every translation but global ones, and the paging-structure caches [intel/vol3 4.10.4.1]. Under PAE this also loads
// the four entries of the root, which the processor keeps in registers [intel/vol3 4.4.1].
void flush_user() { write_cr3(read_cr3()); }

// Global ones too: changing CR4.PGE invalidates everything [intel/vol3 4.10.4.1].
void flush_all() {
  const Word value = read_cr4();
  if ((value & cr4::kGlobalPages) == 0) {
    flush_user();
    return;
  }
  write_cr4(value & ~cr4::kGlobalPages);
  write_cr4(value);
}

}  // namespace

void Machine::flush_local(const TlbFlush& flush) {
  if (flush.everything) {
    flush_user();
    return;
  }
  for (unsigned i = 0; i < flush.range_count; ++i) {
    const VirtRange& range = flush.ranges[i];
    const std::uint64_t pages = pages_for(range.size()).value();
    if (pages > kMostSinglePages) {
      flush_all();
      return;
    }
    for (std::uint64_t page = 0; page < pages; ++page) {
      invalidate_page(static_cast<Word>((range.start() + bytes_of(PageCount(page))).value()));
    }
  }
}

}  // namespace vellum::pc

namespace vellum {

HeldLocks& held_locks() { return pc::this_cpu().held_locks; }

void relax(unsigned /*rounds*/) { pc::pause(); }

}  // namespace vellum
