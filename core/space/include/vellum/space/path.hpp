// The way to an address through a space's tables: each table that the processor passes, the entry there, and what the
// software means by it.
#pragma once

#include <optional>

#include <vellum/space/space.hpp>

namespace vellum {

// What the run that covers an entry says. `pages` is all that the run covers.
template <PageTableFormat F>
struct PathMeaning {
  VpnRange pages;
  Prot prot;
  Prot maximum;
  Traits traits;
  bool of_object = false;
  PageIndex first{0};  // the object's page at the start of `pages`
};

template <PageTableFormat F>
struct PathStep {
  unsigned level = 0;
  Pfn table;
  unsigned slot = 0;
  Entry entry;
  std::uint32_t paths = 0;  // entries that name the table; of a root, one
  bool of_object = false;   // the table is an object's own, linked into all spaces that map it
  bool owning = false;      // see node.hpp
  std::optional<PathMeaning<F>> meaning;
};

// From the root down to the entry that names no table. The processor may stop before: where an entry is not present.
template <PageTableFormat F>
struct SpacePath {
  PathStep<F> steps[F::kLevels];
  unsigned count = 0;
  // Of the page that the last entry names, where that is one of memory.
  std::optional<FrameKind> frame_kind;
  std::uint32_t frame_share = 0;
};

// A canonical address; above the user half the way ends at the root, whose entry is then the kernel's. Each step is
// some state that was true during the call.
template <PageTableFormat F>
[[nodiscard]] SpacePath<F> path_to(AddressSpace<F>& space, VirtAddr address);

}  // namespace vellum
