// What is believed of an ELF file, and what is not.

#include <gtest/gtest.h>

#include <cstring>
#include <random>

#include <vellum/unix/elf.hpp>

namespace vellum::unix::elf {
namespace {

Header sound_header() {
  Header header = {};
  constexpr unsigned char kStart[] = {0x7f, 'E', 'L', 'F', 2, 1, 1};
  std::memcpy(header.identification, kStart, sizeof(kStart));
  header.type = kTypeExecutable;
  header.machine = 62;
  header.version = 1;
  header.entry = 0x401000;
  header.program_headers = sizeof(Header);
  header.header_size = sizeof(Header);
  header.program_header_size = sizeof(ProgramHeader);
  header.program_header_count = 2;
  return header;
}

ProgramHeader text() {
  return {.type = kLoad,
          .flags = 5,
          .offset = 0,
          .address = 0x400000,
          .physical_address = 0,
          .file_size = 0x1234,
          .memory_size = 0x1234,
          .alignment = 0x1000};
}

ProgramHeader data() {
  return {.type = kLoad,
          .flags = 6,
          .offset = 0x2f00,
          .address = 0x403f00,
          .physical_address = 0,
          .file_size = 0x200,
          .memory_size = 0x3000,
          .alignment = 0x1000};
}

TEST(ElfHeader, OfAProgramIsTaken) {
  EXPECT_TRUE(check_header(sound_header()).ok());
  Header position_independent = sound_header();
  position_independent.type = kTypeDynamic;
  EXPECT_TRUE(check_header(position_independent).ok());
}

TEST(ElfHeader, OfAnythingElseIsNot) {
  const auto refused = [](auto change) {
    Header header = sound_header();
    change(header);
    const Result<void> result = check_header(header);
    return !result.ok() && result.error() == Errno::not_executable;
  };
  EXPECT_TRUE(refused([](Header& header) { header.identification[0] = 0; }));
  EXPECT_TRUE(refused([](Header& header) { header.identification[4] = 1; }));  // 32 bits
  EXPECT_TRUE(refused([](Header& header) { header.identification[5] = 2; }));  // big-endian
  EXPECT_TRUE(refused([](Header& header) { header.type = 1; }));               // an object file
  EXPECT_TRUE(refused([](Header& header) { header.machine = 3; }));
  EXPECT_TRUE(refused([](Header& header) { header.program_header_size = 55; }));
  EXPECT_TRUE(refused([](Header& header) { header.program_header_count = 0; }));
  EXPECT_TRUE(refused([](Header& header) { header.program_header_count = kMostHeaders + 1; }));
  EXPECT_TRUE(refused([](Header& header) { header.program_headers = ~std::uint64_t{0}; }));
}

TEST(ElfSegment, IsWholePagesWithItsZerosBehind) {
  const Segment segment = segment_of(data()).value();
  EXPECT_EQ(segment.pages, VirtRange::must(VirtAddr(0x403000), ByteCount(0x4000)));
  EXPECT_EQ(segment.file_offset, ByteCount(0x2000));
  EXPECT_EQ(segment.mapped, ByteCount(0x2000));
  EXPECT_EQ(segment.file_end, VirtAddr(0x404100));
  EXPECT_EQ(segment.memory_end, VirtAddr(0x406f00));
  EXPECT_TRUE(segment.prot == (Prot::read() | Prot::write()));
}

TEST(ElfSegment, WithoutBytesOfTheFileMapsNoneOfIt) {
  ProgramHeader zeros = data();
  zeros.file_size = 0;
  zeros.offset = 0x12345;
  const Segment segment = segment_of(zeros).value();
  EXPECT_EQ(segment.mapped, ByteCount(0));
  EXPECT_EQ(segment.file_end, VirtAddr(zeros.address));
}

TEST(ElfSegment, ThatCannotBeMappedIsRefused) {
  const auto refused = [](auto change) {
    ProgramHeader header = data();
    change(header);
    return !segment_of(header).ok();
  };
  EXPECT_TRUE(refused([](ProgramHeader& header) { header.file_size = header.memory_size + 1; }));
  EXPECT_TRUE(refused([](ProgramHeader& header) { header.offset += 1; }));
  EXPECT_TRUE(refused([](ProgramHeader& header) { header.address = ~std::uint64_t{0} - 0xff; }));
  EXPECT_TRUE(refused([](ProgramHeader& header) { header.memory_size = ~std::uint64_t{0}; }));
  EXPECT_TRUE(refused([](ProgramHeader& header) { header.address = std::uint64_t{1} << 47; }));
  EXPECT_TRUE(refused([](ProgramHeader& header) { header.offset = ~std::uint64_t{0} - 0xff; }));
}

TEST(ElfLayout, ReachesFromTheFirstSegmentToTheLast) {
  const ProgramHeader headers[] = {text(), data()};
  const Layout layout = layout_of(headers).value();
  EXPECT_EQ(layout.pages, VirtRange::between(VirtAddr(0x400000), VirtAddr(0x407000)));
  EXPECT_EQ(layout.alignment, 0x1000U);
  EXPECT_FALSE(layout.executable_stack);
}

TEST(ElfLayout, NeedsAscendingSegmentsAndAtLeastOne) {
  const ProgramHeader descending[] = {data(), text()};
  EXPECT_FALSE(layout_of(descending).ok());
  ProgramHeader note = text();
  note.type = 4;
  const ProgramHeader nothing[] = {note};
  EXPECT_FALSE(layout_of(nothing).ok());
}

TEST(ElfLayout, KnowsWhetherTheStackIsToBeExecutable) {
  ProgramHeader stack = {};
  stack.type = kStack;
  stack.flags = 7;
  const ProgramHeader headers[] = {text(), stack};
  EXPECT_TRUE(layout_of(headers).value().executable_stack);
}

TEST(ElfLayout, FindsTheHeadersInTheImage) {
  const ProgramHeader headers[] = {text(), data()};
  EXPECT_EQ(headers_address(sound_header(), headers), 0x400000U + sizeof(Header));
  Header elsewhere = sound_header();
  elsewhere.program_headers = 0x2000;
  EXPECT_EQ(headers_address(elsewhere, headers), 0U);
}

// Whatever the bytes are: an answer, and where it is yes, ranges that hold together.
TEST(ElfLayout, SurvivesRandomHeaders) {
  std::mt19937_64 random(1);
  for (int round = 0; round < 20000; ++round) {
    ProgramHeader headers[3] = {text(), data(), data()};
    auto* const bytes = reinterpret_cast<unsigned char*>(headers);
    for (int change = 0; change < 4; ++change) {
      bytes[random() % sizeof(headers)] = static_cast<unsigned char>(random());
    }
    const Result<Layout> layout = layout_of(headers);
    if (!layout.ok()) {
      continue;
    }
    for (const ProgramHeader& header : headers) {
      if (header.type == kLoad && header.memory_size != 0) {
        const Segment segment = segment_of(header).value();
        ASSERT_TRUE(layout.value().pages.contains(segment.pages.start()));
        ASSERT_LE(segment.mapped, segment.pages.size());
        ASSERT_LE(segment.file_end, segment.memory_end);
      }
    }
  }
}

}  // namespace
}  // namespace vellum::unix::elf
