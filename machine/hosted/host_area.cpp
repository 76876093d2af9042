#include <sys/mman.h>

#include <vellum/hosted/host_area.hpp>

namespace vellum::hosted {

Result<HostArea> HostArea::create(ByteCount size) {
  if (size.is_zero()) {
    return Errno::invalid;
  }
  const ByteCount whole = bytes_of(pages_for(size));
  const ByteCount reserved = whole + kAlignment;
  void* const reservation =
      mmap(nullptr, reserved.value(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (reservation == MAP_FAILED) {
    return Errno::no_memory;
  }
  const auto start = reinterpret_cast<std::uintptr_t>(reservation);
  const std::uint64_t before = round_up(start, kAlignment.value()) - start;
  auto* const data = static_cast<std::byte*>(reservation) + before;
  VELLUM_CHECK(before == 0 || munmap(reservation, before) == 0);
  VELLUM_CHECK(munmap(data + whole.value(), (kAlignment - ByteCount(before)).value()) == 0);
  // Advice: what a host does not know, it need not heed.
  static_cast<void>(madvise(data, whole.value(), MADV_DONTDUMP));
  return HostArea(static_cast<std::byte*>(data), whole);
}

HostArea::~HostArea() {
  if (data_ != nullptr) {
    VELLUM_CHECK(munmap(data_, size_.value()) == 0);
  }
}

void HostArea::forbid(ByteCount from, ByteCount size) {
  VELLUM_CHECK(from + size <= size_);
  VELLUM_CHECK(mprotect(data_ + from.value(), size.value(), PROT_NONE) == 0);
}

void HostArea::discard() { VELLUM_CHECK(madvise(data_, size_.value(), MADV_DONTNEED) == 0); }

}  // namespace vellum::hosted
