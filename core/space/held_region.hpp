// The region at an address, with its object held: whatever becomes of the mapping meanwhile, the object can be used.
#pragma once

#include <vellum/space/space.hpp>

namespace vellum {

template <PageTableFormat F>
class AddressSpace<F>::HeldRegion {
 public:
  HeldRegion(AddressSpace& space, VirtAddr address) : region_(space.find_region(address, Hold::object)) {
    if (region_ && !region_->range.contains(address)) {
      let_go();
      region_.reset();
    }
  }
  ~HeldRegion() { let_go(); }
  HeldRegion(const HeldRegion&) = delete;
  HeldRegion& operator=(const HeldRegion&) = delete;

  // Whether something is mapped there.
  explicit operator bool() const { return region_.has_value(); }
  const Region<F>& operator*() const { return *region_; }
  const Region<F>* operator->() const { return &*region_; }

 private:
  void let_go() {
    if (region_ && region_->object != nullptr) {
      region_->object->release();
    }
  }

  std::optional<Region<F>> region_;
};

}  // namespace vellum
