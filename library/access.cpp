// What a program does: accesses through the calling CPU's MMU, with faults resolved as a kernel would.

#include "typed_space.hpp"

namespace libvellum::detail {

using vellum::Privilege;
using vellum::VirtAddr;
using vellum::hosted::AfterFault;
using vellum::hosted::Fault;
using vellum::hosted::Mmu;

// The calling CPU, running the space, for the length of one call.
template <class F>
class TypedSpace<F>::Access {
 public:
  explicit Access(TypedSpace& space) : space_(space.core_), on_(*space.owner_), mmu_(make_mmu(space, on_)) {}

  [[nodiscard]] Mmu<F>& mmu() { return mmu_; }
  [[nodiscard]] auto handler() {
    return [this](const Fault& fault) {
      if (fault.kind == vellum::hosted::FaultKind::general_protection) {
        return AfterFault::give_up;
      }
      verdict_ = space_.fault(fault.address, fault.access);
      return verdict_ == vellum::FaultVerdict::resolved ? AfterFault::retry : AfterFault::give_up;
    };
  }
  [[nodiscard]] std::unexpected<Error> refused(const Fault& fault) const {
    return std::unexpected(error_of(fault, verdict_));
  }

 private:
  [[nodiscard]] static Mmu<F> make_mmu(TypedSpace& space, const OnCpu& on) {
    vellum::hosted::Machine& host = space.owner_->host();
    space.owner_->run(space.core_, on);
    return Mmu<F>(host, host.cpu(on.cpu()));
  }

  CoreSpace& space_;
  const OnCpu on_;
  Mmu<F> mmu_;
  vellum::FaultVerdict verdict_ = vellum::FaultVerdict::resolved;
};

template <class F>
Result<std::uint64_t> TypedSpace<F>::load(std::uint64_t address, unsigned size) {
  Access access(*this);
  const auto load_as = [&]<class T>(T) -> Result<std::uint64_t> {
    const auto value = access.mmu().template load<T>(VirtAddr(address), Privilege::user, access.handler());
    if (!value) {
      return access.refused(value.error());
    }
    return *value;
  };
  switch (size) {
    case 1:
      return load_as(std::uint8_t{});
    case 2:
      return load_as(std::uint16_t{});
    case 4:
      return load_as(std::uint32_t{});
    default:
      return load_as(std::uint64_t{});
  }
}

template <class F>
Result<void> TypedSpace<F>::store(std::uint64_t address, std::uint64_t value, unsigned size) {
  Access access(*this);
  const auto store_as = [&]<class T>(T unit) -> Result<void> {
    const auto stored = access.mmu().template store<T>(VirtAddr(address), unit, Privilege::user, access.handler());
    if (!stored) {
      return access.refused(stored.error());
    }
    return {};
  };
  switch (size) {
    case 1:
      return store_as(static_cast<std::uint8_t>(value));
    case 2:
      return store_as(static_cast<std::uint16_t>(value));
    case 4:
      return store_as(static_cast<std::uint32_t>(value));
    default:
      return store_as(value);
  }
}

template <class F>
Result<std::uint8_t> TypedSpace<F>::fetch(std::uint64_t address) {
  Access access(*this);
  const auto value = access.mmu().template fetch<std::uint8_t>(VirtAddr(address), Privilege::user, access.handler());
  if (!value) {
    return access.refused(value.error());
  }
  return *value;
}

template <class F>
Result<void> TypedSpace<F>::read(std::uint64_t address, std::span<std::byte> into) {
  Access access(*this);
  const auto copied = access.mmu().copy_in(into, VirtAddr(address), Privilege::user, access.handler());
  if (!copied) {
    return access.refused(copied.error());
  }
  return {};
}

template <class F>
Result<void> TypedSpace<F>::write(std::uint64_t address, std::span<const std::byte> from) {
  Access access(*this);
  const auto copied = access.mmu().copy_out(VirtAddr(address), from, Privilege::user, access.handler());
  if (!copied) {
    return access.refused(copied.error());
  }
  return {};
}

#define LIBVELLUM_COMPILE(F)                                                          \
  template Result<std::uint64_t> TypedSpace<F>::load(std::uint64_t, unsigned);        \
  template Result<void> TypedSpace<F>::store(std::uint64_t, std::uint64_t, unsigned); \
  template Result<std::uint8_t> TypedSpace<F>::fetch(std::uint64_t);                  \
  template Result<void> TypedSpace<F>::read(std::uint64_t, std::span<std::byte>);     \
  template Result<void> TypedSpace<F>::write(std::uint64_t, std::span<const std::byte>);
LIBVELLUM_COMPILE(vellum::Amd64)
LIBVELLUM_COMPILE(vellum::I386Pae)
#undef LIBVELLUM_COMPILE

}  // namespace libvellum::detail
