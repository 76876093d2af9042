// What the tests of the kernel half stand on: a space whose root the simulated processor runs, and its loads and
// stores.
#pragma once

#include <vellum/arena/physical_page_source.hpp>
#include <vellum/arena/segment.hpp>
#include <vellum/heap/kernel_space.hpp>

#include "../../pagetable/test/world.hpp"

// A test that runs for the formats of both kernels.
#define VELLUM_TEST_BOTH_FORMATS(suite, name)             \
  template <class F>                                      \
  void suite##name();                                     \
  TEST(suite, name##_Amd64) { suite##name<Amd64>(); }     \
  TEST(suite, name##_I386Pae) { suite##name<I386Pae>(); } \
  template <class F>                                      \
  void suite##name()

namespace vellum::test {

// At the end every page must be free again.
template <PageTableFormat F>
class HeapWorld : public NodeWorld {
 public:
  explicit HeapWorld(const SystemSize& size = {})
      : NodeWorld(size), pages_(memory()), metadata_(pages_, machine()), space_(store()) {
    const VirtRange half[] = {kernel_half()};
    VELLUM_CHECK(space_.start(half).ok());
    machine().set_root(space_.root_address());
  }
  ~HeapWorld() {
    space_.end();
    metadata_.tags.reap();
  }

  // The upper half of the format's addresses.
  [[nodiscard]] static VirtRange kernel_half() {
    const PageCount half(std::uint64_t{1} << (F::kVirtualBits - kPageShift - 1));
    return VirtRange::must(address_of<F>(Vpn(half.value())), bytes_of(half));
  }
  // A region of it that begins at a large page.
  [[nodiscard]] static VirtRange region(ByteCount size = ByteCount(std::uint64_t{64} << 20)) {
    return VirtRange::must(kernel_half().start() + ByteCount(std::uint64_t{4} << 20), size);
  }

  [[nodiscard]] KernelSpace<F>& space() { return space_; }
  [[nodiscard]] ArenaMetadata& metadata() { return metadata_; }

  // Accesses by the kernel on the CPU that the caller drives.
  [[nodiscard]] bool writes(VirtAddr address, std::uint64_t value = 1) {
    hosted::Mmu<F> mmu(machine());
    return mmu.template store<std::uint64_t>(address, value, Privilege::kernel).has_value();
  }
  [[nodiscard]] std::optional<std::uint64_t> read(VirtAddr address) {
    hosted::Mmu<F> mmu(machine());
    const auto value = mmu.template load<std::uint64_t>(address, Privilege::kernel);
    return value ? std::optional(*value) : std::nullopt;
  }
  [[nodiscard]] bool may(Access access, VirtAddr address, Privilege privilege = Privilege::kernel) {
    return hosted::Mmu<F>(machine()).access(address, access, privilege).has_value();
  }

 private:
  PhysicalPageSource pages_;
  ArenaMetadata metadata_;
  KernelSpace<F> space_;
};

}  // namespace vellum::test
