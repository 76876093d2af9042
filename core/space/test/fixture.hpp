// A system with address spaces to test on, and a program's view of one of them.
#pragma once

#include <vellum/arena/physical_page_source.hpp>
#include <vellum/hosted/mmu.hpp>
#include <vellum/pagetable/formats.hpp>
#include <vellum/space/space.hpp>
#include <vellum/test/system.hpp>

#include <list>
#include <memory>

#include "../../object/test/memory_pager.hpp"

namespace vellum::test {

// The whole user half of a format, but for its first and last page.
template <PageTableFormat F>
[[nodiscard]] SpaceLayout whole_layout() {
  SpaceLayout layout;
  const std::uint64_t half = std::uint64_t{1} << (F::kSignExtended ? F::kVirtualBits - 1 : F::kVirtualBits);
  layout.user[0] = VirtRange::must(VirtAddr(kPageSize), ByteCount(half - 2 * kPageSize));
  layout.placement_top = layout.user[0].end();
  layout.placement_bottom = layout.user[0].start();
  return layout;
}

template <PageTableFormat F>
class SpaceSystem {
 public:
  explicit SpaceSystem(const SystemSize& size = {}, MeaningPlacement placement = MeaningPlacement::highest)
      : system_(size),
        source_(system_.memory()),
        virtual_memory_(std::make_unique<VirtualMemory<F>>(system_.memory(), source_, placement)) {
    VELLUM_CHECK(virtual_memory_->start().ok());
    virtual_memory_->most_in_order = 1;  // what is counted page by page
    virtual_memory_->large_pages = LargePages::never;
  }
  ~SpaceSystem() { virtual_memory_->stop(); }
  SpaceSystem(const SpaceSystem&) = delete;
  SpaceSystem& operator=(const SpaceSystem&) = delete;

  [[nodiscard]] VirtualMemory<F>& vm() { return *virtual_memory_; }
  [[nodiscard]] Machine& machine() { return system_.machine(); }
  [[nodiscard]] PhysicalMemory& memory() { return system_.memory(); }
  [[nodiscard]] AddressSpace<F>& create(const SpaceLayout& layout = whole_layout<F>()) {
    Result<AddressSpace<F>*> space = AddressSpace<F>::create(vm(), layout, nullptr);
    VELLUM_CHECK(space.ok());
    return *space.value();
  }
  // Lives as long as the system, and so longer than what spaces map.
  [[nodiscard]] MemoryPager& new_pager(ByteCount size) { return pagers_.emplace_back(size); }

 private:
  std::list<MemoryPager> pagers_;
  System system_;
  PhysicalPageSource source_;
  std::unique_ptr<VirtualMemory<F>> virtual_memory_;
};

// What became of an access by a program.
enum class Outcome : std::uint8_t {
  done,
  no_mapping,
  access_denied,
  bus_error,
  out_of_memory,
  missing,
  general_protection
};

// Runs a space on the calling CPU and touches it as a program would, faults and all.
template <PageTableFormat F>
class Program {
 public:
  explicit Program(AddressSpace<F>& space) : space_(space), machine_(space.system().memory.machine()), mmu_(machine_) {
    hosted::CpuControls controls = machine_.current().controls();
    controls.root_entries_in_registers = !F::restricts(F::kLevels);  // as PAE's are
    machine_.current().set_controls(controls);
    space_.activate(machine_.current_cpu());
    machine_.set_root(space_.root_address());
  }
  ~Program() {
    machine_.set_root(PhysAddr(0));
    space_.deactivate(machine_.current_cpu());
  }
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  [[nodiscard]] Outcome store(VirtAddr address, std::uint64_t value) {
    const auto result = mmu_.template store<std::uint64_t>(address, value, Privilege::user, handler());
    return result ? Outcome::done : last_;
  }
  [[nodiscard]] Outcome load(VirtAddr address, std::uint64_t& value) {
    const auto result = mmu_.template load<std::uint64_t>(address, Privilege::user, handler());
    if (result) {
      value = *result;
    }
    return result ? Outcome::done : last_;
  }
  [[nodiscard]] Outcome fetch(VirtAddr address) {
    return mmu_.template fetch<std::uint8_t>(address, Privilege::user, handler()) ? Outcome::done : last_;
  }
  // The value there; all ones where it cannot be read.
  [[nodiscard]] std::uint64_t at(VirtAddr address) {
    std::uint64_t value = ~std::uint64_t{0};
    (void)load(address, value);
    return value;
  }
  [[nodiscard]] hosted::Mmu<F>& mmu() { return mmu_; }
  // Faults taken so far.
  [[nodiscard]] std::uint64_t faults() const { return faults_; }

 private:
  [[nodiscard]] auto handler() {
    return [this](const hosted::Fault& fault) {
      ++faults_;
      if (fault.kind == hosted::FaultKind::general_protection) {
        last_ = Outcome::general_protection;
        return hosted::AfterFault::give_up;
      }
      last_ = static_cast<Outcome>(space_.fault(fault.address, fault.access));
      return last_ == Outcome::done ? hosted::AfterFault::retry : hosted::AfterFault::give_up;
    };
  }

  AddressSpace<F>& space_;
  Machine& machine_;
  hosted::Mmu<F> mmu_;
  Outcome last_ = Outcome::done;
  std::uint64_t faults_ = 0;
};

}  // namespace vellum::test
