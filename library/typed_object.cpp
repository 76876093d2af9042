#include "typed_object.hpp"

#include <algorithm>
#include <cstring>

namespace libvellum::detail {

using vellum::ByteCount;

namespace {

// A function of the caller's must not throw through the core, which knows no exceptions.
template <class Function, class Bytes>
bool succeeds(const Function& function, std::uint64_t offset, Bytes bytes) {
  try {
    return function(offset, bytes);
  } catch (...) {
    return false;
  }
}

}  // namespace

std::size_t CallbackPager::inside(std::uint64_t offset) const {
  const std::uint64_t size = size_.load(std::memory_order_relaxed);
  return offset < size ? static_cast<std::size_t>(std::min(size - offset, kPageSize)) : 0;
}

vellum::Result<void> CallbackPager::read(vellum::PageIndex index, std::span<std::byte> page) {
  const std::uint64_t offset = index.value() * kPageSize;
  std::memset(page.data(), 0, page.size());
  if (!succeeds(reader_, offset, page.first(inside(offset)))) {
    return vellum::Errno::io_error;
  }
  return {};
}

vellum::Result<void> CallbackPager::write(vellum::PageIndex index, std::span<const std::byte> page) {
  const std::uint64_t offset = index.value() * kPageSize;
  if (!succeeds(writer_, offset, page.first(inside(offset)))) {
    return vellum::Errno::io_error;
  }
  return {};
}

template <class F>
TypedObject<F>::~TypedObject() {
  owner_->forget_object(core_);
  const OnCpu on(*owner_);
  core_.release();
}

template <class F>
Result<void> TypedObject<F>::resize(std::uint64_t size) {
  if (size > kMostObjectBytes) {
    return std::unexpected(Error{.code = Errc::invalid});
  }
  const OnCpu on(*owner_);
  if (pager_ != nullptr) {
    pager_->resize(size);
  }
  core_.resize(ByteCount(size));
  return {};
}

template <class F>
Result<std::uint64_t> TypedObject<F>::read(std::uint64_t offset, std::span<std::byte> into) {
  const OnCpu on(*owner_);
  if (into.empty() || offset >= size()) {
    return 0;
  }
  const auto copied = core_.read(ByteCount(offset), into);
  if (!copied.ok()) {
    return std::unexpected(error_of(copied.error()));
  }
  return copied.value().value();
}

template <class F>
Result<std::uint64_t> TypedObject<F>::write(std::uint64_t offset, std::span<const std::byte> from) {
  const OnCpu on(*owner_);
  if (from.empty() || offset >= size()) {
    return 0;
  }
  const auto copied = core_.write(ByteCount(offset), from);
  if (!copied.ok()) {
    return std::unexpected(error_of(copied.error()));
  }
  return copied.value().value();
}

template <class F>
Result<void> TypedObject<F>::write_back() {
  if (pager_ == nullptr || !pager_->has_writer() || core_.page_count().is_zero()) {
    return {};
  }
  const OnCpu on(*owner_);
  const auto written = core_.write_back(vellum::IndexRange::must(vellum::PageIndex(0), core_.page_count()));
  if (!written.ok()) {
    return std::unexpected(error_of(written.error()));
  }
  return {};
}

template <class F>
std::uint64_t TypedObject<F>::resident_pages() {
  const OnCpu on(*owner_);
  return core_.resident().value();
}

template class TypedObject<vellum::Amd64>;
template class TypedObject<vellum::I386Pae>;

}  // namespace libvellum::detail
