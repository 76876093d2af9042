// Included by mmu.hpp: accesses of one unit and of many bytes.
#pragma once

#include <vellum/hosted/mmu.hpp>

namespace vellum::hosted {

template <class F>
std::expected<Translation, Fault> Mmu<F>::access(VirtAddr address, Access access, Privilege privilege) {
  PhysAddr physical;
  if (!perform(address, access, privilege,
               [&](const std::byte* at) { physical = PhysAddr(static_cast<std::uint64_t>(at - ram_)); })) {
    return std::unexpected(cpu_.last_fault_);
  }
  unsigned level = 1;
  cpu_.gate_.enter();
  const Tlb::Entry* entry = find_cached(address, level);
  const PageRights rights = entry != nullptr ? entry->rights : PageRights();
  cpu_.gate_.leave();
  return Translation{.address = physical, .level = level, .rights = rights};
}

template <class F>
template <class T, class Handler>
std::expected<T, Fault> Mmu<F>::read_unit(VirtAddr address, Access access, Privilege privilege, Handler& handler) {
  T value = 0;
  std::expected<void, Fault> done;
  if (address.is_aligned(ByteCount(sizeof(T)))) [[likely]] {
    done = perform(address, access, privilege, handler, [&](std::byte* at) {
      value = std::atomic_ref(*reinterpret_cast<T*>(at)).load(std::memory_order_relaxed);
    });
  } else {
    auto* bytes = reinterpret_cast<std::byte*>(&value);
    done = copy(address, sizeof(T), access, privilege, handler,
                [&](std::byte* at, std::size_t at_byte, std::size_t n) { copy_from_ram(bytes + at_byte, at, n); });
  }
  if (!done) {
    return std::unexpected(done.error());
  }
  return value;
}

template <class F>
template <AccessUnit T, FaultHandler H>
std::expected<void, Fault> Mmu<F>::store(VirtAddr address, T value, Privilege privilege, H&& handler) {
  if (address.is_aligned(ByteCount(sizeof(T)))) [[likely]] {
    return perform(address, Access::write, privilege, handler, [value](std::byte* at) {
      std::atomic_ref(*reinterpret_cast<T*>(at)).store(value, std::memory_order_relaxed);
    });
  }
  const VirtAddr last = address + ByteCount(sizeof(T) - 1);
  if (last.page() != address.page()) {
    // Both pages must permit the store before any byte of it is done.
    const auto permitted = perform(last, Access::write, privilege, handler, [](std::byte*) {});
    if (!permitted) {
      return permitted;
    }
  }
  const auto* bytes = reinterpret_cast<const std::byte*>(&value);
  return copy(address, sizeof(T), Access::write, privilege, handler,
              [&](std::byte* at, std::size_t done, std::size_t n) { copy_to_ram(at, bytes + done, n); });
}

template <class F>
template <AccessUnit T, FaultHandler H>
std::expected<T, Fault> Mmu<F>::fetch_add(VirtAddr address, T value, Privilege privilege, H&& handler) {
  VELLUM_CHECK(address.is_aligned(ByteCount(sizeof(T))));
  T before = 0;
  const auto done = perform(address, Access::write, privilege, handler, [&](std::byte* at) {
    before = std::atomic_ref(*reinterpret_cast<T*>(at)).fetch_add(value, std::memory_order_relaxed);
  });
  if (!done) {
    return std::unexpected(done.error());
  }
  return before;
}

template <class F>
template <class Handler, class Touch>
std::expected<void, Fault> Mmu<F>::copy(VirtAddr address, std::size_t size, Access access, Privilege privilege,
                                        Handler& handler, Touch touch) {
  for (std::size_t done = 0; done < size;) {
    const VirtAddr at = address + ByteCount(done);
    const std::size_t in_page = static_cast<std::size_t>(kPageSize - at.offset_in_page().value());
    const std::size_t n = in_page < size - done ? in_page : size - done;
    const auto result = perform(at, access, privilege, handler, [&](std::byte* ram) { touch(ram, done, n); });
    if (!result) {
      return result;
    }
    done += n;
  }
  return {};
}

}  // namespace vellum::hosted
