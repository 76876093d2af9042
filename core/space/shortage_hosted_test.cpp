// Every allocation that an operation makes fails once: the operation says so, nothing has changed that anybody can
// tell, and all is free at the end (which the system's end checks).

#include "../object/test/memory_pager.hpp"
#include "test/typed.hpp"

namespace vellum {
namespace {

using test::kRead;
using test::kReadWrite;
using test::Outcome;
using test::pages;
using test::Program;

constexpr std::uint64_t kPages = 40;

template <class F>
class Shortage : public ::testing::Test {
 protected:
  Shortage() : pager(pages(kPages)) {}

  // A space with a bit of everything, in which each page that can be written holds its number.
  struct World {
    AddressSpace<F>* space;
    VirtAddr at;      // anonymous, with a read-only stretch and a hole
    VirtAddr shared;  // the file, shared
    MemoryObject<F>* file;
  };
  [[nodiscard]] World build() {
    AddressSpace<F>& space = system.create();
    MemoryObject<F>& file = *system.vm().objects.create_file(pager, pages(kPages)).value();
    const VirtAddr at = space.map({.address = {}, .length = pages(kPages), .prot = kReadWrite}).value();
    const VirtAddr shared = space
                                .map({.address = {},
                                      .length = pages(kPages),
                                      .prot = kReadWrite,
                                      .traits = Traits::shared(),
                                      .object = &file})
                                .value();
    {
      Program<F> program(space);
      for (std::uint64_t page = 0; page < kPages; page += 3) {
        EXPECT_EQ(program.store(at + pages(page), 100 + page), Outcome::done);
      }
      EXPECT_EQ(program.store(shared, 5), Outcome::done);
    }
    VELLUM_CHECK(space.protect(at + pages(10), pages(3), kRead).ok());
    VELLUM_CHECK(space.unmap(at + pages(20), pages(2)).ok());
    return {.space = &space, .at = at, .shared = shared, .file = &file};
  }
  static void expect_contents(AddressSpace<F>& space, const World& world) {
    Program<F> program(space);
    for (std::uint64_t page = 0; page < kPages; ++page) {
      std::uint64_t value = 0;
      const bool gone = page == 20 || page == 21;
      ASSERT_EQ(program.load(world.at + pages(page), value), gone ? Outcome::no_mapping : Outcome::done);
      ASSERT_EQ(value, !gone && page % 3 == 0 ? 100 + page : 0);
    }
    EXPECT_EQ(program.at(world.shared), 5U);
  }
  static void end(const World& world) {
    world.space->check_invariants();
    world.space->destroy();
    world.file->release();
  }
  // Calls operation(world) -> bool, whether it succeeded, on a new world for each allocation that fails.
  template <class Operation>
  void fail_each_allocation(bool after_fork, Operation operation) {
    for (std::uint64_t n = 1;; ++n) {
      ASSERT_LT(n, 1000U);
      const World world = build();
      AddressSpace<F>* const child = after_fork ? world.space->fork().value() : nullptr;
      const auto before = test::ranges(*world.space);
      const PageCount mapped = world.space->mapped();
      system.machine().failures().fail_nth(n);
      const bool succeeded = operation(world);
      const bool failed = system.machine().failures().failures() > 0;
      system.machine().failures().off();
      world.space->check_invariants();
      if (!succeeded) {
        EXPECT_TRUE(failed);
        EXPECT_EQ(test::ranges(*world.space), before);
        EXPECT_EQ(world.space->mapped(), mapped);
        expect_contents(*world.space, world);
      }
      if (child != nullptr) {
        child->check_invariants();
        expect_contents(*child, world);
        child->destroy();
      }
      end(world);
      if (!failed) {
        EXPECT_TRUE(succeeded);
        return;
      }
    }
  }

  test::SpaceSystem<F> system;
  test::MemoryPager pager;
};
TYPED_TEST_SUITE(Shortage, test::AllFormats);

TYPED_TEST(Shortage, OfMap) {
  using F = TypeParam;
  for (const bool after_fork : {false, true}) {
    for (const Traits traits : {Traits(), Traits::shared()}) {
      this->fail_each_allocation(after_fork, [&](const auto& world) {
        const MapRequest<F> request = {.address = world.at + pages(5),
                                       .length = pages(12),
                                       .prot = kRead,
                                       .traits = traits,
                                       .placement = Placement::fixed};
        const Result<VirtAddr> result = world.space->map(request);
        EXPECT_TRUE(result.ok() || result.error() == Errno::no_memory);
        return result.ok();
      });
    }
  }
}

TYPED_TEST(Shortage, OfUnmap) {
  for (const bool after_fork : {false, true}) {
    this->fail_each_allocation(after_fork, [&](const auto& world) {
      const Result<void> result = world.space->unmap(world.at + pages(7), pages(11));
      EXPECT_TRUE(result.ok() || result.error() == Errno::no_memory);
      return result.ok();
    });
    this->fail_each_allocation(
        after_fork, [&](const auto& world) { return world.space->unmap(world.shared + pages(1), pages(1)).ok(); });
  }
}

TYPED_TEST(Shortage, OfProtect) {
  for (const bool after_fork : {false, true}) {
    this->fail_each_allocation(after_fork, [&](const auto& world) {
      const Result<void> result = world.space->protect(world.at + pages(1), pages(15), Prot::read());
      EXPECT_TRUE(result.ok() || result.error() == Errno::no_memory);
      return result.ok();
    });
  }
}

TYPED_TEST(Shortage, OfFork) {
  for (const bool after_fork : {false, true}) {
    this->fail_each_allocation(after_fork, [&](const auto& world) {
      const auto result = world.space->fork();
      if (result.ok()) {
        this->expect_contents(*result.value(), world);
        result.value()->destroy();
      }
      EXPECT_TRUE(result.ok() || result.error() == Errno::no_memory);
      return result.ok();
    });
  }
}

TYPED_TEST(Shortage, OfFaults) {
  struct Case {
    std::uint64_t page;
    bool shared;
    Access access;
  };
  // A page that is there, one that is not, one of zeros; a page of the file that is there and ones that are not.
  for (const Case& tried : {Case{3, false, Access::write}, Case{4, false, Access::write},
                            Case{39, false, Access::write}, Case{4, false, Access::read}, Case{0, true, Access::write},
                            Case{30, true, Access::write}, Case{30, true, Access::read}}) {
    for (const bool after_fork : {false, true}) {
      this->fail_each_allocation(after_fork, [&](const auto& world) {
        const VirtAddr at = (tried.shared ? world.shared : world.at) + pages(tried.page);
        const FaultVerdict verdict = world.space->fault(at, tried.access);
        EXPECT_TRUE(verdict == FaultVerdict::resolved || verdict == FaultVerdict::out_of_memory);
        return verdict == FaultVerdict::resolved;
      });
    }
  }
}

TYPED_TEST(Shortage, OfTheBreak) {
  this->fail_each_allocation(false, [&](const auto& world) {
    const VirtAddr start = world.space->layout().user[0].start();
    world.space->set_break_start(start, pages(20));
    const VirtAddr reached = world.space->set_break(start + pages(9));
    EXPECT_TRUE(reached == start || reached == start + pages(9));
    return reached != start;
  });
}

TYPED_TEST(Shortage, OfNewSpacesAndObjects) {
  using F = TypeParam;
  for (std::uint64_t n = 1;; ++n) {
    this->system.machine().failures().fail_nth(n);
    const Result<AddressSpace<F>*> space = AddressSpace<F>::create(this->system.vm(), test::whole_layout<F>(), nullptr);
    const Result<MemoryObject<F>*> object = this->system.vm().objects.create_anonymous(pages(3));
    const bool failed = this->system.machine().failures().failures() > 0;
    this->system.machine().failures().off();
    EXPECT_TRUE(space.ok() || space.error() == Errno::no_memory);
    EXPECT_TRUE(object.ok() || object.error() == Errno::no_memory);
    EXPECT_TRUE(failed || (space.ok() && object.ok()));  // what a cache can do without is no failure
    if (space.ok()) {
      space.value()->destroy();
    }
    if (object.ok()) {
      object.value()->release();
    }
    if (!failed) {
      break;
    }
  }
}

// Memory really runs out: faults say so, and what was had before is intact.
TYPED_TEST(Shortage, IsSurvivedByWhoHasMemory) {
  using F = TypeParam;
  const auto world = this->build();
  std::vector<Pfn> taken;
  for (;;) {
    const Result<Pfn> frame = this->system.memory().allocate(Contents::any);
    if (!frame.ok()) {
      break;
    }
    taken.push_back(frame.value());
  }
  {
    Program<F> program(*world.space);
    EXPECT_EQ(program.store(world.at + pages(1), 1), Outcome::out_of_memory);
    EXPECT_EQ(program.at(world.at + pages(3)), 103U);
    EXPECT_EQ(program.store(world.at + pages(3), 103), Outcome::done);
  }
  for (const Pfn frame : taken) {
    this->system.memory().free(frame);
  }
  this->expect_contents(*world.space, world);
  this->end(world);
}

}  // namespace
}  // namespace vellum
