// A fuzzer's operations that bring pages in, let them go or punch holes, and what is in memory as far as that is sure.
#pragma once

#include "fuzz_world.hpp"

namespace vellum::test {

template <PageTableFormat F>
class AdviceFuzz {
 public:
  AdviceFuzz(FuzzWorld<F>& world, const Operation& op, typename FuzzWorld<F>::Space& space)
      : world_(world), op_(op), real_(*space.real), model_(space.model) {}

  void run() {
    enum : unsigned { kPopulateRead, kPopulateWrite, kReadAhead, kPageOut, kRemove, kSupply, kKinds };
    for_each_stretch([&](const Stretch& stretch) {
      switch (op_.how % kKinds) {
        case kPopulateRead:
          return touch(stretch, Access::read);
        case kPopulateWrite:
          return touch(stretch, Access::write);
        case kReadAhead:
          return read_ahead(stretch);
        case kPageOut:
          return page_out(stretch);
        case kSupply:
          return supply(stretch);
        default:
          return remove(stretch);
      }
    });
  }
  // Of the page at the operation's address.
  void check_residence() {
    const VirtAddr address = op_.address;
    const bool is_named = world_.layout().contains(address);
    const Vpn page = is_named ? vpn_of<F>(address) : Vpn(0);
    const Stretch* const stretch = is_named ? model_.find(page) : nullptr;
    const bool resident = real_.is_resident(address);
    if (stretch == nullptr) {
      return check(!resident, address, resident);
    }
    const bool own = model_.contents().find(page) != nullptr;
    const bool kept = !own && stretch->object && stretch->object->is_kept(stretch->index_of(page));
    if ((own && !world_.has_swapped()) || kept) {
      check(resident, address, resident);
    }
  }

 private:
  static constexpr std::uint64_t kMost = 24;  // pages

  static void check(bool right, VirtAddr address, bool resident) {
    if (!right) {
      differ("the page at 0x%llx is %s", static_cast<unsigned long long>(address.value()),
             resident ? "in memory" : "not in memory");
    }
  }

  // What is mapped of the first pages from the operation's address on.
  template <class Visitor>
  void for_each_stretch(Visitor visit) {
    if (!world_.layout().contains(op_.address)) {
      return;
    }
    const Vpn start = vpn_of<F>(op_.address);
    const Vpn end = start + std::min(pages_for(op_.length), PageCount(kMost));
    const std::vector<Stretch> stretches = model_.stretches();
    for (const Stretch& stretch : stretches) {
      if (stretch.start < end && stretch.end > start) {
        Stretch part = stretch;
        part.start = std::max(stretch.start, start);
        part.end = std::min(stretch.end, end);
        part.first = stretch.index_of(part.start);
        visit(part);
      }
    }
  }
  [[nodiscard]] static IndexRange indices(const Stretch& stretch) {
    return IndexRange::must(stretch.first, stretch.size());
  }
  // The object that a stretch shows; what holds it is the mapping.
  [[nodiscard]] MemoryObject<F>& object_of(const Stretch& stretch) {
    const std::optional<Region<F>> region = real_.region_at_or_after(address_of<F>(stretch.start));
    if (!region || region->object == nullptr) {
      differ("no object is shown at page 0x%llx", static_cast<unsigned long long>(stretch.start.value()));
    }
    return *region->object;
  }

  void touch(const Stretch& stretch, Access access) {
    for (Vpn page = stretch.start; page < stretch.end; page += PageCount(1)) {
      const auto expected = world_.oracle().fault(address_of<F>(page), access, model_);
      const FaultVerdict verdict = real_.fault(address_of<F>(page), access);
      if (verdict != expected.verdict) {
        differ("to bring in gave %u, expected %u", static_cast<unsigned>(verdict),
               static_cast<unsigned>(expected.verdict));
      }
      if (verdict != FaultVerdict::resolved) {
        return;
      }
      check(real_.is_resident(address_of<F>(page)), address_of<F>(page), false);
      if (access == Access::write && stretch.traits.is_shared()) {
        stretch.object->note_write(stretch.index_of(page));
      } else if (access == Access::write) {
        static_cast<void>(model_.own(stretch, page));
      }
    }
  }
  void read_ahead(const Stretch& stretch) {
    for (Vpn page = stretch.start; stretch.object && page < stretch.end; page += PageCount(1)) {
      const PageIndex index = stretch.index_of(page);
      const Result<void> populated = object_of(stretch).populate(index);
      if (populated.ok() != stretch.object->has(index)) {
        differ("to read ahead gave %d", populated.ok() ? 0 : static_cast<int>(populated.error()));
      }
      check(!populated.ok() || real_.is_resident(address_of<F>(page)), address_of<F>(page), false);
    }
  }
  void page_out(const Stretch& stretch) {
    if (!stretch.object) {
      return;
    }
    const PageCount gone = real_.page_out(object_of(stretch), indices(stretch));
    if (!stretch.object->file() && !gone.is_zero()) {
      differ("memory was let go that is nowhere else");
    }
    for (Vpn page = stretch.start; stretch.object->file() && world_.has_one_space() && page < stretch.end;
         page += PageCount(1)) {
      if (model_.contents().find(page) == nullptr && !stretch.object->may_be_dirty(stretch.index_of(page))) {
        check(!real_.is_resident(address_of<F>(page)), address_of<F>(page), true);
      }
    }
  }
  void remove(const Stretch& stretch) {
    if (stretch.object && stretch.traits.is_shared()) {
      world_.punch(object_of(stretch), *stretch.object, indices(stretch));
      for (Vpn page = stretch.start; page < stretch.end; page += PageCount(1)) {
        if (!stretch.object->file()) {
          check(!real_.is_resident(address_of<F>(page)), address_of<F>(page), true);
        }
      }
    }
  }

  // What was never touched is missing; what is there stays; afterwards all is memory like any other.
  void supply(const Stretch& stretch) {
    if (stretch.object || stretch.traits.is_shared()) {
      return;
    }
    const VirtRange range = VirtRange::must(address_of<F>(stretch.start), bytes_of(stretch.size()));
    mark(range, Traits::supplied(), {});
    std::array<std::byte, kPageSize> contents{};
    for (Vpn page = stretch.start; page < stretch.end; page += PageCount(1)) {
      const VirtAddr address = address_of<F>(page);
      const bool own = model_.contents().find(page) != nullptr;
      bool present = own || real_.is_resident(address);
      const bool readable = permits(stretch.prot, Access::read);
      if (readable && !present) {
        const FaultVerdict verdict = real_.fault(address, Access::read);
        present =
            verdict == FaultVerdict::resolved && world_.has_swapped();  // zeros that were brought in, and went out
        check_verdict(verdict, present ? FaultVerdict::resolved : FaultVerdict::missing);
      }
      PageWords words;
      words.set(0, page.value() + 1);
      const std::uint64_t first = words.at(0);
      std::memcpy(contents.data(), &first, sizeof first);
      const bool zeros = (page.value() & 1) != 0;
      const Result<void> supplied = zeros ? real_.supply(address, std::nullopt) : real_.supply(address, contents);
      present = present || (!readable && world_.has_swapped() && !supplied.ok());
      if (supplied.ok() == present || (present && supplied.error() != Errno::exists)) {
        differ("to supply gave %d", supplied.ok() ? 0 : static_cast<int>(supplied.error()));
      }
      if (!present && !zeros) {
        model_.contents().set(page, words);
      }
      if (readable) {
        check_verdict(real_.fault(address, Access::read), FaultVerdict::resolved);
      }
    }
    mark(range, {}, Traits::supplied());
  }
  void mark(VirtRange range, Traits add, Traits drop) {
    if (const Result<void> marked = real_.mark(range, {.add = add, .drop = drop}); !marked.ok()) {
      differ("to mark gave %d", static_cast<int>(marked.error()));
    }
  }
  static void check_verdict(FaultVerdict verdict, FaultVerdict expected) {
    if (verdict != expected) {
      differ("a fault gave %u, expected %u", static_cast<unsigned>(verdict), static_cast<unsigned>(expected));
    }
  }

  FuzzWorld<F>& world_;
  const Operation& op_;
  AddressSpace<F>& real_;
  SpaceModel& model_;
};

}  // namespace vellum::test
