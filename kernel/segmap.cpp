#include "segmap.hpp"

#include <algorithm>

namespace vellum::kernel {

namespace {

constexpr std::uint64_t kWindow = Segmap::Windows::kWindowSize.value();

WindowPlace place_of(const Segmap::Object& object, ByteCount offset) {
  return {.object = reinterpret_cast<std::uintptr_t>(&object), .index = offset.value() / kWindow};
}

}  // namespace

std::optional<Pfn> Segmap::lookup(Object& object, PageIndex index, Access access) {
  const EpochSection section(system_.epochs, system_.memory.machine());
  return object.lookup(index, access);
}

void Segmap::release_frame(Pfn frame) {
  if (system_.memory.frame(frame).release()) {
    system_.memory.free(frame);
  }
}

Result<Pfn> Segmap::bring_in(Object& object, PageIndex index) {
  for (;;) {
    if (const std::optional<Pfn> frame = lookup(object, index, Access::read)) {
      return *frame;
    }
    VELLUM_TRY(object.populate(index));
  }
}

// The second page of a window only where it is in memory: it is not worth waiting for.
bool Segmap::show_next(Object& object, Windows::Window& window, PageIndex index) {
  const std::optional<Pfn> frame = lookup(object, index, Access::read);
  if (frame) {
    windows_.show(window, 1, *frame);
  }
  return frame.has_value();
}

Result<unix::FileWindow> Segmap::acquire(Object& object, ByteCount offset, ByteCount size) {
  const PageIndex index(offset.value() >> kPageShift);
  const Pfn frame = VELLUM_TRY(bring_in(object, index));
  const std::uint64_t in_page = offset.value() & (kPageSize - 1);
  std::uint64_t room = kPageSize - in_page;
  std::byte* start = nullptr;
  unix::FileWindow shown{.bytes = {}, .object = &object, .first = index, .token = {0, frame.value()}};
  if (Windows::Window* const window = windows_.acquire(place_of(object, offset))) {
    const auto page = static_cast<unsigned>(index.value() % Windows::kPagesInWindow);
    windows_.show(*window, page, frame);
    if (page == 0 && size.value() > room && show_next(object, *window, index + PageCount(1))) {
      room += kPageSize;
    }
    start = reinterpret_cast<std::byte*>((window->start() + ByteCount(offset.value() % kWindow)).value());
    shown.token[0] = reinterpret_cast<std::uintptr_t>(window);
  } else {
    start = system_.memory.machine().window(frame).data() + in_page;
  }
  // The size is looked at last: what was cut off meanwhile is not shown.
  const std::uint64_t end = object.size().value();
  if (offset.value() >= end) {
    release(shown, unix::Changed::no);
    return Errno::out_of_range;
  }
  shown.bytes = {start, static_cast<std::size_t>(std::min({size.value(), room, end - offset.value()}))};
  return shown;
}

// Dirty after its bytes were changed: before, a write-back could keep the old ones and call the page clean.
void Segmap::release(const unix::FileWindow& shown, unix::Changed changed) {
  if (changed == unix::Changed::yes) {
    const std::uint64_t before = reinterpret_cast<std::uintptr_t>(shown.bytes.data()) & (kPageSize - 1);
    const PageCount pages = pages_for(ByteCount(before + shown.bytes.size()));
    for (PageCount done; done < pages; done += PageCount(1)) {
      if (const std::optional<Pfn> frame = lookup(*shown.object, shown.first + done, Access::write)) {
        release_frame(*frame);
      }
    }
  }
  if (shown.token[0] != 0) {
    windows_.release(*reinterpret_cast<Windows::Window*>(shown.token[0]));
  } else {
    release_frame(Pfn(shown.token[1]));
  }
}

void Segmap::forget(Object& object, ByteCount from, ByteCount to) {
  if (from < to) {
    const WindowPlace first = place_of(object, from);
    windows_.forget(first, place_of(object, to - ByteCount(1)).index - first.index + 1);
  }
}

}  // namespace vellum::kernel
