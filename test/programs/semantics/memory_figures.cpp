// What /proc/meminfo tells.
#include "../support/memory.hpp"
#include "../support/process.hpp"

namespace guest {
namespace {

// A figure in kB.
long figure(const char* name) {
  std::string text;
  char piece[4096];
  const int file = open("/proc/meminfo", O_RDONLY);
  MUST(file);
  for (long size = 0; (size = read(file, piece, sizeof piece)) > 0;) {
    text.append(piece, static_cast<std::size_t>(size));
  }
  close(file);
  const std::size_t at = text.find(std::string("\n") + name + ":");
  EXPECT(at != std::string::npos);
  return std::atol(text.c_str() + at + std::strlen(name) + 2);
}

constexpr std::size_t kSize = std::size_t{16} << 20;
constexpr long kGrown = 16 << 10;
constexpr long kBlurred = 2 << 10;  // Linux counts for each CPU first

bool has_grown(long before, long after) { return after > before + kGrown - kBlurred && after < before + 3 * kGrown; }

CASE("meminfo", "private memory that is written") {
  const long before = figure("AnonPages");
  const long free = figure("MemFree");
  char* const memory = map(kSize);
  EXPECT(figure("AnonPages") < before + kGrown / 2);
  std::memset(memory, 1, kSize);
  EXPECT(has_grown(before, figure("AnonPages")));
  EXPECT(figure("MemFree") < free - kGrown + kBlurred);
  EXPECT(figure("MemAvailable") > 0);
  MUST(munmap(memory, kSize));
  EXPECT(figure("AnonPages") < before + kGrown / 2);
}

CASE("meminfo", "shared memory and the cache") {
  const long shared = figure("Shmem");
  const long cached = figure("Cached");
  char* const memory = map(kSize, kReadWrite, kShared);
  std::memset(memory, 1, kSize);
  EXPECT(has_grown(shared, figure("Shmem")));
  EXPECT(has_grown(cached, figure("Cached")));
  MUST(munmap(memory, kSize));
  EXPECT(figure("Shmem") < shared + kGrown / 2);
}

CASE("meminfo", "what is promised") {
  const long before = figure("Committed_AS");
  EXPECT(figure("CommitLimit") > 0);
  char* const memory = map(kSize);
  EXPECT(has_grown(before, figure("Committed_AS")));
  MUST(munmap(memory, kSize));
  EXPECT(figure("Committed_AS") < before + kGrown / 2);
}

CASE("meminfo", "what is mapped of files") {
  const int file = static_cast<int>(MUST(memfd_create("mapped", 0)));
  MUST(ftruncate(file, kSize));
  const long before = figure("Mapped");
  char* const memory = map(kSize, kReadWrite, MAP_SHARED, file);
  std::memset(memory, 1, kSize);
  EXPECT(has_grown(before, figure("Mapped")));
  in_child([&] { EXPECT(has_grown(before, figure("Mapped"))); });  // not twice
  MUST(munmap(memory, kSize));
  EXPECT(figure("Mapped") < before + kGrown / 2);
  EXPECT(figure("Shmem") > kGrown - kBlurred);
}

CASE("meminfo", "what is locked") {
  const long before = figure("Mlocked");
  char* const memory = map(kSize);
  MUST(mlock(memory, kSize));
  EXPECT(has_grown(before, figure("Mlocked")));
  EXPECT(figure("Unevictable") > kGrown - kBlurred);
  MUST(munmap(memory, kSize));
  EXPECT(figure("Mlocked") < before + kGrown / 2);
}

CASE("meminfo", "stacks in the kernel") {
  constexpr int kChildren = 16;
  const Turns turns;
  const long before = figure("KernelStack");
  pid_t children[kChildren];
  for (pid_t& child : children) {
    child = start_child([&] { turns.await_parent(); });
  }
  EXPECT(figure("KernelStack") >= before + kChildren * 16 - 16);
  for (int i = 0; i < kChildren; i++) {
    turns.give_child();
  }
  for (const pid_t child : children) {
    EXPECT_EQ(status_of(child), 0);
  }
}

CASE("status", "resident pages by what they are") {
  const auto figure_of = [](const char* name) {
    const std::string text = read_file("/proc/self/status");
    const std::size_t at = text.find(std::string(name) + ":");
    EXPECT(at != std::string::npos);
    return std::atol(text.c_str() + at + std::strlen(name) + 1);
  };
  const long anonymous = figure_of("RssAnon");
  const long shared = figure_of("RssShmem");
  char* const own = map(kSize);
  std::memset(own, 1, kSize);
  char* const common = map(kSize, kReadWrite, kShared);
  std::memset(common, 1, kSize / 2);
  EXPECT(has_grown(anonymous, figure_of("RssAnon")));
  EXPECT(figure_of("RssAnon") < anonymous + kGrown + kBlurred);
  EXPECT(figure_of("RssShmem") > shared + kGrown / 2 - kBlurred);
  EXPECT(figure_of("RssShmem") < shared + kGrown / 2 + kBlurred);
  MUST(mlock(own, 10 * kPage));
  EXPECT_EQ(figure_of("VmLck"), 40);
  const long tables = figure_of("VmPTE");
  constexpr std::size_t kStep = std::size_t{2} << 20;
  char* const sparse = map(64 * kStep, kReadWrite, kPrivate | MAP_NORESERVE);
  for (std::size_t i = 0; i < 64; i++) {
    poke(sparse + i * kStep, 1);
  }
  EXPECT(figure_of("VmPTE") >= tables + 63 * 4);
  EXPECT(figure_of("VmPTE") <= tables + 72 * 4);
}

CASE("meminfo", "tables of pages") {
  const long before = figure("PageTables");
  constexpr std::size_t kStep = std::size_t{2} << 20;
  char* const memory = map(256 * kStep, kReadWrite, kPrivate | MAP_NORESERVE);
  for (std::size_t i = 0; i < 256; i++) {
    poke(memory + i * kStep, 1);
  }
  EXPECT(figure("PageTables") >= before + 200 * 4);
}

}  // namespace
}  // namespace guest
