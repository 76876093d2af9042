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
