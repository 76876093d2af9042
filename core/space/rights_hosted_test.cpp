// The tables themselves, as a processor would read them: whatever was done, no page grants more than its region has,
// and none that is written is seen by somebody who should not.

#include <map>
#include <random>

#include "../object/test/memory_pager.hpp"
#include "test/typed.hpp"

namespace vellum {
namespace {

using test::pages;

struct Granted {
  EntryRights rights;
  std::uint64_t frame;
};

// Every page that the tables below `root` map, read from memory with nothing but the format.
template <class F>
void walk(const Machine& machine, Pfn table, unsigned level, std::uint64_t first_page, EntryRights above,
          std::map<std::uint64_t, Granted>& found) {
  const auto window = machine.window(table);
  const auto* entries = reinterpret_cast<const std::uint64_t*>(window.data());
  for (unsigned index = 0; index < entry_count<F>(level); ++index) {
    const Entry entry{entries[index]};
    if (!F::is_present(entry)) {
      continue;
    }
    const EntryRights rights = above & F::rights(entry, level);
    const std::uint64_t page = first_page + index * entry_span<F>(level).value();
    if (F::is_page(entry, level)) {
      found[page] = {.rights = rights, .frame = F::frame(entry, level).value()};
    } else {
      walk<F>(machine, F::frame(entry, level), level - 1, page, rights, found);
    }
  }
}

template <class F>
[[nodiscard]] std::map<std::uint64_t, Granted> walk(AddressSpace<F>& space) {
  std::map<std::uint64_t, Granted> found;
  walk<F>(space.system().memory.machine(), frame_of(space.root_address()), F::kLevels, 0, EntryRights::everything(),
          found);
  return found;
}

template <class F>
void expect_within_regions(AddressSpace<F>& space) {
  const auto regions = test::regions(space);
  for (const auto& [page, granted] : walk(space)) {
    const VirtAddr at = address_of<F>(Vpn(page));
    const Region<F>* region = nullptr;
    for (const Region<F>& candidate : regions) {
      region = candidate.range.contains(at) ? &candidate : region;
    }
    ASSERT_NE(region, nullptr);  // nothing is mapped there
    ASSERT_FALSE(region->prot.is_none());
    ASSERT_TRUE(granted.rights.user);
    ASSERT_TRUE(region->prot.can_write() || !granted.rights.write);
    ASSERT_TRUE(region->prot.can_execute() || !granted.rights.execute);
  }
}

// A frame that one space may write as its private memory is in no other's tables.
template <class F>
void expect_apart(AddressSpace<F>& one, AddressSpace<F>& other) {
  std::map<std::uint64_t, bool> writable;
  for (const auto& [page, granted] : walk(one)) {
    if (granted.rights.write && one.system().memory.frame(Pfn(granted.frame)).kind() == FrameKind::anonymous) {
      ASSERT_FALSE(writable[granted.frame]);
      writable[granted.frame] = true;
    }
  }
  for (const auto& [page, granted] : walk(other)) {
    ASSERT_EQ(writable.count(granted.frame), 0U);
  }
}

template <class F>
class Rights : public ::testing::Test {};
TYPED_TEST_SUITE(Rights, test::AllFormats);

TYPED_TEST(Rights, AreNeverMoreThanTheRegionHas) {
  using F = TypeParam;
  test::SpaceSystem<F> system;
  test::MemoryPager& pager = system.new_pager(pages(40));
  MemoryObject<F>& file = *system.vm().objects.create_file(pager, pages(40)).value();
  AddressSpace<F>* spaces[2] = {&system.create(), nullptr};
  const VirtAddr low = spaces[0]->layout().user[0].start();
  std::mt19937 random(1);
  const auto up_to = [&](std::uint64_t bound) { return std::uint64_t{random()} % bound; };
  for (int step = 0; step < 600; ++step) {
    AddressSpace<F>& space = *spaces[spaces[1] == nullptr ? 0 : up_to(2)];
    const std::uint64_t length = 1 + up_to(up_to(3) == 0 ? 40 : 6);
    const VirtAddr at = low + pages(up_to(100 - length));
    const Prot prot = Prot::from_bits(static_cast<unsigned>(up_to(8)));
    switch (up_to(8)) {
      case 0: {
        const unsigned kind = static_cast<unsigned>(up_to(4));
        const MapRequest<F> request = {.address = at,
                                       .length = pages(length),
                                       .prot = prot,
                                       .traits = (kind & 1U) != 0 ? Traits::shared() : Traits(),
                                       .placement = Placement::fixed,
                                       .object = (kind & 2U) != 0 ? &file : nullptr};
        ASSERT_TRUE(space.map(request).ok());
        break;
      }
      case 1:
        ASSERT_TRUE(space.unmap(at, pages(length)).ok());
        break;
      case 2:
      case 3:
        (void)space.protect(at, pages(length), prot);
        break;
      case 4:
        if (up_to(4) == 0) {
          if (spaces[1] == nullptr) {
            spaces[1] = space.fork().value();
          } else {
            spaces[1]->destroy();
            spaces[1] = nullptr;
          }
        }
        break;
      case 5:
        ASSERT_TRUE(file.write_back(IndexRange::must(PageIndex(0), PageCount(40))).ok());
        break;
      default:
        for (std::uint64_t page = 0; page < length; ++page) {
          (void)space.fault(at + pages(page), static_cast<Access>(up_to(3)));
        }
        break;
    }
    expect_within_regions(*spaces[0]);
    if (spaces[1] != nullptr) {
      expect_within_regions(*spaces[1]);
      expect_apart(*spaces[0], *spaces[1]);
      expect_apart(*spaces[1], *spaces[0]);
    }
    if (this->HasFatalFailure()) {
      break;
    }
  }
  for (AddressSpace<F>* space : spaces) {
    if (space != nullptr) {
      space->check_invariants();
      space->destroy();
    }
  }
  file.release();
}

}  // namespace
}  // namespace vellum
