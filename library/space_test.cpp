// Spaces through the public functions only: what a program asks, what it touches, and what can be seen of it.
#include <gtest/gtest.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>

#include <vellum/vellum.hpp>

namespace libvellum {
namespace {

class Spaces : public ::testing::TestWithParam<Format> {
 protected:
  Machine machine = Machine::create({.memory = 32 << 20, .cpus = 2, .format = GetParam()}).value();
  Space space = machine.create_space().value();
};
INSTANTIATE_TEST_SUITE_P(Formats, Spaces, ::testing::Values(Format::amd64, Format::i386_pae),
                         [](const auto& parameter) { return parameter.param == Format::amd64 ? "amd64" : "i386_pae"; });

TEST_P(Spaces, LoadsWhatWasStored) {
  const std::uint64_t at = space.map(4 * kPageSize).value();
  EXPECT_EQ(space.load<std::uint64_t>(at).value(), 0U);
  ASSERT_TRUE(space.store<std::uint8_t>(at, 0x12));
  ASSERT_TRUE(space.store<std::uint16_t>(at + 2, 0x3456));
  ASSERT_TRUE(space.store<std::uint32_t>(at + 4, 0x789ABCDE));
  EXPECT_EQ(space.load<std::uint64_t>(at).value(), 0x789ABCDE34560012U);
  ASSERT_TRUE(space.store<std::uint64_t>(at + kPageSize - 3, 0x1122334455667788));  // over the end of a page
  EXPECT_EQ(space.load<std::uint64_t>(at + kPageSize - 3).value(), 0x1122334455667788U);
}

TEST_P(Spaces, CopiesOverPages) {
  const std::uint64_t at = space.map(4 * kPageSize).value();
  std::vector<std::byte> bytes(3 * kPageSize);
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    bytes[i] = static_cast<std::byte>(i * 7);
  }
  ASSERT_TRUE(space.write(at + 100, bytes));
  std::vector<std::byte> copy(bytes.size());
  ASSERT_TRUE(space.read(at + 100, copy));
  EXPECT_EQ(copy, bytes);
  const auto beyond = space.write(at + 2 * kPageSize, bytes);
  ASSERT_FALSE(beyond);
  EXPECT_EQ(beyond.error().address, at + 4 * kPageSize);
}

TEST_P(Spaces, RefusalsSayWhy) {
  const std::uint64_t at = space.map(2 * kPageSize, {.rights = kRead}).value();
  const Error denied = space.store<std::uint32_t>(at + 8, 1).error();
  EXPECT_EQ(denied.code, Errc::access_denied);
  EXPECT_EQ(denied.address, at + 8);
  EXPECT_EQ(denied.access, Access::write);
  EXPECT_EQ(denied.linux_signal(), SIGSEGV);
  EXPECT_NE(denied.message().find("write at 0x"), std::string::npos);
  const Error missing = space.load<std::uint32_t>(8).error();
  EXPECT_EQ(missing.code, Errc::no_mapping);
  EXPECT_EQ(missing.address, 8U);
  EXPECT_EQ(space.fetch(at).error().code, Errc::access_denied);
  EXPECT_EQ(space.load<std::uint8_t>(std::uint64_t{1} << 60).error().code, Errc::non_canonical);
  EXPECT_EQ(space.load<std::uint64_t>(~std::uint64_t{0} - 2).error().linux_signal(), SIGSEGV);
  ASSERT_TRUE(space.protect(at, kPageSize, kReadExecute));
  EXPECT_EQ(space.fetch(at).value(), 0U);
}

TEST_P(Spaces, CallsFailAsOnLinux) {
  EXPECT_EQ(space.map(0).error().linux_errno(), EINVAL);
  EXPECT_EQ(space.map(std::uint64_t{1} << 62).error().linux_errno(), ENOMEM);
  EXPECT_EQ(space.map(kPageSize, {.address = 0x1000, .placement = Placement::fixed}).error().linux_errno(), EPERM);
  const std::uint64_t at = space.map(2 * kPageSize, {.maximum = kReadWrite}).value();
  EXPECT_EQ(space.map(kPageSize, {.address = at, .placement = Placement::fixed_no_replace}).error().linux_errno(),
            EEXIST);
  EXPECT_EQ(space.protect(at, kPageSize, kReadExecute).error().linux_errno(), EACCES);
  EXPECT_EQ(space.protect(at + 1, kPageSize, kRead).error().linux_errno(), EINVAL);
  EXPECT_EQ(space.unmap(at + 1, kPageSize).error().linux_errno(), EINVAL);
  ASSERT_TRUE(space.unmap(at, kPageSize));
  EXPECT_EQ(space.protect(at, 2 * kPageSize, kRead).error().linux_errno(), ENOMEM);
}

TEST_P(Spaces, NonsenseIsRefused) {
  const std::uint64_t at = space.map(kPageSize).value();
  for (const std::uint64_t address :
       {at ^ std::uint64_t{1} << 62, ~std::uint64_t{0xFFF}, std::uint64_t{0xFFFF'9000'0000'0000}}) {
    for (const std::uint64_t length : {kPageSize, std::uint64_t{1} << 63, ~std::uint64_t{0}}) {
      const MapOptions fixed = {.address = address, .placement = Placement::fixed};
      if (GetParam() == Format::amd64 && address == 0xFFFF'9000'0000'0000 && length == kPageSize) {
        continue;  // shared objects may lie there
      }
      EXPECT_FALSE(space.map(length, fixed));
      EXPECT_FALSE(space.unmap(address, length));
      EXPECT_FALSE(space.protect(address, length, kRead));
    }
    static_cast<void>(space.region_at(address).value());
    EXPECT_FALSE(space.load<std::uint64_t>(address));
    EXPECT_FALSE(space.fetch(address));
  }
  EXPECT_EQ(space.map(kPageSize, {.placement = static_cast<Placement>(9)}).error().code, Errc::invalid);
  EXPECT_EQ(space.map(kPageSize, {.shared = true, .grows_down = true}).error().code, Errc::invalid);
  EXPECT_EQ(machine.create_space(static_cast<UserLayout>(9)).error().code, Errc::no_such_layout);
  const Object object = machine.create_shared(kPageSize).value();
  EXPECT_EQ(space.map(kPageSize, {.object = &object, .offset = 1}).error().code, Errc::invalid);
  EXPECT_EQ(space.map(kPageSize, {.object = &object, .offset = ~std::uint64_t{0xFFF}}).error().code, Errc::overflow);
  EXPECT_TRUE(space.read(at, {}));
  EXPECT_EQ(space.regions().value().size(), 1U);
}

TEST_P(Spaces, ForksSeeTheirOwn) {
  const std::uint64_t at = space.map(kPageSize).value();
  ASSERT_TRUE(space.store<std::uint32_t>(at, 1));
  Space child = space.fork().value();
  ASSERT_TRUE(child.store<std::uint32_t>(at, 2));
  EXPECT_EQ(space.load<std::uint32_t>(at).value(), 1U);
  space.close();
  EXPECT_EQ(child.load<std::uint32_t>(at).value(), 2U);
}

TEST_P(Spaces, PagesMoveWithWhatTheyContain) {
  const std::uint64_t at = space.map(2 * kPageSize).value();
  ASSERT_TRUE(space.store<std::uint32_t>(at + kPageSize, 9));
  EXPECT_EQ(space.remap(at, 2 * kPageSize, kPageSize).value(), at);  // shorter, in place
  ASSERT_EQ(space.remap(at, kPageSize, 0).error().linux_errno(), EINVAL);
  ASSERT_TRUE(space.store<std::uint32_t>(at, 7));
  const std::uint64_t target = at - 16 * kPageSize;
  EXPECT_EQ(space.remap(at, kPageSize, 2 * kPageSize, {.target = target}).error().code, Errc::invalid);
  EXPECT_EQ(space.remap(at, kPageSize, 2 * kPageSize, {.may_move = true, .target = target}).value(), target);
  EXPECT_EQ(space.load<std::uint32_t>(target).value(), 7U);
  EXPECT_EQ(space.load<std::uint32_t>(at).error().code, Errc::no_mapping);
  const std::uint64_t copy =
      space.remap(target, 2 * kPageSize, 2 * kPageSize, {.may_move = true, .keep_source = true}).value();
  EXPECT_EQ(space.load<std::uint32_t>(copy).value(), 7U);
  EXPECT_EQ(space.load<std::uint32_t>(target).value(), 0U);
  EXPECT_EQ(space.remap(at, kPageSize, kPageSize).error().linux_errno(), EFAULT);
}

TEST_P(Spaces, AdviceAndLocks) {
  const std::uint64_t at = space.map(4 * kPageSize).value();
  ASSERT_TRUE(space.lock(at + 1, kPageSize));  // the two pages that it reaches into
  EXPECT_EQ(space.use().value().locked_pages, 2U);
  EXPECT_EQ(space.use().value().resident_pages, 2U);
  ASSERT_TRUE(space.store<std::uint32_t>(at, 7));
  EXPECT_EQ(space.advise(at, kPageSize, Advice::discard).error().code, Errc::invalid);
  ASSERT_TRUE(space.unlock(at, kPageSize));
  ASSERT_TRUE(space.advise(at, kPageSize, Advice::discard));
  EXPECT_EQ(space.load<std::uint32_t>(at).value(), 0U);
  EXPECT_EQ(space.advise(at + 1, kPageSize, Advice::free).error().code, Errc::invalid);
  EXPECT_EQ(space.advise(at, ~std::uint64_t{0}, Advice::free).error().code, Errc::invalid);
  EXPECT_EQ(space.lock(at, ~std::uint64_t{0}).error().code, Errc::invalid);
  ASSERT_TRUE(space.advise(at, 4 * kPageSize, Advice::leave_out_of_forks));
  EXPECT_TRUE(space.fork().value().regions().value().empty());
}

TEST_P(Spaces, SharedMemoryIsOnePageAndOneTable) {
  constexpr std::uint64_t kSize = 4 << 20;
  const Object object = machine.create_shared(kSize).value();
  Space other = machine.create_space().value();
  const MapOptions options = {.shared = true, .object = &object};
  const std::uint64_t here = space.map(kSize, options).value();
  const std::uint64_t there = other.map(kSize, options).value();
  ASSERT_TRUE(space.store<std::uint32_t>(here + 12, 7));
  EXPECT_EQ(other.load<std::uint32_t>(there + 12).value(), 7U);
  const Walk one = space.walk(here + 12).value();
  const Walk two = other.walk(there + 12).value();
  EXPECT_EQ(one.physical, two.physical);
  EXPECT_EQ(one.levels.back().table, two.levels.back().table);
  EXPECT_TRUE(one.levels.back().object_table);
  EXPECT_GE(one.levels.back().table_users, 2U);
  EXPECT_EQ(one.meaning->object, object.id());
  std::array<std::byte, 4> bytes{};
  EXPECT_EQ(object.read(12, bytes).value(), 4U);
  EXPECT_EQ(bytes[0], std::byte{7});
}

TEST_P(Spaces, FilesHaveWhatTheirFunctionGives) {
  constexpr std::uint64_t kSize = 2 * kPageSize + 10;
  std::vector<std::byte> disk(kSize, std::byte{5});
  Object file = machine
                    .create_file(
                        kSize,
                        [&](std::uint64_t offset, std::span<std::byte> page) {
                          std::memcpy(page.data(), disk.data() + offset, page.size());
                          return offset != kPageSize;  // the second page cannot be read
                        },
                        [&](std::uint64_t offset, std::span<const std::byte> page) {
                          std::memcpy(disk.data() + offset, page.data(), page.size());
                          return true;
                        })
                    .value();
  const std::uint64_t at = space.map(4 * kPageSize, {.shared = true, .object = &file}).value();
  EXPECT_EQ(space.load<std::uint8_t>(at).value(), 5U);
  EXPECT_EQ(space.load<std::uint8_t>(at + kPageSize).error().code, Errc::bus_error);
  EXPECT_EQ(space.load<std::uint16_t>(at + 2 * kPageSize + 9).value(), 5U);  // zeros behind the end
  EXPECT_EQ(space.load<std::uint8_t>(at + 3 * kPageSize).error().linux_signal(), SIGBUS);
  ASSERT_TRUE(space.store<std::uint8_t>(at + 1, 9));
  ASSERT_TRUE(file.write_back());
  EXPECT_EQ(disk[1], std::byte{9});
  ASSERT_TRUE(file.resize(1));
  EXPECT_EQ(space.load<std::uint8_t>(at + 2 * kPageSize).error().code, Errc::bus_error);
  file.close();
  EXPECT_EQ(space.load<std::uint8_t>(at).value(), 5U);
}

TEST_P(Spaces, FunctionsThatThrowAreUnreadable) {
  const Object file =
      machine.create_file(kPageSize, [](std::uint64_t, std::span<std::byte>) -> bool { throw 1; }).value();
  const std::uint64_t at = space.map(kPageSize, {.rights = kRead, .object = &file}).value();
  EXPECT_EQ(space.load<std::uint8_t>(at).error().code, Errc::bus_error);
  std::array<std::byte, 1> byte{};
  EXPECT_EQ(file.read(0, byte).error().code, Errc::io_error);
}

TEST_P(Spaces, RegionsAsMapsShowsThem) {
  const std::uint64_t at = space.map(4 * kPageSize).value();
  ASSERT_TRUE(space.protect(at + kPageSize, kPageSize, kRead));
  const std::vector<Region> regions = space.regions().value();
  ASSERT_EQ(regions.size(), 3U);
  EXPECT_EQ(regions[0].start, at);
  EXPECT_EQ(regions[1].meaning.rights, kRead);
  EXPECT_EQ(regions[2].end, at + 4 * kPageSize);
  EXPECT_EQ(space.region_at(at + kPageSize).value(), regions[1]);
  EXPECT_FALSE(space.region_at(at - 1).value().has_value());
}

TEST_P(Spaces, WalkShowsEachLevel) {
  const std::uint64_t at = space.map(kPageSize).value();
  const Walk before = space.walk(at).value();
  ASSERT_TRUE(before.meaning.has_value());
  EXPECT_EQ(before.meaning->rights, kReadWrite);
  EXPECT_FALSE(before.physical.has_value());
  ASSERT_TRUE(space.store<std::uint8_t>(at, 1));
  const Walk walk = space.walk(at + 5).value();
  ASSERT_EQ(walk.levels.size(), GetParam() == Format::amd64 ? 4U : 3U);
  EXPECT_EQ(walk.levels.back().level, 1U);
  EXPECT_TRUE(walk.levels.back().dirty);
  EXPECT_EQ(walk.granted, kReadWrite);
  EXPECT_EQ(*walk.physical, walk.levels.back().target + 5);
  EXPECT_EQ(walk.levels.back().target, walk.levels.back().entry & 0x000FFFFFFFFFF000);
  EXPECT_EQ(walk.page_users, 1U);
  EXPECT_NE(walk.to_string().find("rw-p anonymous"), std::string::npos);
}

TEST_P(Spaces, ExplainsAnAddress) {
  const Explanation null = space.explain(0x30).value();
  EXPECT_EQ(null.layout.name, "invalid");
  EXPECT_NE(null.clue.find("null pointer"), std::string::npos);
  const std::uint64_t at = space.map(kPageSize).value();
  const Explanation mapped = space.explain(at).value();
  ASSERT_TRUE(mapped.region.has_value());
  EXPECT_EQ(mapped.region->start, at);
  EXPECT_EQ(space.explain(at - 1).value().above->start, at);
  EXPECT_NE(mapped.to_string().find("rw-p anonymous"), std::string::npos);
}

TEST_P(Spaces, OutOfMemoryIsSaid) {
  const std::uint64_t at = space.map(64 << 20, {.no_reserve = true}).value();
  Errc last{};
  for (std::uint64_t page = 0; page < (64 << 20) / kPageSize; ++page) {
    if (const auto stored = space.store<std::uint8_t>(at + page * kPageSize, 1); !stored) {
      last = stored.error().code;
      break;
    }
  }
  EXPECT_EQ(last, Errc::out_of_memory);
}

TEST(Layouts, WhichFormatHasWhich) {
  Machine wide = Machine::create().value();
  for (const UserLayout layout : {UserLayout::illumos, UserLayout::linux_low, UserLayout::program32}) {
    Space space = wide.create_space(layout).value();
    const std::uint64_t at = space.map(kPageSize).value();
    EXPECT_TRUE(space.store<std::uint8_t>(at, 1));
    EXPECT_EQ(at >> 47 != 0, layout == UserLayout::illumos);
    EXPECT_EQ(at >> 32 == 0, layout == UserLayout::program32);
    EXPECT_GT(space.layout().value().size(), 20U);
  }
  Machine narrow = Machine::create({.format = Format::i386_pae}).value();
  EXPECT_EQ(narrow.create_space(UserLayout::linux_low).error().code, Errc::no_such_layout);
  EXPECT_EQ(narrow.create_space().value().explain(std::uint64_t{1} << 32).error().code, Errc::non_canonical);
}

}  // namespace
}  // namespace libvellum
