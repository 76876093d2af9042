// /proc/PID/smaps, smaps_rollup and pagemap: what of each region is in memory, and who shares it.

#include <algorithm>

#include <vellum/space/survey.hpp>
#include <vellum/unix/held_program.hpp>

#include "view.hpp"

namespace vellum::unix {

namespace {

constexpr std::uint64_t kPageKilobytes = kPageSize >> 10;

// Pages of a region by what they are; shares of pages in 4096ths, as Linux counts them.
class MemoryUsage final : public PageVisitor {
 public:
  static constexpr unsigned kShareShift = 12;

  void visit(const PageUse& use) override {
    if (use.swapped) {
      ++swapped;
      return;
    }
    if (use.kind == FrameKind::zero_page) {
      return;
    }
    const bool is_private = use.users <= 1;
    // Memory without a file is nowhere else, so it is never clean.
    const bool is_dirty = use.dirty || use.kind == FrameKind::anonymous;
    const std::uint64_t share = (std::uint64_t{1} << kShareShift) / use.users;
    ++resident;
    proportional += share;
    (use.kind == FrameKind::anonymous ? anonymous_proportional : file_proportional) += share;
    proportional_dirty += is_dirty ? share : 0;
    ++(is_private ? (is_dirty ? private_dirty : private_clean) : (is_dirty ? shared_dirty : shared_clean));
    referenced += use.accessed ? 1 : 0;
    anonymous += use.kind == FrameKind::anonymous ? 1 : 0;
    large += use.large ? 1 : 0;
  }

  std::uint64_t resident = 0;
  std::uint64_t proportional = 0;
  std::uint64_t proportional_dirty = 0;
  std::uint64_t anonymous_proportional = 0;
  std::uint64_t file_proportional = 0;
  std::uint64_t shared_clean = 0;
  std::uint64_t shared_dirty = 0;
  std::uint64_t private_clean = 0;
  std::uint64_t private_dirty = 0;
  std::uint64_t referenced = 0;
  std::uint64_t anonymous = 0;
  std::uint64_t large = 0;
  std::uint64_t swapped = 0;
};

void survey_region(Space& space, VirtRange range, MemoryUsage& usage) {
  const VpnRange pages = VpnRange::must(vpn_of<Format>(range.start()), whole_pages(range.size()));
  survey<Format>(space, pages, usage);
}

void write_kilobytes(std::string_view name, std::uint64_t kilobytes, TextSink& sink) {
  constexpr unsigned kNameWidth = 16;
  constexpr unsigned kNumberWidth = 8;
  sink.left(name, kNameWidth).decimal(kilobytes, kNumberWidth).text(" kB\n");
}

void write_pages(std::string_view name, std::uint64_t pages, TextSink& sink) {
  write_kilobytes(name, pages * kPageKilobytes, sink);
}

void write_share(std::string_view name, std::uint64_t share, TextSink& sink) {
  write_kilobytes(name, share * kPageKilobytes >> MemoryUsage::kShareShift, sink);
}

enum class Totals : bool { no, yes };

void write_usage(const MemoryUsage& usage, Totals totals, TextSink& sink) {
  write_pages("Rss:", usage.resident, sink);
  write_share("Pss:", usage.proportional, sink);
  write_share("Pss_Dirty:", usage.proportional_dirty, sink);
  if (totals == Totals::yes) {
    write_share("Pss_Anon:", usage.anonymous_proportional, sink);
    write_share("Pss_File:", usage.file_proportional, sink);
    write_share("Pss_Shmem:", 0, sink);
  }
  write_pages("Shared_Clean:", usage.shared_clean, sink);
  write_pages("Shared_Dirty:", usage.shared_dirty, sink);
  write_pages("Private_Clean:", usage.private_clean, sink);
  write_pages("Private_Dirty:", usage.private_dirty, sink);
  write_pages("Referenced:", usage.referenced, sink);
  write_pages("Anonymous:", usage.anonymous, sink);
  write_pages("LazyFree:", 0, sink);
  write_pages("AnonHugePages:", usage.large, sink);
  for (const std::string_view none : {"ShmemPmdMapped:", "FilePmdMapped:", "Shared_Hugetlb:", "Private_Hugetlb:"}) {
    write_pages(none, 0, sink);
  }
  write_pages("Swap:", usage.swapped, sink);
  write_pages("SwapPss:", usage.swapped, sink);
}

void write_flags(const Region<Format>& region, TextSink& sink) {
  struct Flag {
    bool is_set;
    std::string_view name;
  };
  const bool is_shared = region.traits.is_shared();
  const bool may_change =
      is_shared && region.maximum.can_write();  // otherwise Linux takes it for private, but for `ms`
  const Flag flags[] = {{region.prot.can_read(), "rd"},
                        {region.prot.can_write(), "wr"},
                        {region.prot.can_execute(), "ex"},
                        {may_change, "sh"},
                        {region.maximum.can_read(), "mr"},
                        {region.maximum.can_write(), "mw"},
                        {region.maximum.can_execute(), "me"},
                        {is_shared, "ms"},
                        {region.traits.is_growing_down(), "gd"},
                        {region.traits.is_supplied(), "um"},
                        {region.traits.is_locked(), "lo"},
                        {region.traits.is_left_out_of_forks(), "dc"},
                        {region.traits.is_locked_on_fault(), "lf"},
                        {region.traits.is_reserved(), "ac"},
                        {region.traits.is_unreserved(), "nr"},
                        {region.traits.is_wiped_by_forks(), "wf"},
                        {region.traits.is_wanting_large(), "hg"},
                        {region.traits.is_refusing_large(), "nh"}};
  sink.text("VmFlags: ");
  for (const Flag& flag : flags) {
    if (flag.is_set) {
      sink.text(flag.name).character(' ');
    }
  }
  sink.text("\n");
}

// Whether large pages may come there: Linux's THPeligible.
bool may_be_large(const Region<Format>& region, const Space& space) {
  constexpr std::uint64_t kLargeBytes = kPageSize << Tables<Format>::kLargeOrder;
  const std::uint64_t first = round_up(region.range.start().value(), kLargeBytes);
  const std::uint64_t end = region.range.last().value() + 1;
  return region.object == nullptr && !region.traits.is_refusing_large() && space.permits_large_pages() && first < end &&
         end - first >= kLargeBytes;
}

}  // namespace

void write_smaps(Program& program, TextSink& sink) {
  const VirtAddr break_end = program.space.set_break(VirtAddr(0));
  for_each_region(program.space, [&](const Region<Format>& region) {
    MemoryUsage usage;
    survey_region(program.space, region.range, usage);
    write_region(region, program, break_end, sink);
    write_pages("Size:", whole_pages(region.range.size()).value(), sink);
    write_pages("KernelPageSize:", 1, sink);
    write_pages("MMUPageSize:", 1, sink);
    write_usage(usage, Totals::no, sink);
    write_share("Locked:", region.traits.is_locked() ? usage.proportional : 0, sink);
    sink.text("THPeligible:    ").decimal(may_be_large(region, program.space) ? 1 : 0, 8).text("\n");
    write_flags(region, sink);
  });
}

void write_smaps_rollup(Program& program, TextSink& sink) {
  constexpr std::size_t kNameColumn = 73;
  MemoryUsage usage;
  std::uint64_t locked = 0;
  VirtAddr start(0);
  VirtAddr end(0);
  for_each_region(program.space, [&](const Region<Format>& region) {
    start = end == VirtAddr(0) ? region.range.start() : start;
    end = region.range.end();
    const std::uint64_t before = usage.proportional;
    survey_region(program.space, region.range, usage);
    locked += region.traits.is_locked() ? usage.proportional - before : 0;
  });
  sink.hexadecimal(start.value(), 8).character('-').hexadecimal(end.value(), 8).text(" ---p 00000000 00:00 0 ");
  sink.pad_to(kNameColumn).text("[rollup]\n");
  write_usage(usage, Totals::yes, sink);
  write_share("Locked:", locked, sink);
}

MappedFigures mapped_figures() {
  std::uint64_t objects = 0;
  std::uint64_t locked = 0;
  for (std::optional<ProcessId> id = next_process(ProcessId(0)); id; id = next_process(*id)) {
    process_lock.lock();
    const Process* const process = process_system().find_process(*id);
    const bool has_memory = process != nullptr && process->vfork_parent == nullptr;
    const HeldProgram program(has_memory ? process->program : nullptr);
    process_lock.unlock();
    if (program.get() == nullptr) {
      continue;
    }
    Space& space = program.get()->space;
    for_each_region(space, [&](const Region<Format>& region) {
      if (region.object != nullptr || region.traits.is_locked()) {
        MemoryUsage usage;
        survey_region(space, region.range, usage);
        objects += usage.file_proportional;
        locked += region.traits.is_locked() ? usage.proportional : 0;
      }
    });
  }
  constexpr std::uint64_t kHalf = std::uint64_t{1} << (MemoryUsage::kShareShift - 1);
  return {.objects = (objects + kHalf) >> MemoryUsage::kShareShift,
          .locked = (locked + kHalf) >> MemoryUsage::kShareShift,
          .kept = process_system().segments.totals().locked.value()};
}

std::uint64_t object_pages_in(Space& space, VirtRange range) {
  MemoryUsage usage;
  survey_region(space, range, usage);
  return usage.resident - usage.anonymous;
}

namespace {

// Words of pagemap for a stretch of pages.
class PagemapWords final : public PageVisitor {
 public:
  static constexpr std::size_t kMost = 64;

  PagemapWords(Vpn first, ShowFrames frames) : first_(first), frames_(frames) {}

  void visit(const PageUse& use) override {
    constexpr std::uint64_t kExclusive = std::uint64_t{1} << 56;
    constexpr std::uint64_t kOfFile = std::uint64_t{1} << 61;
    constexpr std::uint64_t kSwapped = std::uint64_t{1} << 62;
    constexpr std::uint64_t kPresent = std::uint64_t{1} << 63;
    std::uint64_t& word = words_[static_cast<std::size_t>((use.page - first_).value())];
    if (use.swapped) {
      word = kSwapped;
      return;
    }
    word = kPresent | (use.kind == FrameKind::object ? kOfFile : 0) |
           (use.users <= 1 && use.kind != FrameKind::zero_page ? kExclusive : 0) |
           (frames_ == ShowFrames::yes ? use.frame.value() : 0);
  }
  [[nodiscard]] std::span<const std::uint64_t> words(std::size_t count) const { return std::span(words_).first(count); }

 private:
  const Vpn first_;
  const ShowFrames frames_;
  std::uint64_t words_[kMost] = {};
};

}  // namespace

Result<void> read_pagemap(Program& program, std::uint64_t first, ShowFrames frames, Transfer& to) {
  const std::uint64_t end = program.space.layout().end().value() >> kPageShift;
  for (std::uint64_t page = first; page < end && !to.left().is_zero();) {
    const std::uint64_t wanted = to.left().value() / sizeof(std::uint64_t);
    // A stretch does not cross from one half of the addresses to the other: 64 divides where they meet.
    const std::uint64_t in_stretch = PagemapWords::kMost - page % PagemapWords::kMost;
    const std::uint64_t count = std::min({wanted, in_stretch, end - page});
    const VirtAddr address(page << kPageShift);
    if (is_canonical<Format>(address)) {
      const Vpn start = vpn_of<Format>(address);
      PagemapWords words(start, frames);
      survey<Format>(program.space, VpnRange::must(start, PageCount(count)), words);
      VELLUM_TRY(to.put(std::as_bytes(words.words(static_cast<std::size_t>(count)))));
    } else {
      constexpr std::uint64_t kNothing[PagemapWords::kMost] = {};
      VELLUM_TRY(to.put(std::as_bytes(std::span(kNothing).first(static_cast<std::size_t>(count)))));
    }
    page += count;
  }
  return {};
}

}  // namespace vellum::unix
