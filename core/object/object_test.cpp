#include <functional>
#include <memory>
#include <vector>

#include <vellum/object/object.hpp>

#include "../pagetable/test/world.hpp"
#include "test/memory_pager.hpp"

namespace vellum {
namespace {

using test::MemoryPager;

constexpr ByteCount pages(std::uint64_t count) { return bytes_of(PageCount(count)); }
constexpr IndexRange kAll = IndexRange::must(PageIndex(0), PageCount(std::uint64_t{1} << 40));

template <class F>
class ObjectWorld : public test::NodeWorld {
 public:
  explicit ObjectWorld(std::uint64_t file_pages = 6)
      : pager(pages(file_pages)), objects_(std::make_unique<ObjectStore<F>>(store())) {
    file = objects_->create_file(pager, pages(file_pages)).value();
  }
  ~ObjectWorld() {
    if (file != nullptr) {
      file->release();
    }
    epochs().drain();
    objects_->reap();
  }
  [[nodiscard]] ObjectStore<F>& objects() { return *objects_; }
  [[nodiscard]] static Result<ByteCount> write_word(MemoryObject<F>& object, std::uint64_t offset, std::uint64_t word) {
    return object.write(ByteCount(offset), std::as_bytes(std::span(&word, 1)));
  }
  [[nodiscard]] static std::uint64_t word(MemoryObject<F>& object, std::uint64_t offset) {
    std::uint64_t value = ~std::uint64_t{0};
    EXPECT_TRUE(object.read(ByteCount(offset), std::as_writable_bytes(std::span(&value, 1))).ok());
    return value;
  }
  // The frame of a page in memory, not held any more.
  [[nodiscard]] std::optional<Pfn> lookup(MemoryObject<F>& object, std::uint64_t index, Access access) {
    const EpochSection section(epochs(), machine());
    const std::optional<Pfn> frame = object.lookup(PageIndex(index), access);
    if (frame) {
      EXPECT_GE(memory().frame(*frame).share(), 2U);
      EXPECT_FALSE(memory().frame(*frame).release());
    }
    return frame;
  }

  MemoryPager pager;
  MemoryObject<F>* file = nullptr;

 private:
  std::unique_ptr<ObjectStore<F>> objects_;
};

VELLUM_TEST_EACH_FORMAT(Object, ReadsAPageOnceAndKeepsIt) {
  ObjectWorld<F> world;
  EXPECT_EQ(world.file->resident(), PageCount(0));
  EXPECT_FALSE(world.lookup(*world.file, 2, Access::read).has_value());
  EXPECT_EQ(world.word(*world.file, 2 * kPageSize), MemoryPager::first_word(PageIndex(2)));
  EXPECT_EQ(world.word(*world.file, 2 * kPageSize + 8), 0U);
  EXPECT_TRUE(world.file->populate(PageIndex(2)).ok());
  EXPECT_TRUE(world.pager.reads == std::vector<std::uint64_t>{2});
  EXPECT_EQ(world.file->resident(), PageCount(1));
  EXPECT_EQ(world.file->dirty(), PageCount(0));
  const std::optional<Pfn> frame = world.lookup(*world.file, 2, Access::read);
  ASSERT_TRUE(frame.has_value());
  EXPECT_TRUE(world.memory().frame(*frame).kind() == FrameKind::object);
  EXPECT_EQ(world.memory().frame(*frame).share(), 1U);
}

VELLUM_TEST_EACH_FORMAT(Object, NeighboursComeWithAPage) {
  ObjectWorld<F> world;
  world.pager.together = 4;
  EXPECT_EQ(world.word(*world.file, 2 * kPageSize), MemoryPager::first_word(PageIndex(2)));
  EXPECT_TRUE(world.pager.reads == (std::vector<std::uint64_t>{2, 0, 1, 3}));
  EXPECT_EQ(world.word(*world.file, kPageSize), MemoryPager::first_word(PageIndex(1)));
  EXPECT_EQ(world.file->resident(), PageCount(4));
  EXPECT_EQ(world.file->dirty(), PageCount(0));
  EXPECT_EQ(world.word(*world.file, 4 * kPageSize), MemoryPager::first_word(PageIndex(4)));
  EXPECT_TRUE(world.pager.reads == (std::vector<std::uint64_t>{2, 0, 1, 3, 4, 5}));  // the file has six
}

VELLUM_TEST_EACH_FORMAT(Object, CleanPagesThatNobodyHoldsAreDropped) {
  ObjectWorld<F> world;
  for (std::uint64_t index = 0; index < 6; ++index) {
    ASSERT_TRUE(world.file->populate(PageIndex(index)).ok());
  }
  ASSERT_TRUE(world.write_word(*world.file, kPageSize, 77).ok());  // dirty
  std::optional<Pfn> held;
  {
    const EpochSection section(world.epochs(), world.machine());
    held = world.file->lookup(PageIndex(4), Access::read);
  }
  ASSERT_TRUE(held.has_value());
  EXPECT_EQ(world.file->drop_clean(PageCount(2)), PageCount(2));
  EXPECT_EQ(world.file->resident(), PageCount(4));
  EXPECT_EQ(world.file->drop_clean(PageCount(100)), PageCount(2));
  EXPECT_EQ(world.file->resident(), PageCount(2));
  EXPECT_EQ(world.file->drop_clean(PageCount(100)), PageCount(0));
  EXPECT_FALSE(world.memory().frame(*held).release());
  EXPECT_EQ(world.file->drop_clean(PageCount(100)), PageCount(1));
  EXPECT_EQ(world.word(*world.file, kPageSize), 77U);
  EXPECT_EQ(world.word(*world.file, 4 * kPageSize), MemoryPager::first_word(PageIndex(4)));
}

VELLUM_TEST_EACH_FORMAT(Object, IsHeldOnceMoreWhileItLives) {
  ObjectWorld<F> world;
  EXPECT_TRUE(world.file->try_retain());
  world.file->release();
  EXPECT_TRUE(world.file->try_retain());
  world.file->release();
}

VELLUM_TEST_EACH_FORMAT(Object, ReadingAndWritingEndWithTheObject) {
  ObjectWorld<F> world;
  const ByteCount size = world.file->size();
  std::vector<std::byte> buffer(3 * kPageSize, std::byte{7});
  EXPECT_EQ(world.file->read(size - ByteCount(100), buffer).value(), ByteCount(100));
  EXPECT_EQ(world.file->read(size, buffer).value(), ByteCount(0));
  EXPECT_EQ(world.file->read(ByteCount(~std::uint64_t{0}), buffer).value(), ByteCount(0));
  EXPECT_EQ(world.file->write(size - ByteCount(10), buffer).value(), ByteCount(10));
  EXPECT_EQ(world.file->write(size, buffer).value(), ByteCount(0));
  EXPECT_EQ(world.file->read(ByteCount(5), std::span<std::byte>()).value(), ByteCount(0));
  EXPECT_EQ(world.file->size(), size);
  EXPECT_EQ(world.file->populate(PageIndex(6)).error(), Errno::out_of_range);
  EXPECT_EQ(world.file->populate(PageIndex(std::uint64_t{1} << 52)).error(), Errno::out_of_range);
  EXPECT_FALSE(world.lookup(*world.file, 6, Access::read).has_value());
  // Across pages, and not at a word.
  std::vector<std::byte> text(2 * kPageSize + 3);
  for (std::size_t i = 0; i < text.size(); ++i) {
    text[i] = static_cast<std::byte>(i * 7);
  }
  ASSERT_EQ(world.file->write(ByteCount(kPageSize - 1), text).value(), ByteCount(text.size()));
  std::vector<std::byte> back(text.size());
  ASSERT_EQ(world.file->read(ByteCount(kPageSize - 1), back).value(), ByteCount(text.size()));
  EXPECT_TRUE(back == text);
}

VELLUM_TEST_EACH_FORMAT(Object, WritesBackWhatIsDirtyInARange) {
  ObjectWorld<F> world;
  for (const std::uint64_t page : {std::uint64_t{0}, std::uint64_t{2}, std::uint64_t{5}}) {
    ASSERT_TRUE(world.write_word(*world.file, page * kPageSize + 16, 100 + page).ok());
  }
  EXPECT_EQ(world.word(*world.file, kPageSize), MemoryPager::first_word(PageIndex(1)));
  EXPECT_EQ(world.file->dirty(), PageCount(3));
  ASSERT_TRUE(world.file->write_back(IndexRange::must(PageIndex(1), PageCount(3))).ok());
  EXPECT_TRUE(world.pager.writes == std::vector<std::uint64_t>{2});
  EXPECT_EQ(world.file->dirty(), PageCount(2));
  EXPECT_EQ(world.pager.word(2 * kPageSize + 16), 102U);
  EXPECT_EQ(world.pager.word(2 * kPageSize), MemoryPager::first_word(PageIndex(2)));
  ASSERT_TRUE(world.file->write_back(kAll).ok());
  EXPECT_TRUE((world.pager.writes == std::vector<std::uint64_t>{2, 0, 5}));
  EXPECT_EQ(world.file->dirty(), PageCount(0));
  EXPECT_EQ(world.file->resident(), PageCount(4));
  ASSERT_TRUE(world.file->write_back(kAll).ok());
  EXPECT_EQ(world.pager.writes.size(), 3U);
}

VELLUM_TEST_EACH_FORMAT(Object, PassesTheErrorsOfItsPagerOn) {
  ObjectWorld<F> world;
  const PageCount free = world.memory().free_count();
  for (const Errno error : {Errno::io_error, Errno::no_memory}) {
    world.pager.error = error;
    std::uint64_t value = 0;
    EXPECT_EQ(world.file->read(ByteCount(0), std::as_writable_bytes(std::span(&value, 1))).error(), error);
    EXPECT_EQ(world.write_word(*world.file, 0, 1).error(), error);
    EXPECT_EQ(world.file->populate(PageIndex(0)).error(), error);
    EXPECT_EQ(world.file->resident(), PageCount(0));
    EXPECT_EQ(world.memory().free_count(), free);
  }
  world.pager.error.reset();
  ASSERT_TRUE(world.write_word(*world.file, kPageSize, 5).ok());
  ASSERT_TRUE(world.write_word(*world.file, 3 * kPageSize, 6).ok());
  world.pager.error = Errno::no_space;
  EXPECT_EQ(world.file->write_back(kAll).error(), Errno::no_space);
  EXPECT_TRUE(world.pager.writes == std::vector<std::uint64_t>{1});  // until it fails
  EXPECT_EQ(world.file->dirty(), PageCount(2));
  world.pager.error.reset();
  EXPECT_TRUE(world.file->write_back(kAll).ok());
  EXPECT_EQ(world.pager.word(kPageSize), 5U);
  EXPECT_EQ(world.pager.word(3 * kPageSize), 6U);
}

VELLUM_TEST_EACH_FORMAT(Object, AnonymousMemoryIsZerosAndNeverDirty) {
  ObjectWorld<F> world;
  MemoryObject<F>& object = *world.objects().create_anonymous(pages(5)).value();
  EXPECT_FALSE(object.is_file());
  EXPECT_EQ(world.word(object, 3 * kPageSize), 0U);
  ASSERT_TRUE(world.write_word(object, 3 * kPageSize, 9).ok());
  EXPECT_EQ(world.word(object, 3 * kPageSize), 9U);
  EXPECT_EQ(object.resident(), PageCount(1));
  EXPECT_EQ(object.dirty(), PageCount(0));
  EXPECT_TRUE(object.write_back(kAll).ok());
  object.resize(pages(3));
  object.resize(pages(5));
  EXPECT_EQ(world.word(object, 3 * kPageSize), 0U);
  object.release();
}

VELLUM_TEST_EACH_FORMAT(Object, ShrinkingFreesAndGrowingShowsWhatThePagerHas) {
  ObjectWorld<F> world;
  for (std::uint64_t page = 0; page < 6; ++page) {
    ASSERT_TRUE(world.write_word(*world.file, page * kPageSize + 64, page).ok());
  }
  const PageCount free = world.memory().free_count();
  world.file->resize(ByteCount(2 * kPageSize + 68));
  EXPECT_EQ(world.file->resident(), PageCount(3));
  EXPECT_EQ(world.memory().free_count(), free + PageCount(3));
  EXPECT_EQ(world.file->page_count(), PageCount(3));
  EXPECT_FALSE(world.lookup(*world.file, 3, Access::read).has_value());
  world.file->resize(pages(6));
  EXPECT_EQ(world.word(*world.file, 2 * kPageSize), MemoryPager::first_word(PageIndex(2)));
  EXPECT_EQ(world.word(*world.file, 2 * kPageSize + 64), 2U);  // the first four bytes of it were kept
  EXPECT_EQ(world.word(*world.file, 2 * kPageSize + 72), 0U);
  EXPECT_EQ(world.word(*world.file, 4 * kPageSize), MemoryPager::first_word(PageIndex(4)));
  EXPECT_EQ(world.word(*world.file, 4 * kPageSize + 64), 0U);
  world.file->resize(ByteCount(0));
  EXPECT_EQ(world.file->resident(), PageCount(0));
  EXPECT_EQ(world.memory().free_count(), free + PageCount(6));
}

VELLUM_TEST_EACH_FORMAT(Object, MayBeLargerThanTheFormatsAddresses) {
  ObjectWorld<F> world;
  constexpr PageCount kMost = MemoryObject<F>::kMaxPages;
  MemoryObject<F>& object = *world.objects().create_anonymous(bytes_of(kMost + PageCount(20)), Promise::none).value();
  ASSERT_TRUE(world.write_word(object, 0, 4).ok());
  ASSERT_TRUE(object.populate(PageIndex((kMost - PageCount(1)).value())).ok());
  EXPECT_EQ(object.populate(PageIndex(kMost.value())).error(), Errno::out_of_range);
  object.resize(bytes_of(kMost + PageCount(10)));
  EXPECT_EQ(object.resident(), PageCount(2));
  object.resize(bytes_of(kMost - PageCount(1)));
  EXPECT_EQ(object.resident(), PageCount(1));
  EXPECT_EQ(world.word(object, 0), 4U);
  object.release();
}

VELLUM_TEST_EACH_FORMAT(Object, ItsTreeGrowsAroundWhatIsThere) {
  ObjectWorld<F> world;
  const std::uint64_t far = MemoryObject<F>::kMaxPages.value() - 1;
  MemoryObject<F>& object = *world.objects().create_anonymous(pages(far + 1), Promise::none).value();
  std::vector<std::uint64_t> indices = {0};
  for (unsigned level = 2; level <= F::kLevels; ++level) {
    indices.push_back(entry_span<F>(level).value());
  }
  indices.push_back(far);
  for (const std::uint64_t index : indices) {
    ASSERT_TRUE(world.write_word(object, index * kPageSize, index + 1).ok());
    for (const std::uint64_t known : indices) {
      if (known <= index) {
        EXPECT_EQ(world.word(object, known * kPageSize), known + 1);
      }
    }
  }
  EXPECT_EQ(object.resident(), PageCount(indices.size()));
  object.release();
}

VELLUM_TEST_EACH_FORMAT(Object, HandsOutItsOwnTables) {
  ObjectWorld<F> world;
  const std::uint64_t leaf = entry_span<F>(2).value();
  MemoryObject<F>& object = *world.objects().create_anonymous(pages(2 * leaf)).value();
  {
    const EpochSection section(world.epochs(), world.machine());
    Node* const first = object.table_for(PageIndex(1), 1).value();
    Node* const again = object.table_for(PageIndex(leaf - 1), 1).value();
    Node* const second = object.table_for(PageIndex(leaf), 1).value();
    EXPECT_EQ(first, again);
    EXPECT_NE(first, second);
    EXPECT_TRUE(first->object_owned);
    EXPECT_EQ(first->share.load(), 3U);  // the object's own, and two
    EXPECT_EQ(object.table_for(PageIndex(0), F::kLevels + 1).error(), Errno::out_of_range);
    first->share.fetch_sub(2);
    second->share.fetch_sub(1);
  }
  object.release();
}

#ifndef VELLUM_TEST_IN_KERNEL  // only the simulated machine fails on demand
VELLUM_TEST_EACH_FORMAT(Object, SurvivesEachAllocationThatFails) {
  for (std::uint64_t n = 1;; ++n) {
    ObjectWorld<F> world(40);
    world.machine().failures().fail_nth(n);
    const Result<ByteCount> written = world.write_word(*world.file, 30 * kPageSize, 5);
    const bool failed = world.machine().failures().failures() > 0;
    world.machine().failures().off();
    if (!written.ok()) {
      EXPECT_TRUE(failed);
      EXPECT_EQ(written.error(), Errno::no_memory);
      EXPECT_EQ(world.file->resident(), PageCount(0));
      EXPECT_EQ(world.word(*world.file, 30 * kPageSize), MemoryPager::first_word(PageIndex(30)));
    }
    if (!failed) {
      EXPECT_GT(n, 2U);
      break;
    }
  }
}
#endif

// Stands for what other processors do while a page is on its way.
class BusyPager final : public Pager {
 public:
  Result<void> read(PageIndex /*index*/, std::span<std::byte> page) override {
    std::fill(page.begin(), page.end(), std::byte{1});
    return run(during_read);
  }
  Result<void> write(PageIndex /*index*/, std::span<const std::byte> /*page*/) override {
    ++writes;
    return run(during_write);
  }
  std::function<void()> during_read;
  std::function<void()> during_write;
  unsigned writes = 0;

 private:
  static Result<void> run(std::function<void()>& once) {
    const std::function<void()> action = std::move(once);
    once = nullptr;
    if (action) {
      action();
    }
    return {};
  }
};

VELLUM_TEST_EACH_FORMAT(Object, TwoWhoReadOnePageEndWithOne) {
  ObjectWorld<F> world;
  BusyPager pager;
  MemoryObject<F>& object = *world.objects().create_file(pager, pages(2)).value();
  pager.during_read = [&] { EXPECT_TRUE(world.write_word(object, 0, 77).ok()); };
  EXPECT_TRUE(object.populate(PageIndex(0)).ok());
  EXPECT_EQ(object.resident(), PageCount(1));
  EXPECT_EQ(world.word(object, 0), 77U);
  object.release();
}

VELLUM_TEST_EACH_FORMAT(Object, APageThatIsCutOffWhileItIsReadIsNotKept) {
  ObjectWorld<F> world;
  BusyPager pager;
  MemoryObject<F>& object = *world.objects().create_file(pager, pages(4)).value();
  pager.during_read = [&] { object.resize(pages(2)); };
  EXPECT_EQ(object.populate(PageIndex(3)).error(), Errno::out_of_range);
  EXPECT_EQ(object.resident(), PageCount(0));
  object.release();
}

VELLUM_TEST_EACH_FORMAT(Object, APageThatIsWrittenWhileItIsWrittenBackIsDirtyAgain) {
  ObjectWorld<F> world;
  BusyPager pager;
  MemoryObject<F>& object = *world.objects().create_file(pager, pages(4)).value();
  ASSERT_TRUE(world.write_word(object, 0, 1).ok());
  pager.during_write = [&] { EXPECT_TRUE(world.write_word(object, 0, 2).ok()); };
  ASSERT_TRUE(object.write_back(kAll).ok());
  EXPECT_EQ(object.dirty(), PageCount(1));
  ASSERT_TRUE(object.write_back(kAll).ok());
  EXPECT_EQ(pager.writes, 2U);
  EXPECT_EQ(object.dirty(), PageCount(0));
  // Cut off meanwhile: there is nothing left to mark.
  ASSERT_TRUE(world.write_word(object, 3 * kPageSize, 1).ok());
  pager.during_write = [&] { object.resize(pages(1)); };
  ASSERT_TRUE(object.write_back(kAll).ok());
  EXPECT_EQ(object.dirty(), PageCount(0));
  object.release();
}

}  // namespace
}  // namespace vellum
