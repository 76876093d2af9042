// Calls that change mappings.

#include <array>

#include "metrics.hpp"

namespace vellum::bench {
namespace {

constexpr std::size_t kRounds = 201;
constexpr std::size_t kLarge = 64 * kMegabyte;

void write_byte(Word address) { *reinterpret_cast<Page>(address) = 1; }

Samples map_page() {
  Samples samples(kRounds);
  for (std::size_t round = 0; round < kRounds; ++round) {
    Word page = 0;
    samples.add(count([&] { page = map(kPage); }));
    must("mmap", page);
    must("munmap", unmap(page, kPage));
  }
  return samples;
}

Samples unmap_touched_page() {
  Samples samples(kRounds);
  for (std::size_t round = 0; round < kRounds; ++round) {
    const Word page = must("mmap", map(kPage));
    write_byte(page);
    samples.add(count([&] { unmap(page, kPage); }));
  }
  return samples;
}

Samples map_touch_unmap(std::size_t bytes, std::size_t rounds) {
  Samples samples(rounds, bytes / kPage);
  for (std::size_t round = 0; round < rounds; ++round) {
    samples.add(count([&] {
      const Word region = must("mmap", map(bytes));
      touch(region, bytes);
      unmap(region, bytes);
    }));
  }
  return samples;
}

Samples map_touch_unmap_page() { return map_touch_unmap(kPage, kRounds); }
Samples map_touch_unmap_megabyte() { return map_touch_unmap(kMegabyte, 31); }

Samples unmap_large() {
  Samples samples(3, kLarge / kPage);
  for (int round = 0; round < 3; ++round) {
    const Word region = must("mmap", map(kLarge));
    touch(region, kLarge);
    samples.add(count([&] { unmap(region, kLarge); }));
  }
  return samples;
}

// One page in the middle of a touched region loses its right to be written (`split`), and gets it back.
Samples protect_middle(bool split) {
  Samples samples(kRounds);
  const Word region = must("mmap", map(kMegabyte));
  touch(region, kMegabyte);
  const Word middle = region + static_cast<Word>(kMegabyte / 2);
  for (std::size_t round = 0; round < kRounds; ++round) {
    const auto parted = count([&] { must("mprotect", protect(middle, kPage, PROT_READ)); });
    const auto joined = count([&] { must("mprotect", protect(middle, kPage, kReadWrite)); });
    samples.add(split ? parted : joined);
  }
  return samples;
}

Samples protect_split() { return protect_middle(true); }
Samples protect_merge() { return protect_middle(false); }

// Between guards, so that the region has no neighbours to join.
Samples protect_whole(std::size_t bytes, std::size_t rounds) {
  Samples samples(rounds, bytes / kPage);
  const Word around = must("mmap", map(bytes + 2 * kPage, PROT_NONE));
  const Word region = around + static_cast<Word>(kPage);
  must("mprotect", protect(region, bytes, kReadWrite));
  touch(region, bytes);
  for (std::size_t round = 0; round < rounds; ++round) {
    samples.add(count([&] { must("mprotect", protect(region, bytes, PROT_READ)); }));
    must("mprotect", protect(region, bytes, kReadWrite));
  }
  return samples;
}

Samples protect_page() { return protect_whole(kPage, kRounds); }
Samples protect_large() { return protect_whole(kLarge, 5); }

Samples discard(std::size_t bytes, std::size_t rounds) {
  Samples samples(rounds, bytes / kPage);
  const Word region = must("mmap", map(bytes));
  for (std::size_t round = 0; round < rounds; ++round) {
    touch(region, bytes);
    samples.add(count([&] { must("madvise", call(SYS_madvise, region, static_cast<Word>(bytes), MADV_DONTNEED)); }));
  }
  return samples;
}

Samples discard_page() { return discard(kPage, kRounds); }
Samples discard_large() { return discard(kLarge, 3); }

Samples populate_megabyte() {
  Samples samples(31, kMegabyte / kPage);
  for (int round = 0; round < 31; ++round) {
    Word region = 0;
    samples.add(count([&] { region = map(kMegabyte, kReadWrite, kAnonymous | MAP_POPULATE); }));
    must("mmap", region);
    must("munmap", unmap(region, kMegabyte));
  }
  return samples;
}

Samples reserve_terabyte() {
  constexpr std::size_t kTerabyte = std::size_t{1} << 40;
  Samples samples(31);
  for (int round = 0; round < 31; ++round) {
    Word region = 0;
    samples.add(count([&] { region = map(kTerabyte, PROT_NONE, kAnonymous | MAP_NORESERVE); }));
    must("mmap", region);
    must("munmap", unmap(region, kTerabyte));
  }
  return samples;
}

Samples grow_heap() {
  Samples samples(kRounds);
  Word end = must("brk", call(SYS_brk, 0));
  end = must("brk", call(SYS_brk, (end + static_cast<Word>(kPage)) & -static_cast<Word>(kPage)));
  for (std::size_t round = 0; round < kRounds; ++round) {
    samples.add(count([&] {
      call(SYS_brk, end + static_cast<Word>(kPage));
      write_byte(end);
    }));
    end += static_cast<Word>(kPage);
  }
  return samples;
}

Samples move_mapping(std::size_t bytes, std::size_t rounds) {
  Samples samples(rounds, bytes / kPage);
  const Word places = must("mmap", map(bytes * 2, PROT_NONE));
  Word from = places;
  Word to = places + static_cast<Word>(bytes);
  must("mmap", call(SYS_mmap, from, static_cast<Word>(bytes), kReadWrite, kAnonymous | MAP_FIXED, -1, 0));
  touch(from, bytes);
  for (std::size_t round = 0; round < rounds; ++round) {
    samples.add(count([&] {
      must("mremap", call(SYS_mremap, from, static_cast<Word>(bytes), static_cast<Word>(bytes),
                          MREMAP_MAYMOVE | MREMAP_FIXED, to));
    }));
    std::swap(from, to);
  }
  return samples;
}

Samples move_page() { return move_mapping(kPage, kRounds); }
Samples move_megabyte() { return move_mapping(kMegabyte, 31); }

constexpr std::array kMetrics{
    Metric{"map_page", map_page},
    Metric{"unmap_touched_page", unmap_touched_page},
    Metric{"map_touch_unmap_page", map_touch_unmap_page},
    Metric{"map_touch_unmap_megabyte", map_touch_unmap_megabyte},
    Metric{"unmap_large", unmap_large},
    Metric{"protect_split", protect_split},
    Metric{"protect_merge", protect_merge},
    Metric{"protect_page", protect_page},
    Metric{"protect_large", protect_large},
    Metric{"discard_page", discard_page},
    Metric{"discard_large", discard_large},
    Metric{"populate_megabyte", populate_megabyte},
    Metric{"reserve_terabyte", reserve_terabyte},
    Metric{"grow_heap", grow_heap},
    Metric{"move_page", move_page},
    Metric{"move_megabyte", move_megabyte},
};

}  // namespace

std::span<const Metric> mapping_metrics() { return kMetrics; }

}  // namespace vellum::bench
