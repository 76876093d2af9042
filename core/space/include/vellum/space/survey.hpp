// What a space's tables name, page by page: for /proc/PID/smaps and pagemap, and whoever counts.
#pragma once

#include <vellum/space/space.hpp>

namespace vellum {

// A page that an entry of a table stands for. A page of memory, or one in swap.
struct PageUse {
  Vpn page;
  bool swapped = false;
  // The rest of a page of memory only.
  Pfn frame{};
  FrameKind kind = FrameKind::free;
  // How many spaces reach the frame, itself included: exact where what is shared is shared by all of them alike, as
  // after forks; otherwise an estimate.
  std::uint64_t users = 1;
  bool accessed = false;
  bool dirty = false;
  bool large = false;  // part of a large page
};

class PageVisitor {
 public:
  // Called with a table's lock held: must not sleep, nor touch the space.
  virtual void visit(const PageUse& use) = 0;

 protected:
  ~PageVisitor() = default;
};

// Shows a visitor all pages that the tables name within `pages`, in order. Each was there at some time of the call.
template <PageTableFormat F>
void survey(AddressSpace<F>& space, VpnRange pages, PageVisitor& visitor);

}  // namespace vellum
