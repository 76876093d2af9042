// Page faults: first touches, copies, files, and faults that a program handles itself.

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <array>

#include "metrics.hpp"

namespace vellum::bench {
namespace {

constexpr std::size_t kRegion = 64 * kMegabyte;
constexpr std::size_t kFileBytes = 8 * kMegabyte;

void write_page(Page page) { *page = 2; }
void read_page(Page page) { static_cast<void>(*page); }

Samples write_fault() {
  Samples samples(1024);
  const Word region = must("mmap", map(kRegion));
  isolated_pages(region, kRegion, [&](Page page) { samples.add(count([&] { write_page(page); })); });
  return samples;
}

Samples read_fault() {
  Samples samples(1024);
  const Word region = must("mmap", map(kRegion));
  isolated_pages(region, kRegion, [&](Page page) { samples.add(count([&] { read_page(page); })); });
  return samples;
}

Samples write_after_read() {
  Samples samples(1024);
  const Word region = must("mmap", map(kRegion));
  isolated_pages(region, kRegion, [&](Page page) {
    read_page(page);
    samples.add(count([&] { write_page(page); }));
  });
  return samples;
}

Samples sequential_touch() {
  Samples samples(3, kRegion / kPage);
  for (int round = 0; round < 3; ++round) {
    const Word region = must("mmap", map(kRegion));
    samples.add(count([&] { touch(region, kRegion); }));
    must("munmap", unmap(region, kRegion));
  }
  return samples;
}

constexpr std::size_t kLargePage = 2 * kMegabyte;

// A region at a multiple of a large page, for which large pages are wanted.
Word map_for_large_pages() {
  must("prctl", call(SYS_prctl, PR_SET_THP_DISABLE, 0, 0, 0, 0));
  const Word all = must("mmap", map(kRegion + kLargePage));
  const Word region = (all + kLargePage - 1) & -static_cast<Word>(kLargePage);
  must("madvise", call(SYS_madvise, region, kRegion, MADV_HUGEPAGE));
  return region;
}

// The first write to a page of 2 MiB. The rest of it takes no more faults.
Samples large_fault() {
  Samples samples(kRegion / kLargePage);
  const Word region = map_for_large_pages();
  for (Word at = region; at != region + static_cast<Word>(kRegion); at += kLargePage) {
    samples.add(count([&] { write_page(reinterpret_cast<Page>(at)); }));
  }
  return samples;
}

Samples large_touch() {
  Samples samples(3, kRegion / kPage);
  for (int round = 0; round < 3; ++round) {
    const Word region = map_for_large_pages();
    samples.add(count([&] { touch(region, kRegion); }));
    must("munmap", unmap(region, kRegion));
  }
  return samples;
}

Samples large_unmap() {
  Samples samples(3, kRegion / kPage);
  for (int round = 0; round < 3; ++round) {
    const Word region = map_for_large_pages();
    touch(region, kRegion);
    samples.add(count([&] { must("munmap", unmap(region, kRegion)); }));
  }
  return samples;
}

// Forks a child that runs `child`, waits until it has ended.
template <typename Child>
void in_child(Child child) {
  const Word pid = must("fork", call(SYS_fork));
  if (pid == 0) {
    child();
    call(SYS_exit_group, 0);
  }
  must("wait4", call(SYS_wait4, pid, 0, 0, 0));
}

// Shared memory in which a child leaves its counts.
class SharedCounts {
 public:
  SharedCounts()
      : counts_{reinterpret_cast<std::uint64_t*>(must("mmap", map(kBytes, kReadWrite, MAP_SHARED | MAP_ANONYMOUS)))} {
    touch(reinterpret_cast<Word>(counts_), kBytes);
    counts_[0] = 0;
  }
  void add(std::uint64_t value) { counts_[++counts_[0]] = value; }
  void move_to(Samples& samples) {
    for (std::uint64_t index = 1; index <= counts_[0]; ++index) {
      samples.add(counts_[index]);
    }
  }

 private:
  static constexpr std::size_t kBytes = 4 * kPage;
  std::uint64_t* counts_;
};

Samples copy_after_fork() {
  constexpr std::size_t kTouched = 16 * kMegabyte;
  Samples samples(1024);
  SharedCounts counts;
  const Word region = must("mmap", map(kTouched));
  touch(region, kTouched);
  in_child([&] { isolated_pages(region, kTouched, [&](Page page) { counts.add(count([&] { write_page(page); })); }); });
  counts.move_to(samples);
  return samples;
}

// The first write to a page of 2 MiB that parent and child share.
Samples large_copy_after_fork() {
  Samples samples(kRegion / kLargePage);
  SharedCounts counts;
  const Word region = map_for_large_pages();
  touch(region, kRegion);
  in_child([&] {
    for (Word at = region; at != region + static_cast<Word>(kRegion); at += kLargePage) {
      counts.add(count([&] { write_page(reinterpret_cast<Page>(at)); }));
    }
  });
  counts.move_to(samples);
  return samples;
}

Samples reuse_after_fork() {
  constexpr std::size_t kTouched = 16 * kMegabyte;
  Samples samples(1024);
  const Word region = must("mmap", map(kTouched));
  touch(region, kTouched);
  in_child([] {});
  isolated_pages(region, kTouched, [&](Page page) { samples.add(count([&] { write_page(page); })); });
  return samples;
}

// A file of kFileBytes in the RAM file system, all of it in the page cache.
Word cached_file() {
  static constexpr std::array<char, 65536> kContent{1, 2, 3};
  const Word file =
      must("open", call(SYS_open, reinterpret_cast<Word>("/bench.data"), O_RDWR | O_CREAT | O_TRUNC, 0600));
  for (std::size_t written = 0; written < kFileBytes; written += kContent.size()) {
    must("write", call(SYS_write, file, reinterpret_cast<Word>(kContent.data()), kContent.size()));
  }
  return file;
}

Samples file_read_fault() {
  Samples samples(5, kFileBytes / kPage);
  const Word file = cached_file();
  for (int round = 0; round < 5; ++round) {
    const Word mapping = must("mmap", map(kFileBytes, PROT_READ, MAP_SHARED, static_cast<int>(file)));
    samples.add(count([&] { read_pages(mapping, kFileBytes); }));
    must("munmap", unmap(mapping, kFileBytes));
  }
  return samples;
}

Samples file_map_read_unmap() {
  Samples samples(5, kFileBytes / kPage);
  const Word file = cached_file();
  for (int round = 0; round < 5; ++round) {
    samples.add(count([&] {
      const Word mapping = must("mmap", map(kFileBytes, PROT_READ, MAP_SHARED, static_cast<int>(file)));
      read_pages(mapping, kFileBytes);
      must("munmap", unmap(mapping, kFileBytes));
    }));
  }
  return samples;
}

Samples file_write_faults(int sharing) {
  Samples samples(1024);
  const Word file = cached_file();
  const Word mapping = must("mmap", map(kFileBytes, kReadWrite, sharing, static_cast<int>(file)));
  isolated_pages(mapping, kFileBytes, [&](Page page) { samples.add(count([&] { write_page(page); })); });
  return samples;
}

Samples file_shared_write() { return file_write_faults(MAP_SHARED); }
Samples file_private_write() { return file_write_faults(MAP_PRIVATE); }

Samples shared_first_write() {
  Samples samples(1024);
  const Word region = must("mmap", map(kRegion, kReadWrite, MAP_SHARED | MAP_ANONYMOUS));
  isolated_pages(region, kRegion, [&](Page page) { samples.add(count([&] { write_page(page); })); });
  return samples;
}

// The first touch of a mapping that was just made, of a file in the page cache.
template <typename Touch>
Samples first_touch_of_file(int sharing, Touch touch_page) {
  constexpr int kRounds = 101;
  Samples samples(kRounds);
  const Word file = cached_file();
  for (int round = 0; round < kRounds; ++round) {
    const Word mapping = must("mmap", map(kFileBytes, kReadWrite, sharing, static_cast<int>(file)));
    const auto page = reinterpret_cast<Page>(mapping + static_cast<Word>(kFileBytes / 2));
    samples.add(count([&] { touch_page(page); }));
    must("munmap", unmap(mapping, kFileBytes));
  }
  return samples;
}

Samples file_first_read() { return first_touch_of_file(MAP_SHARED, read_page); }
Samples file_first_shared_write() { return first_touch_of_file(MAP_SHARED, write_page); }
Samples file_first_private_write() { return first_touch_of_file(MAP_PRIVATE, write_page); }

void allow_access(int, siginfo_t* information, void*) {
  protect(reinterpret_cast<Word>(information->si_addr) & -static_cast<Word>(kPage), kPage, kReadWrite);
}

Samples handled_fault() {
  constexpr std::size_t kRounds = 201;
  Samples samples(kRounds);
  struct sigaction action{};
  action.sa_sigaction = allow_access;
  action.sa_flags = SA_SIGINFO;
  must("sigaction", -::sigaction(SIGSEGV, &action, nullptr));
  const Word page = must("mmap", map(kPage));
  touch(page, kPage);
  for (std::size_t round = 0; round < kRounds; ++round) {
    must("mprotect", protect(page, kPage, PROT_READ));
    samples.add(count([&] { write_page(reinterpret_cast<Page>(page)); }));
  }
  return samples;
}

constexpr std::array kMetrics{
    Metric{"write_fault", write_fault},
    Metric{"sequential_touch", sequential_touch},
    Metric{"large_fault", large_fault},
    Metric{"large_touch", large_touch},
    Metric{"large_unmap", large_unmap},
    Metric{"large_copy_after_fork", large_copy_after_fork},
    Metric{"read_fault", read_fault},
    Metric{"write_after_read", write_after_read},
    Metric{"copy_after_fork", copy_after_fork},
    Metric{"reuse_after_fork", reuse_after_fork},
    Metric{"file_read_fault", file_read_fault},
    Metric{"file_map_read_unmap", file_map_read_unmap},
    Metric{"file_shared_write", file_shared_write},
    Metric{"file_private_write", file_private_write},
    Metric{"file_first_read", file_first_read},
    Metric{"file_first_shared_write", file_first_shared_write},
    Metric{"file_first_private_write", file_first_private_write},
    Metric{"shared_first_write", shared_first_write},
    Metric{"handled_fault", handled_fault},
};

}  // namespace

std::span<const Metric> fault_metrics() { return kMetrics; }

}  // namespace vellum::bench
