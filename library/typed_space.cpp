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
Result<std::shared_ptr<Space>> TypedSpace<F>::fork() {
  const OnCpu on(*owner_);
  const auto child = core_.fork();
  if (!child.ok()) {
    return std::unexpected(error_of(child.error()));
  }
  return std::make_shared<TypedSpace>(owner_, *child.value(), map_);
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
