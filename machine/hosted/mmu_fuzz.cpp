// Random edits of page tables, flushes and accesses on two CPUs against a model that has no TLB: for every page whose
// entries have not changed on a CPU since that CPU last flushed it, the MMU must say exactly what the tables say.
#include <array>
#include <vector>

#include <vellum/fuzz/fuzz.hpp>
#include <vellum/hosted/mmu.hpp>

#include "table_builder.hpp"

namespace vellum::hosted {
namespace {

constexpr unsigned kCpus = 2;
constexpr unsigned kRoots = 2;

template <class F>
class MmuFuzz {
 public:
  explicit MmuFuzz(FuzzInput& input) : input_(input) {
    collect_pages(F::kLevels, 0);
    for (unsigned root = 0; root < kRoots; ++root) {
      for (const VirtAddr page : pages_) {
        paths_[root].push_back(path_of(root, page));
      }
    }
    for (unsigned cpu = 0; cpu < kCpus; ++cpu) {
      stale_[cpu].assign(pages_.size(), false);
      load_root(CpuIndex(cpu), 0);
    }
  }

  void run() {
    while (!input_.empty()) {
      ++vellum_fuzz_operations;
      const CpuIndex cpu(static_cast<unsigned>(input_.take_in_range(0, kCpus - 1)));
      const CpuScope scope(*machine_, cpu);
      switch (input_.take_in_range(0, 9)) {
        case 0:
        case 1:
        case 2:
          edit();
          break;
        case 3:
          flush_locally(cpu);
          break;
        case 4:
          flush_other(cpu);
          break;
        case 5:
          load_root(cpu, static_cast<unsigned>(input_.take_in_range(0, kRoots - 1)));
          break;
        case 6:
          change_controls(cpu);
          break;
        default:
          access(cpu);
          break;
      }
    }
  }

 private:
  // An entry, and what the model thinks of it.
  struct Slot {
    enum class Holds : std::uint8_t { nothing, table, page };

    unsigned root = 0;
    unsigned level = 0;
    VirtAddr first{};  // of the addresses that it covers
    std::uint64_t* memory = nullptr;
    Pfn table{};  // that belongs below
    Holds holds = Holds::nothing;
    Pfn page{};
    EntryRights rights = EntryRights::everything();
  };
  using Path = std::array<std::size_t, F::kLevels + 1>;  // slots by level

  // Pages with the lowest two and the highest index at each level.
  void collect_pages(unsigned level, std::uint64_t page) {
    if (level == 0) {
      pages_.push_back(address_of<F>(Vpn(page)));
      return;
    }
    const std::uint64_t highest = entry_count<F>(level) - 1;
    for (const std::uint64_t index : {std::uint64_t{0}, std::uint64_t{1}, highest}) {
      if (index != 1 || highest != 1) {
        collect_pages(level - 1, page | index << (F::shift(level) - kPageShift));
      }
    }
  }
  Path path_of(unsigned root, VirtAddr page) {
    Path path{};
    for (unsigned level = F::kLevels; level >= 1; --level) {
      auto* memory = &*slot_memory(root, page, level);
      std::size_t at = 0;
      while (at < slots_.size() && slots_[at].memory != memory) {
        ++at;
      }
      if (at == slots_.size()) {
        Slot slot = {.root = root, .level = level, .memory = memory};
        slot.first = page.align_down(ByteCount(std::uint64_t{1} << F::shift(level)));
        if (level > 1) {
          static_cast<void>(tables_[root].entry(page, level - 1));  // makes the table
          slot.table = F::frame({*memory}, level);
          slot.holds = Slot::Holds::table;
        }
        slots_.push_back(slot);
      }
      path[level] = at;
    }
    return path;
  }
  std::uint64_t* slot_memory(unsigned root, VirtAddr page, unsigned level) {
    Pfn table = frame_of(tables_[root].root());
    for (unsigned at = F::kLevels;; --at) {
      auto* slot = reinterpret_cast<std::uint64_t*>(machine_->window(table).data()) + entry_index<F>(page, at);
      if (at == level) {
        return slot;
      }
      table = F::frame({*slot}, at);
    }
  }

  EntryRights take_rights() {
    const unsigned bits = input_.take_u8();
    return {.write = (bits & 1) != 0, .execute = (bits & 2) != 0, .user = (bits & 4) != 0};
  }
  std::size_t take_page() { return static_cast<std::size_t>(input_.take_in_range(0, pages_.size() - 1)); }

  void edit() {
    Slot& slot = slots_[static_cast<std::size_t>(input_.take_in_range(0, slots_.size() - 1))];
    const auto choice = input_.take_in_range(0, 3);
    slot.rights = F::restricts(slot.level) ? take_rights() : EntryRights::everything();
    std::uint64_t bits = 0;
    if (choice == 0) {
      slot.holds = Slot::Holds::nothing;
    } else if (slot.level > 1 && (choice < 3 || !F::maps_pages(slot.level))) {
      slot.holds = Slot::Holds::table;
      bits = F::make_table(slot.table, slot.level, slot.rights).bits;
    } else {
      const std::uint64_t pages = entry_span<F>(slot.level).value();
      slot.holds = Slot::Holds::page;
      slot.page = Pfn(input_.take_in_range(0, 1) * pages);
      bits = F::make_page(slot.page, slot.level, slot.rights).bits;
    }
    std::atomic_ref(*slot.memory).store(bits);
    for (std::size_t page = 0; page < pages_.size(); ++page) {
      if (&slots_[paths_[slot.root][page][slot.level]] == &slot) {
        for (unsigned cpu = 0; cpu < kCpus; ++cpu) {
          stale_[cpu][page] = stale_[cpu][page] || loaded_[cpu] == slot.root;
        }
      }
    }
  }

  TlbFlush take_flush() {
    if (input_.take_in_range(0, 7) == 0) {
      return flush_of_everything();
    }
    TlbFlush flush;
    flush.range_count = static_cast<unsigned>(input_.take_in_range(1, 3));
    for (unsigned i = 0; i < flush.range_count; ++i) {
      const VirtAddr start = pages_[take_page()];
      const VirtAddr end = pages_[take_page()];
      const bool several = input_.take_bool() && start < end;
      flush.ranges[i] = several ? VirtRange::between(start, end) : VirtRange::must(start, ByteCount(kPageSize));
    }
    return flush;
  }
  void note_flush(unsigned cpu, const TlbFlush& flush) {
    for (std::size_t page = 0; page < pages_.size(); ++page) {
      bool covered = flush.everything;
      for (unsigned i = 0; i < flush.range_count; ++i) {
        covered = covered || flush.ranges[i].contains(pages_[page]);
      }
      stale_[cpu][page] = stale_[cpu][page] && !covered;
    }
  }
  void flush_locally(CpuIndex cpu) {
    const TlbFlush flush = take_flush();
    machine_->flush_local(flush);
    note_flush(cpu.value(), flush);
  }
  void flush_other(CpuIndex cpu) {
    const CpuIndex other(1 - cpu.value());
    const TlbFlush flush = take_flush();
    const auto root = static_cast<unsigned>(input_.take_in_range(0, kRoots - 1));
    CpuSet cpus;
    cpus.add(other);
    machine_->flush_remote(cpus, tables_[root].root(), flush);
    if (loaded_[other.value()] == root) {
      note_flush(other.value(), flush);
    }
  }
  void load_root(CpuIndex cpu, unsigned root) {
    const CpuScope scope(*machine_, cpu);
    machine_->set_root(tables_[root].root());
    loaded_[cpu.value()] = root;
    stale_[cpu.value()].assign(pages_.size(), false);
  }
  void change_controls(CpuIndex cpu) {
    const unsigned bits = input_.take_u8();
    machine_->cpu(cpu).set_controls({.write_protect = (bits & 1) != 0,
                                     .deny_user_execute = (bits & 2) != 0,
                                     .deny_user_access = (bits & 4) != 0,
                                     .user_access_permitted = (bits & 8) != 0,
                                     .root_entries_in_registers = false});
  }

  struct Expected {
    std::uint32_t error_code = 0;
    PhysAddr address;
    unsigned level = 0;  // 0: a fault
  };
  Expected expected(CpuIndex cpu, std::size_t page, VirtAddr address, Access access, Privilege privilege) const {
    const Path& path = paths_[loaded_[cpu.value()]][page];
    EntryRights rights = EntryRights::everything();
    Expected result;
    result.error_code = (access == Access::write ? 2U : 0) | (privilege == Privilege::user ? 4U : 0) |
                        (access == Access::execute ? 16U : 0);
    for (unsigned level = F::kLevels;; --level) {
      const Slot& slot = slots_[path[level]];
      if (slot.holds == Slot::Holds::nothing) {
        return result;
      }
      rights = rights & slot.rights;
      if (slot.holds == Slot::Holds::table) {
        continue;
      }
      result.error_code |= 1;
      const CpuControls& controls = machine_->cpu(cpu).controls();
      const bool kernel = privilege == Privilege::kernel;
      bool allowed = kernel || rights.user;
      if (access == Access::write) {
        allowed = allowed && (rights.write || (kernel && !controls.write_protect));
      }
      if (access == Access::execute) {
        allowed = allowed && rights.execute && !(kernel && rights.user && controls.deny_user_execute);
      } else if (kernel && rights.user && controls.deny_user_access) {
        allowed = allowed && controls.user_access_permitted;
      }
      if (allowed) {
        result.address = vellum::address_of(slot.page) + (address - slot.first);
        result.level = level;
      }
      return result;
    }
  }

  void access(CpuIndex cpu) {
    const std::size_t page = take_page();
    const VirtAddr address = pages_[page] + ByteCount(input_.take_in_range(0, kPageSize - 1));
    const auto kind = static_cast<Access>(input_.take_in_range(0, 2));
    const auto privilege = static_cast<Privilege>(input_.take_in_range(0, 1));
    const Path& path = paths_[loaded_[cpu.value()]][page];
    std::array<std::uint64_t, F::kLevels + 1> before{};
    for (unsigned level = 1; level <= F::kLevels; ++level) {
      before[level] = *slots_[path[level]].memory;
    }
    Mmu<F> mmu(*machine_);
    const auto result = mmu.access(address, kind, privilege);
    for (unsigned level = 1; level <= F::kLevels; ++level) {
      const std::uint64_t changed = *slots_[path[level]].memory ^ before[level];
      const std::uint64_t may_change =
          result ? F::accessed_bit(level) | (kind == Access::write ? F::kDirty : 0) : std::uint64_t{0};
      VELLUM_CHECK((changed & ~may_change) == 0);
    }
    if (stale_[cpu.value()][page]) {
      // What was cached may serve; but after a fault nothing is cached any more.
      stale_[cpu.value()][page] = result.has_value();
      return;
    }
    const Expected wanted = expected(cpu, page, address, kind, privilege);
    VELLUM_CHECK(result.has_value() == (wanted.level != 0));
    if (!result) {
      VELLUM_CHECK(result.error().kind == FaultKind::page && result.error().address == address);
      VELLUM_CHECK(result.error().error_code == wanted.error_code);
      return;
    }
    VELLUM_CHECK(result->address == wanted.address && result->level == wanted.level);
    for (unsigned level = F::kLevels; level >= wanted.level; --level) {
      const bool dirty = level == wanted.level && kind == Access::write;
      const std::uint64_t must_be_set = F::accessed_bit(level) | (dirty ? F::kDirty : 0);
      VELLUM_CHECK((*slots_[path[level]].memory & must_be_set) == must_be_set);
    }
  }

  FuzzInput& input_;
  // Tables lie behind every page that an entry may map.
  const std::unique_ptr<Machine> machine_ =
      Machine::create({.memory = ByteCount(std::uint64_t{3} << 30), .cpus = kCpus}).value();
  std::array<TableBuilder<F>, kRoots> tables_ = {TableBuilder<F>(*machine_, Pfn(std::uint64_t{2} << 18)),
                                                 TableBuilder<F>(*machine_, Pfn((std::uint64_t{2} << 18) + 4096))};
  std::vector<VirtAddr> pages_;
  std::vector<Slot> slots_;
  std::array<std::vector<Path>, kRoots> paths_;
  std::array<std::vector<bool>, kCpus> stale_;
  std::array<unsigned, kCpus> loaded_{};
};

}  // namespace
}  // namespace vellum::hosted

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace vellum;
  using namespace vellum::hosted;
  FuzzInput input(data, size);
  switch (input.take_in_range(0, 3)) {
    case 0:
      MmuFuzz<Amd64>(input).run();
      break;
    case 1:
      MmuFuzz<I386Pae>(input).run();
      break;
    case 2:
      MmuFuzz<ToyNarrow>(input).run();
      break;
    default:
      MmuFuzz<ToyDeep>(input).run();
      break;
  }
  return 0;
}
