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

// Frames for a large page, which may not be needed in the end.
template <PageTableFormat F>
class AddressSpace<F>::LargeBlock {
 public:
  explicit LargeBlock(PhysicalMemory& memory) : memory_(memory) {}
  ~LargeBlock() {
    if (frames_) {
      memory_.free_block(*frames_, kOrder);
    }
  }
  LargeBlock(const LargeBlock&) = delete;
  LargeBlock& operator=(const LargeBlock&) = delete;

  // Tries once, with nothing held and outside of sections: it takes as long as filling it with zeros does.
  void allocate() {
    was_tried_ = true;
    const Result<Pfn> block = memory_.allocate_block(kOrder, Contents::zeroed, Effort::none);
    frames_ = block.ok() ? std::optional(block.value()) : std::nullopt;
  }
  [[nodiscard]] bool was_tried() const { return was_tried_; }
  [[nodiscard]] std::optional<Pfn> frames() const { return frames_; }
  void was_taken() { frames_.reset(); }

 private:
  static constexpr Order kOrder{Tables<F>::kLargeOrder};

  PhysicalMemory& memory_;
  std::optional<Pfn> frames_;
  bool was_tried_ = false;
};

// One try at one fault.
template <PageTableFormat F>
struct AddressSpace<F>::Attempt {
  Vpn page;
  Access access;
  TlbGather<F>& gather;
  // For large pages; null where there is to be none.
  LargeBlock* block = nullptr;
  VpnRange wanted{};  // will be touched, too
  // What to put where nothing is, instead of zeros: the caller's until Step::done.
  std::optional<Pfn> supplied{};
  // For Step::populate: the object, retained, and its page.
  MemoryObject<F>* object = nullptr;
  PageIndex index{0};
  // For Step::swap_in, retained.
  SwapSlot slot{0};
};

}  // namespace vellum
