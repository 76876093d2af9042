#include <vellum/heap/file_windows.hpp>
#include <vellum/hosted/mmu.hpp>

#include "test/world.hpp"

namespace vellum::test {

namespace {

using namespace literals;

// Frames of an imaginary object, each held once by the test.
template <class F>
class WindowWorld : public HeapWorld<F> {
 public:
  using Window = typename FileWindows<F>::Window;

  explicit WindowWorld(unsigned count) : storage_(FileWindows<F>::storage_size(count).value()), windows(this->space()) {
    VELLUM_CHECK(windows.start(this->region(), storage_).ok());
  }
  ~WindowWorld() {
    windows.trim();
    for (const Pfn frame : frames_) {
      VELLUM_CHECK(this->memory().frame(frame).share() == 1);
      this->memory().free(frame);
    }
  }

  // A frame whose first word is `mark`.
  [[nodiscard]] Pfn frame(std::uint64_t mark) {
    const Pfn made = this->memory().allocate(Contents::zeroed).value();
    *reinterpret_cast<std::uint64_t*>(this->machine().window(made).data()) = mark;
    frames_.push_back(made);
    return made;
  }
  void show(Window& window, unsigned page, Pfn frame) {
    this->memory().frame(frame).retain();
    windows.show(window, page, frame);
  }

 private:
  std::vector<Pfn> frames_;
  std::vector<std::byte> storage_;

 public:
  FileWindows<F> windows;
};

constexpr ByteCount kPage{kPageSize};

VELLUM_TEST_BOTH_FORMATS(FileWindows, ShowWhatTheyAreGiven) {
  WindowWorld<F> world(64);
  const Pfn first = world.frame(11);
  const Pfn second = world.frame(22);
  auto* const window = world.windows.acquire({.object = 1, .index = 5});
  ASSERT_NE(window, nullptr);
  EXPECT_FALSE(world.read(window->start()));
  world.show(*window, 0, first);
  EXPECT_EQ(world.read(window->start()), 11U);
  EXPECT_FALSE(world.read(window->start() + kPage));
  world.show(*window, 1, second);
  EXPECT_TRUE(world.writes(window->start() + kPage, 23));
  EXPECT_EQ(*reinterpret_cast<std::uint64_t*>(world.machine().window(second).data()), 23U);
  EXPECT_FALSE(world.may(Access::execute, window->start()));
  // The page was truncated away and another one came.
  const Pfn other = world.frame(33);
  world.show(*window, 0, other);
  EXPECT_EQ(world.read(window->start()), 33U);
  EXPECT_EQ(world.memory().frame(first).share(), 1U);
  world.windows.release(*window);
}

VELLUM_TEST_BOTH_FORMATS(FileWindows, IdleOnesAreFoundAgain) {
  WindowWorld<F> world(64);
  const Pfn frame = world.frame(1);
  auto* const window = world.windows.acquire({.object = 1, .index = 0});
  EXPECT_EQ(world.windows.acquire({.object = 1, .index = 0}), window);
  world.show(*window, 0, frame);
  world.windows.release(*window);
  world.windows.release(*window);
  auto* const other = world.windows.acquire({.object = 2, .index = 0});
  EXPECT_NE(other, window);
  world.windows.release(*other);
  EXPECT_EQ(world.windows.acquire({.object = 1, .index = 0}), window);
  EXPECT_EQ(world.read(window->start()), 1U);
  world.show(*window, 0, frame);  // what it shows already takes no second reference
  EXPECT_EQ(world.memory().frame(frame).share(), 2U);
  world.windows.release(*window);
  EXPECT_EQ(world.windows.showing(), 1U);
  world.windows.forget({.object = 2, .index = 0}, 10);
  world.windows.forget({.object = 1, .index = 1}, 1000);
  EXPECT_EQ(world.windows.showing(), 1U);
  world.windows.forget({.object = 1, .index = 0}, 1);
  EXPECT_EQ(world.windows.showing(), 0U);
  EXPECT_FALSE(world.read(window->start()));
}

VELLUM_TEST_BOTH_FORMATS(FileWindows, TheLongestIdleIsTakenAndEmptied) {
  WindowWorld<F> world(16);  // two in each shard
  const Pfn frame = world.frame(1);
  for (std::uint64_t index = 0; index < 500; ++index) {
    auto* const window = world.windows.acquire({.object = 3, .index = index});
    ASSERT_NE(window, nullptr);
    EXPECT_FALSE(world.read(window->start()));
    world.show(*window, 0, frame);
    EXPECT_EQ(world.read(window->start()), 1U);
    world.windows.release(*window);
    EXPECT_LE(world.memory().frame(frame).share(), 17U);
  }
}

VELLUM_TEST_BOTH_FORMATS(FileWindows, WhatIsInUseIsNotTaken) {
  WindowWorld<F> world(16);
  std::vector<typename WindowWorld<F>::Window*> held;
  bool refused = false;
  for (std::uint64_t index = 0; index < 100; ++index) {
    auto* const window = world.windows.acquire({.object = 4, .index = index});
    refused = refused || window == nullptr;
    if (window != nullptr) {
      held.push_back(window);
    }
  }
  EXPECT_TRUE(refused);
  EXPECT_EQ(held.size(), 16U);
  for (auto* const window : held) {
    world.windows.release(*window);
  }
}

}  // namespace

}  // namespace vellum::test
