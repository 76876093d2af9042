// /proc/PID/smaps, smaps_rollup and pagemap: their formats, and that what they say is true.
#include <fcntl.h>
#include <regex.h>
#include <sys/stat.h>
#include <unistd.h>

#include <map>

#include "../support/memory.hpp"
#include "../support/process.hpp"

namespace guest {
namespace {

constexpr std::size_t kPages = 16;

// What smaps says of the region that starts at `start`, in kilobytes by name.
std::map<std::string, long> usage_of(const char* start, const std::string& path = "/proc/self/smaps") {
  char wanted[32];
  std::snprintf(wanted, sizeof wanted, "%08lx-", static_cast<unsigned long>(value_of(start)));
  const std::string text = read_file(path);
  std::map<std::string, long> usage;
  bool inside = false;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = text.find('\n', at);
    const std::string line = text.substr(at, end - at);
    at = end + 1;
    const std::size_t colon = line.find(':');
    const bool is_value = colon != std::string::npos && line[0] >= 'A' && line[0] <= 'Z';
    if (!is_value) {
      inside = line.starts_with(wanted);
    } else if (inside) {
      usage[line.substr(0, colon)] = std::atol(line.c_str() + colon + 1);
    }
  }
  return usage;
}

// Its flags, but for those that depend on how Linux was built.
std::string flags_of(const char* start) {
  char wanted[32];
  std::snprintf(wanted, sizeof wanted, "%08lx-", static_cast<unsigned long>(value_of(start)));
  constexpr std::string_view kFlags = "VmFlags: ";
  const std::string text = read_file("/proc/self/smaps");
  const std::size_t from = text.find(kFlags, text.find(wanted)) + kFlags.size();
  std::string flags;
  std::string_view rest = std::string_view(text).substr(from, text.find('\n', from) - from);
  while (rest.size() >= 2) {
    const std::string_view flag = rest.substr(0, 2);
    if (flag != "sd" && flag != "nh" && flag != "hg") {
      flags += (flags.empty() ? "" : " ") + std::string(flag);
    }
    rest.remove_prefix(std::min<std::size_t>(3, rest.size()));
  }
  return flags;
}

// A region that touches no other: between pages that may not be touched.
char* lonely(std::size_t pages, int flags = kPrivate) {
  char* const place = map((pages + 2) * kPage, PROT_NONE);
  return map(pages * kPage, kReadWrite, flags | MAP_FIXED, -1, 0, place + kPage);
}

std::uint64_t pagemap_word(const char* address) {
  const int file = static_cast<int>(MUST(open("/proc/self/pagemap", O_RDONLY)));
  std::uint64_t word = 0;
  const auto at = static_cast<off_t>(value_of(address) / kPage * sizeof word);
  EXPECT_EQ(pread(file, &word, sizeof word, at), static_cast<ssize_t>(sizeof word));
  MUST(close(file));
  return word;
}
constexpr std::uint64_t kPresent = 1ULL << 63;
constexpr std::uint64_t kOfFile = 1ULL << 61;
constexpr std::uint64_t kExclusive = 1ULL << 56;
constexpr std::uint64_t kFrameMask = (1ULL << 55) - 1;

CASE("smaps", "each region has all lines, in their places") {
  static constexpr const char* kNames[] = {
      "Size",          "KernelPageSize", "MMUPageSize",     "Rss",           "Pss",
      "Pss_Dirty",     "Shared_Clean",   "Shared_Dirty",    "Private_Clean", "Private_Dirty",
      "Referenced",    "Anonymous",      "LazyFree",        "AnonHugePages", "ShmemPmdMapped",
      "FilePmdMapped", "Shared_Hugetlb", "Private_Hugetlb", "Swap",          "SwapPss",
      "Locked"};
  const std::string text = read_file("/proc/self/smaps");
  std::size_t at = 0;
  const auto next_line = [&] {
    const std::size_t end = text.find('\n', at);
    EXPECT(end != std::string::npos);
    const std::string line = text.substr(at, end - at);
    at = end + 1;
    return line;
  };
  unsigned regions = 0;
  while (at < text.size()) {
    const std::string head = next_line();
    EXPECT(head.find('-') != std::string::npos && head[0] >= '0' && head[0] <= 'f');
    for (const char* name : kNames) {
      const std::string line = next_line();
      long value = -1;
      char unit[4] = {};
      EXPECT(line.starts_with(std::string(name) + ":"));
      EXPECT_EQ(std::sscanf(line.c_str() + std::strlen(name) + 1, "%ld %3s", &value, unit), 2);
      EXPECT_EQ(std::string(unit), "kB");
      EXPECT_EQ(line.size(), 16U + 8 + 3);
    }
    EXPECT(next_line().starts_with("THPeligible:    "));
    std::string last = next_line();
    if (last.starts_with("ProtectionKey: ")) {  // where the processor has them
      last = next_line();
    }
    EXPECT(last.starts_with("VmFlags: "));
    ++regions;
  }
  EXPECT(regions > 4);
}

CASE("smaps", "what was touched is in memory, and only that") {
  char* const memory = lonely(kPages);
  for (unsigned i = 0; i < 5; i++) {
    poke(memory + (3 * i) * kPage, 1);
  }
  auto usage = usage_of(memory);
  EXPECT_EQ(usage["Size"], kPages * 4);
  EXPECT_EQ(usage["Rss"], 20);
  EXPECT_EQ(usage["Pss"], 20);
  EXPECT_EQ(usage["Private_Dirty"], 20);
  EXPECT_EQ(usage["Anonymous"], 20);
  EXPECT_EQ(usage["Shared_Dirty"] + usage["Shared_Clean"] + usage["Private_Clean"], 0);
  MUST(madvise(memory, kPages * kPage, MADV_DONTNEED));
  EXPECT_EQ(usage_of(memory)["Rss"], 0);
}

CASE("smaps", "locked memory, and how it is marked") {
  char* const memory = lonely(kPages);
  EXPECT_EQ(usage_of(memory)["Locked"], 0);
  EXPECT_EQ(flags_of(memory), "rd wr mr mw me ac");
  MUST(mlock(memory, kPages * kPage));
  MUST(madvise(memory, kPages * kPage, MADV_DONTFORK));
  MUST(madvise(memory, kPages * kPage, MADV_WIPEONFORK));
  EXPECT_EQ(usage_of(memory)["Locked"], kPages * 4);
  EXPECT_EQ(flags_of(memory), "rd wr mr mw me lo dc ac wf");
}

CASE("smaps", "shared memory that may not be written is marked so") {
  const int file = static_cast<int>(MUST(open("/tmp/shown", O_CREAT | O_RDWR, 0600)));
  MUST(ftruncate(file, kPage));
  const int reader = static_cast<int>(MUST(open("/tmp/shown", O_RDONLY)));
  char* const place = map(5 * kPage, PROT_NONE);
  char* const written = map(kPage, kReadWrite, MAP_SHARED | MAP_FIXED, file, 0, place + kPage);
  char* const read = map(kPage, PROT_READ, MAP_SHARED | MAP_FIXED, reader, 0, place + 3 * kPage);
  EXPECT_EQ(flags_of(written), "rd wr sh mr mw me ms");
  EXPECT_EQ(flags_of(read), "rd mr me ms");
  MUST(unlink("/tmp/shown"));
}

CASE("smaps", "reading untouched memory takes none") {
  char* const memory = lonely(kPages);
  EXPECT_EQ(peek(memory), 0);
  EXPECT_EQ(usage_of(memory)["Rss"], 0);
}

CASE("smaps", "after a fork each has half, and what is written its own") {
  char* const memory = lonely(kPages);
  for (unsigned i = 0; i < kPages; i++) {
    poke(memory + i * kPage, 1);
  }
  in_child([&] {
    auto usage = usage_of(memory);
    EXPECT_EQ(usage["Rss"], 64);
    EXPECT_EQ(usage["Pss"], 32);
    EXPECT_EQ(usage["Shared_Dirty"], 64);
    poke(memory, 2);
    poke(memory + kPage, 2);
    usage = usage_of(memory);
    EXPECT_EQ(usage["Rss"], 64);
    EXPECT_EQ(usage["Private_Dirty"], 8);
    EXPECT_EQ(usage["Shared_Dirty"], 56);
    EXPECT_EQ(usage["Pss"], 36);
  });
}

CASE("smaps", "the rollup is the sum of all") {
  char* const memory = lonely(kPages);
  for (unsigned i = 0; i < kPages; i++) {
    poke(memory + i * kPage, 1);
  }
  const std::string text = read_file("/proc/self/smaps_rollup");
  EXPECT(text.find("[rollup]\n") != std::string::npos);
  long resident = 0;
  long anonymous = 0;
  EXPECT_EQ(std::sscanf(text.c_str() + text.find("\nRss:"), "\nRss: %ld kB", &resident), 1);
  EXPECT_EQ(std::sscanf(text.c_str() + text.find("\nPss_Anon:"), "\nPss_Anon: %ld kB", &anonymous), 1);
  EXPECT(resident >= 64 && anonymous >= 64 && anonymous <= resident);
}

CASE("pagemap", "what is present, and what is not") {
  char* const memory = lonely(kPages);
  poke(memory + 2 * kPage, 1);
  EXPECT_EQ(pagemap_word(memory + 2 * kPage) & (kPresent | kOfFile | kExclusive), kPresent | kExclusive);
  EXPECT_EQ(pagemap_word(memory + 3 * kPage) & (kPresent | kFrameMask), 0);
  MUST(munmap(memory, kPages * kPage));
  EXPECT_EQ(pagemap_word(memory + 2 * kPage) & (kPresent | kFrameMask), 0);
}

CASE("pagemap", "two mappings of one file show one frame to the superuser") {
  const int file = static_cast<int>(MUST(open("/tmp/pagemap", O_CREAT | O_RDWR | O_TRUNC, 0600)));
  MUST(ftruncate(file, kPage));
  char* const first = map(kPage, kReadWrite, MAP_SHARED, file);
  char* const second = map(kPage, kReadWrite, MAP_SHARED, file);
  poke(first, 7);
  EXPECT_EQ(peek(second), 7);
  const std::uint64_t word = pagemap_word(first);
  EXPECT_EQ(word & (kPresent | kOfFile), kPresent | kOfFile);
  EXPECT(word & kFrameMask);
  EXPECT_EQ(word & kFrameMask, pagemap_word(second) & kFrameMask);
  MUST(unlink("/tmp/pagemap"));
}

CASE("pagemap", "frames are hidden from others") {
  char* const memory = lonely(1);
  poke(memory, 1);
  EXPECT(pagemap_word(memory) & kFrameMask);
  MUST(setuid(65534));
  const int file = open("/proc/self/pagemap", O_RDONLY);
  if (file >= 0) {
    std::uint64_t word = 0;
    EXPECT_EQ(pread(file, &word, sizeof word, static_cast<off_t>(value_of(memory) / kPage * 8)), 8);
    EXPECT_EQ(word & kFrameMask, 0);
  }
}

CASE("pagemap", "whole words only") {
  const int file = static_cast<int>(MUST(open("/proc/self/pagemap", O_RDONLY)));
  char bytes[16];
  EXPECT_ERRNO(pread(file, bytes, 8, 4), EINVAL);
  EXPECT_ERRNO(pread(file, bytes, 7, 0), EINVAL);
  EXPECT_EQ(pread(file, bytes, 16, 0), 16);
}

CASE("pagemap", "many words at once say what single ones say") {
  char* const memory = lonely(kPages);
  for (unsigned i = 0; i < kPages; i += 3) {
    poke(memory + i * kPage, 1);
  }
  const int file = static_cast<int>(MUST(open("/proc/self/pagemap", O_RDONLY)));
  std::uint64_t words[kPages];
  MUST(pread(file, words, sizeof words, static_cast<off_t>(value_of(memory) / kPage * 8)));
  for (unsigned i = 0; i < kPages; i++) {
    EXPECT_EQ((words[i] & kPresent) != 0, i % 3 == 0);
    EXPECT_EQ(words[i], pagemap_word(memory + i * kPage));
  }
}

}  // namespace
}  // namespace guest
