// Shared by the files of the page fault.
#pragma once

#include <vellum/space/space.hpp>

namespace vellum {

// The way down to a page, without locks.
template <PageTableFormat F>
struct AddressSpace<F>::Walk {
  Node* node;          // the deepest node on the way
  Node* owner;         // the deepest that owns meaning
  bool exclusive;      // only this space comes to `node`; tables of objects do not count
  EntryRights links;   // what every entry on the way lets through
  bool links_present;  // as far as the hardware is concerned
};

// One try at one fault.
template <PageTableFormat F>
struct AddressSpace<F>::Attempt {
  Vpn page;
  Access access;
  TlbGather<F>& gather;
  // What to put where nothing is, instead of zeros: the caller's until Step::done.
  std::optional<Pfn> supplied{};
  // For Step::populate: the object, retained, and its page.
  MemoryObject<F>* object = nullptr;
  PageIndex index{0};
  // For Step::swap_in, retained.
  SwapSlot slot{0};
};

}  // namespace vellum
