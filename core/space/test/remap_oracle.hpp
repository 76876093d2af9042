// mremap on a SpaceModel, step by step as Linux does it: what failed half-way stays done up to there.
#pragma once

#include <optional>
#include <vector>

#include "oracle.hpp"

namespace vellum::test {

template <PageTableFormat F>
class RemapOracle {
 public:
  RemapOracle(const Oracle<F>& oracle, const SpaceLayout& layout, const Operation& op, const SpaceModel& space)
      : oracle_(oracle), layout_(layout), op_(op), old_(rounded(op.length)), new_(rounded(op.new_length)) {
    stages_.push_back(space);
    result_ = go();
  }

  // What the call must answer.
  [[nodiscard]] const Result<void>& result() const { return result_; }
  // The space after each step that can stand alone; the last one where the call fails as it must.
  [[nodiscard]] const std::vector<SpaceModel>& stages() const { return stages_; }
  // Where the mapping must be after success; nothing: anywhere.
  [[nodiscard]] std::optional<VirtAddr> wanted() const { return wanted_; }
  [[nodiscard]] PageCount new_pages() const { return new_; }
  // The space after success. `call` and the number after it are free for mmaps of objects.
  [[nodiscard]] SpaceModel after(VirtAddr at, std::uint64_t call) const {
    SpaceModel space = stages_.back();
    const Vpn from = vpn_of<F>(op_.address);
    if (at == op_.address) {
      if (grows_) {
        Stretch more = *region_;
        more.first = more.index_of(from + old_);
        more.start = from + old_;
        more.end = from + new_;
        more.call = more.object ? call : 0;
        space.map(more);
        bring_in(space, from);
      }
      return space;
    }
    space.move({.from = from, .end = from + old_, .to = vpn_of<F>(at), .to_end = vpn_of<F>(at) + new_}, *region_, call,
               op_.keeps_source);
    bring_in(space, vpn_of<F>(at));
    return space;
  }
  // Whether success brings in pages.
  [[nodiscard]] bool brings_in() const {
    return region_ && new_ > old_ && region_->traits.is_locked() && !region_->traits.is_locked_on_fault();
  }

 private:
  [[nodiscard]] static PageCount rounded(ByteCount length) {
    return length.value() > ~std::uint64_t{0} - 0xFFF ? PageCount(0) : pages_for(length);
  }
  [[nodiscard]] const SpaceModel& now() const { return stages_.back(); }

  void bring_in(SpaceModel& space, Vpn start) const {
    if (brings_in()) {
      space.bring_in(start + old_, start + new_);
    }
  }
  [[nodiscard]] bool find() {
    region_.reset();
    if (layout_.contains(op_.address)) {
      const Vpn page = vpn_of<F>(op_.address);
      const auto at = now().first_behind(page);
      if (at != now().stretches().end() && at->start <= page) {
        region_ = now().joined(at);
      }
    }
    return region_.has_value();
  }
  void unmap(VirtAddr address, PageCount pages) {
    SpaceModel next = now();
    next.unmap(vpn_of<F>(address), vpn_of<F>(address) + pages);
    stages_.push_back(next);
  }
  [[nodiscard]] bool may_name(VirtAddr address, PageCount pages) const {
    const Result<VirtRange> range = VirtRange::checked(address, bytes_of(pages));
    return range.ok() && layout_.may_name(range.value());
  }
  [[nodiscard]] bool cut_off() {
    if (old_ > new_) {
      if (!VirtRange::checked(op_.address, bytes_of(old_)).ok() ||
          !may_name(op_.address + bytes_of(new_), old_ - new_)) {
        return false;
      }
      unmap(op_.address + bytes_of(new_), old_ - new_);
      old_ = new_;
    }
    return true;
  }
  [[nodiscard]] bool exceeds(PageCount more) const {
    return oracle_.exceeds_size(now(), more) || oracle_.exceeds_data(now(), region_->prot, region_->traits, more);
  }
  [[nodiscard]] bool is_counted() const { return region_->traits.is_reserved(); }
  [[nodiscard]] Result<void> growth() const {
    if (old_.is_zero() && !region_->traits.is_shared()) {
      return Errno::invalid;
    }
    if (old_ > region_->end - vpn_of<F>(op_.address)) {
      return Errno::bad_address;
    }
    if (new_ <= old_) {
      return {};
    }
    if (region_->object && region_->index_of(vpn_of<F>(op_.address)).value() + new_.value() > oracle_.kAllPages / 2) {
      return Errno::invalid;
    }
    const bool too_much = exceeds(new_ - old_) || (is_counted() && oracle_.exceeds(new_ - old_));
    return too_much ? Result<void>(Errno::no_memory) : Result<void>();
  }

  [[nodiscard]] Result<void> go() {
    const bool moves = op_.move != Remap::Move::forbidden;
    if (!op_.address.is_page_aligned() || new_.is_zero() ||
        (op_.keeps_source && (!moves || op_.length != op_.new_length))) {
      return Errno::invalid;
    }
    if (!find()) {
      return Errno::bad_address;
    }
    if (op_.keeps_source || op_.move == Remap::Move::to_target) {
      return go_to();
    }
    if (old_ >= new_) {
      wanted_ = op_.address;
      return cut_off() ? Result<void>() : Result<void>(Errno::invalid);
    }
    VELLUM_TRY(growth());
    const Vpn end = vpn_of<F>(op_.address) + old_;
    const Result<VirtRange> added = VirtRange::checked(op_.address + bytes_of(old_), bytes_of(new_ - old_));
    const VirtRange& half = layout_.user[layout_.user[1].contains(op_.address) ? 1 : 0];
    if (end == region_->end && added.ok() && half.contains(added.value()) && now().is_free(end, end + (new_ - old_))) {
      wanted_ = op_.address;
      grows_ = true;
      return {};
    }
    return moves ? anywhere() : Result<void>(Errno::no_memory);
  }
  [[nodiscard]] Result<void> go_to() {
    const bool fixed = op_.move == Remap::Move::to_target;
    if (!op_.target.is_page_aligned() || !may_name(op_.target, new_)) {
      return Errno::invalid;
    }
    if (op_.address.value() + bytes_of(old_).value() > op_.target.value() &&
        op_.target.value() + bytes_of(new_).value() > op_.address.value()) {
      return Errno::invalid;
    }
    if (fixed) {
      unmap(op_.target, new_);
    }
    if (!cut_off()) {
      return Errno::invalid;
    }
    if (!find()) {
      return Errno::bad_address;
    }
    VELLUM_TRY(growth());
    if (op_.keeps_source && (exceeds(new_) || (is_counted() && oracle_.exceeds(new_)))) {
      return Errno::no_memory;
    }
    const VirtRange target = VirtRange::must(op_.target, bytes_of(new_));
    if (fixed) {
      wanted_ = op_.target;
      return layout_.contains(target) ? Result<void>() : Result<void>(Errno::not_permitted);
    }
    const VirtAddr hint = std::max(op_.target, layout_.user[0].start());
    const Result<VirtRange> hinted = VirtRange::checked(hint, bytes_of(new_));
    if (op_.target.value() >= kPageSize && hinted.ok() && layout_.contains(hinted.value()) &&
        now().is_free(vpn_of<F>(hint), vpn_of<F>(hint) + new_)) {
      wanted_ = hint;
      return {};
    }
    return anywhere();
  }
  [[nodiscard]] Result<void> anywhere() const {
    return oracle_.has_room(now(), new_) ? Result<void>() : Result<void>(Errno::no_memory);
  }

  const Oracle<F>& oracle_;
  const SpaceLayout& layout_;
  const Operation& op_;
  PageCount old_;
  const PageCount new_;
  std::vector<SpaceModel> stages_;
  std::optional<Stretch> region_;
  std::optional<VirtAddr> wanted_;
  bool grows_ = false;
  Result<void> result_;
};

}  // namespace vellum::test
