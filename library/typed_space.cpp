// What a program asks of its kernel.
#include "typed_space.hpp"

#include "typed_object.hpp"

namespace libvellum::detail {

using vellum::ByteCount;
using vellum::Traits;
using vellum::VirtAddr;

namespace {

Result<void> result_of(const vellum::Result<void>& result) {
  if (!result.ok()) {
    return std::unexpected(error_of(result.error()));
  }
  return {};
}

// Whole pages; the address must be at a page.
Result<vellum::VirtRange> pages_of(std::uint64_t address, std::uint64_t length) {
  if (!VirtAddr(address).is_page_aligned()) {
    return std::unexpected(Error{.code = Errc::invalid});
  }
  const std::uint64_t rounded = (length + vellum::kPageSize - 1) & ~(vellum::kPageSize - 1);
  const auto range = vellum::VirtRange::checked(VirtAddr(address), ByteCount(rounded));
  if (rounded < length || !range.ok()) {
    return std::unexpected(Error{.code = Errc::invalid});
  }
  return range.value();
}

Traits traits_of(const MapOptions& options) {
  Traits traits;
  traits = options.shared ? traits | Traits::shared() : traits;
  traits = options.grows_down ? traits | Traits::grows_down() : traits;
  return options.no_reserve ? traits | Traits::no_reserve() : traits;
}

}  // namespace

template <class F>
Result<std::uint64_t> TypedSpace<F>::map(std::uint64_t length, const MapOptions& options, Object* object) {
  const OnCpu on(*owner_);
  const vellum::MapRequest<F> request = {
      .address = VirtAddr(options.address),
      .length = ByteCount(length),
      .prot = prot_of(options.rights),
      .maximum = prot_of(options.maximum),
      .traits = traits_of(options),
      .placement = static_cast<vellum::Placement>(options.placement),
      .populate = options.populate ? vellum::Populate::now : vellum::Populate::on_demand,
      .object = object != nullptr ? &static_cast<TypedObject<F>*>(object)->core() : nullptr,
      .offset = ByteCount(options.offset)};
  const auto mapped = core_.map(request);
  if (!mapped.ok()) {
    return std::unexpected(error_of(mapped.error()));
  }
  return mapped.value().value();
}

template <class F>
Result<void> TypedSpace<F>::unmap(std::uint64_t address, std::uint64_t length) {
  const OnCpu on(*owner_);
  return result_of(core_.unmap(VirtAddr(address), ByteCount(length)));
}

template <class F>
Result<void> TypedSpace<F>::protect(std::uint64_t address, std::uint64_t length, Rights rights) {
  const OnCpu on(*owner_);
  return result_of(core_.protect(VirtAddr(address), ByteCount(length), prot_of(rights)));
}

template <class F>
Result<std::uint64_t> TypedSpace<F>::remap(std::uint64_t address, std::uint64_t old_length, std::uint64_t new_length,
                                           const RemapOptions& options) {
  const OnCpu on(*owner_);
  if (options.target && !options.may_move) {
    return std::unexpected(Error{.code = Errc::invalid});
  }
  const auto moved = core_.remap({.address = VirtAddr(address),
                                  .old_length = ByteCount(old_length),
                                  .new_length = ByteCount(new_length),
                                  .move = options.target     ? vellum::Remap::Move::to_target
                                          : options.may_move ? vellum::Remap::Move::anywhere
                                                             : vellum::Remap::Move::forbidden,
                                  .keeps_source = options.keep_source,
                                  .target = VirtAddr(options.target.value_or(0))});
  if (!moved.ok()) {
    return std::unexpected(error_of(moved.error()));
  }
  return moved.value().value();
}

template <class F>
Result<void> TypedSpace<F>::advise(std::uint64_t address, std::uint64_t length, Advice advice) {
  const OnCpu on(*owner_);
  const auto range = pages_of(address, length);
  if (!range) {
    return std::unexpected(range.error());
  }
  switch (advice) {
    case Advice::discard:
      return result_of(core_.discard(*range, vellum::Discard::unlocked));
    case Advice::discard_locked_too:
      return result_of(core_.discard(*range, vellum::Discard::locked_too));
    case Advice::free:
      return result_of(core_.discard(*range, vellum::Discard::own_memory));
    case Advice::leave_out_of_forks:
      return result_of(core_.mark(*range, {.add = Traits::left_out_of_forks(), .drop = {}}));
    case Advice::keep_in_forks:
      return result_of(core_.mark(*range, {.add = {}, .drop = Traits::left_out_of_forks()}));
    case Advice::wipe_in_forks:
      return result_of(core_.mark(*range, {.add = Traits::wiped_by_forks(), .drop = {}, .own_memory_only = true}));
    case Advice::copy_to_forks:
      return result_of(core_.mark(*range, {.add = {}, .drop = Traits::wiped_by_forks()}));
  }
  return std::unexpected(Error{.code = Errc::invalid});
}

template <class F>
Result<void> TypedSpace<F>::lock(std::uint64_t address, std::uint64_t length, std::optional<Lock> how) {
  const OnCpu on(*owner_);
  const std::uint64_t before = address % vellum::kPageSize;  // mlock takes any address, and means its page
  if (length + before < length) {
    return std::unexpected(Error{.code = Errc::invalid});
  }
  const auto range = pages_of(address - before, length + before);
  if (!range) {
    return std::unexpected(range.error());
  }
  return result_of(core_.lock_memory(*range, !how                ? vellum::LockMemory::no
                                             : *how == Lock::now ? vellum::LockMemory::now
                                                                 : vellum::LockMemory::on_fault));
}

template <class F>
Result<std::shared_ptr<Space>> TypedSpace<F>::space_of(vellum::Result<CoreSpace*> made) {
  if (!made.ok()) {
    return std::unexpected(error_of(made.error()));
  }
  return std::make_shared<TypedSpace>(owner_, *made.value(), map_);
}

template <class F>
Result<std::shared_ptr<Space>> TypedSpace<F>::fork() {
  const OnCpu on(*owner_);
  return space_of(core_.fork());
}

template <class F>
Result<std::shared_ptr<Space>> TypedSpace<F>::snapshot() {
  const OnCpu on(*owner_);
  return space_of(core_.snapshot());
}

template <class F>
Result<void> TypedSpace<F>::restore(Space& snapshot) {
  const OnCpu on(*owner_);
  const auto restored = core_.restore(static_cast<TypedSpace&>(snapshot).core_);
  if (!restored.ok()) {
    return std::unexpected(restored.error() == vellum::Errno::invalid ? Error{.code = Errc::other_space}
                                                                      : error_of(restored.error()));
  }
  return {};
}

template class TypedSpace<vellum::Amd64>;
template class TypedSpace<vellum::I386Pae>;

}  // namespace libvellum::detail
