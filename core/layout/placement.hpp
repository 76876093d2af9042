// Inside of the layer: the steps of AddressMap::create.
#pragma once

#include <expected>
#include <optional>
#include <span>

#include <vellum/layout/address_map.hpp>

namespace vellum::layout_detail {

extern const std::span<const RegionRow> kAmd64Table;
extern const std::span<const RegionRow> kI386Table;
// The user rows for a kernel and a model that fits it.
[[nodiscard]] std::span<const RegionRow> user_table(Arch arch, UserModel model);
extern const RegionRow kUnusedRow;

// The landmarks of the kernel half. Those of the user half stay 0.
[[nodiscard]] std::expected<Landmarks, LayoutProblem> place_amd64(const KernelInputs& inputs, LayoutNotes& notes);
[[nodiscard]] std::expected<Landmarks, LayoutProblem> place_i386(const KernelInputs& inputs, LayoutNotes& notes);
// Adds the landmarks of the user half.
void place_user(Arch arch, const UserInputs& inputs, Landmarks& landmarks);

// A size that somebody chose, made harmless: no layout has room for it, and sums of a few of them do not wrap.
inline constexpr ByteCount kBoundlessSize{std::uint64_t{1} << 56};
[[nodiscard]] constexpr ByteCount bounded(ByteCount size) { return size < kBoundlessSize ? size : kBoundlessSize; }
[[nodiscard]] constexpr ByteCount round_up_to(ByteCount size, ByteCount power_of_two) {
  return ByteCount(round_up(size.value(), power_of_two.value()));
}

}  // namespace vellum::layout_detail
