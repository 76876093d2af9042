// Files in RAM: reads, writes, sizes.
#include <algorithm>

#include <vellum/unix/checkpoint.hpp>
#include <vellum/unix/file_caller.hpp>

#include "linux_numbers.hpp"
#include "ram_node.hpp"

namespace vellum::unix {

namespace {

constexpr std::byte kZeros[kPageSize] = {};

std::size_t to_page_end(ByteCount position) {
  return static_cast<std::size_t>(kPageSize - (position.value() & (kPageSize - 1)));
}
PageIndex page_of(ByteCount position) { return PageIndex(position.value() >> kPageShift); }

// In larger files holes are not looked for: all is data.
constexpr std::uint64_t kMostSearched = std::uint64_t{1} << 32;
constexpr std::uint64_t kLargest = std::min(kLargestFile, bytes_of(FileObject::kMaxPages).value());

}  // namespace

void RamFile::destroy() {
  FileObject* const object = object_.load(std::memory_order_relaxed);
  {
    const MutexGuard guard(lock_);
    if (object == nullptr && source_.lower != nullptr) {
      source_.lower->release(source_.handle);
    }
  }
  if (object != nullptr) {
    file_system().files().windows().forget(*object, ByteCount(0), object->size());
    object->release();
  }
  memory().destroy(this);
}

Attributes RamFile::attributes() {
  Attributes attributes = RamNode::attributes();
  attributes.size = size();
  FileObject* const object = object_.load(std::memory_order_acquire);
  if (object != nullptr && attributes.blocks == 0) {
    attributes.blocks = object->resident().value() * (kPageSize / 512);
  }
  return attributes;
}

Result<FileObject*> RamFile::object_locked() {
  FileObject* object = object_.load(std::memory_order_relaxed);
  if (object == nullptr) {
    const DeviceNumber device = file_system().device();
    const Promise promise = file_system().type() == "tmpfs" ? Promise::by_page : Promise::none;
    object = VELLUM_TRY(FileContent::create(file_system().files(), device, inode(), size(), source_,
                                            static_cast<RamFileSystem&>(file_system()).quota(), promise))
                 .detach();
    object_.store(object, std::memory_order_release);
  }
  return object;
}

Result<FileObject*> RamFile::object() {
  if (FileObject* const object = object_.load(std::memory_order_acquire); object != nullptr) {
    return object;
  }
  const MutexGuard guard(lock_);
  return object_locked();
}

void RamFile::unlinked() {
  if (FileObject* const object = object_.load(std::memory_order_acquire); object != nullptr) {
    FileContent::of(*object).mark_deleted();
  }
}

Result<void> RamFile::read(Transfer& to, ByteCount position) {
  FileObject& object = *VELLUM_TRY(this->object());
  FileWindows& windows = file_system().files().windows();
  FileContent& content = FileContent::of(object);
  Pace pace;
  while (!to.left().is_zero()) {
    const ByteCount end = size();
    if (position >= end) {
      break;
    }
    const std::uint64_t wanted = std::min(to.left().value(), (end - position).value());
    const ByteCount before = to.moved();
    if (content.is_hole(page_of(position)) && !is_resident(object, page_of(position))) {
      VELLUM_TRY(to.put(std::span(kZeros).first(std::min<std::size_t>(to_page_end(position), wanted))));
    } else {
      const Result<FileWindow> window = acquire(object, position, ByteCount(wanted));
      if (!window.ok()) {
        return window.error() == Errno::out_of_range ? Result<void>() : window.error();  // it shrank meanwhile
      }
      const Result<void> put = to.put(window.value().bytes);
      windows.release(window.value(), Changed::no);
      VELLUM_TRY(put);
    }
    position += to.moved() - before;
    if (!pace.go_on((to.moved() - before).value())) {
      return Errno::interrupted;
    }
  }
  return {};
}

// Where memory is short, what is not needed goes first: a file may be larger than memory.
Result<FileWindow> RamFile::acquire(FileObject& object, ByteCount position, ByteCount size) {
  constexpr PageCount kAtOnce{256};
  Files& files = file_system().files();
  Result<FileWindow> window = files.windows().acquire(object, position, size);
  if (!window.ok() && window.error() == Errno::no_memory && !files.reclaim(kAtOnce).is_zero()) {
    window = files.windows().acquire(object, position, size);
  }
  return window;
}

bool RamFile::is_resident(FileObject& object, PageIndex index) {
  VirtualMemory<Format>& system = file_system().files().virtual_memory();
  std::optional<Pfn> frame;
  {
    const EpochSection section(system.epochs, system.memory.machine());
    frame = object.lookup(index, Access::read);
  }
  if (frame && system.memory.frame(*frame).release()) {
    system.memory.free(*frame);
  }
  return frame.has_value();
}

// The object first: what a mapping may touch is never less than what a read sees.
Result<void> RamFile::resize(FileObject& object, ByteCount size) {
  if (size.value() > kLargest) {
    return Errno::file_too_big;
  }
  const ByteCount old_size = this->size();
  if (size < old_size) {
    FileContent::of(object).cut(size);
    size_.store(size.value(), std::memory_order_release);
    object.resize(size);
    file_system().files().windows().forget(object, size, old_size);
  } else {
    object.resize(size);
    size_.store(size.value(), std::memory_order_release);
  }
  return {};
}

Result<void> RamFile::truncate(ByteCount size) {
  const MutexGuard guard(lock_);
  FileObject& object = *VELLUM_TRY(object_locked());
  VELLUM_TRY(permit_size(size));
  if (size != this->size()) {
    VELLUM_TRY(resize(object, size));
  }
  if (!calling_credentials().superuser) {
    drop_lent_rights();
  }
  touch(true);
  return {};
}

Result<void> RamFile::extend(ByteCount size) {
  const MutexGuard guard(lock_);
  FileObject& object = *VELLUM_TRY(object_locked());
  if (size > this->size()) {
    VELLUM_TRY(permit_size(size));
    VELLUM_TRY(resize(object, size));
    touch(true);
  }
  return {};
}

// Within one page.
Result<void> RamFile::clear(FileObject& object, ByteCount from, ByteCount to) {
  if (from >= to || (FileContent::of(object).is_hole(page_of(from)) && !is_resident(object, page_of(from)))) {
    return {};
  }
  const FileWindow window = VELLUM_TRY(acquire(object, from, to - from));
  __builtin_memset(window.bytes.data(), 0, window.bytes.size());
  file_system().files().windows().release(window, Changed::yes);
  return {};
}

Result<void> RamFile::punch(ByteCount from, ByteCount to) {
  const MutexGuard guard(lock_);
  VELLUM_TRY(permit_write(ByteCount(0)));
  const ByteCount end = size();
  if (from >= end) {
    return {};
  }
  FileObject& object = *VELLUM_TRY(object_locked());
  const PageIndex first(pages_for(from).value());
  const PageIndex last(to >= end ? pages_for(end).value() : page_of(to).value());
  if (last < first) {
    VELLUM_TRY(clear(object, from, to));
  } else {
    VELLUM_TRY(clear(object, from, std::min(bytes_of(PageCount(first.value())), end)));
    if (FileContent& content = FileContent::of(object); last >= content.zeros_from()) {
      content.cut(bytes_of(PageCount(first.value())));
    }
    VELLUM_TRY(object.punch(IndexRange::must(first, last - first)));
    VELLUM_TRY(clear(object, bytes_of(PageCount(last.value())), std::min(to, end)));
  }
  file_system().files().windows().forget(object, from, end);
  touch(true);
  return {};
}

Result<void> RamFile::write(Transfer& from, ByteCount& position, bool append) {
  const MutexGuard guard(lock_);
  FileObject& object = *VELLUM_TRY(object_locked());
  if (append) {
    position = size();
  }
  const ByteCount limit(std::min(calling_file_size_limit().value(), kLargest));
  if (!from.left().is_zero() && position >= limit) {
    raise_signal(signals::kFileTooBig);
    return Errno::file_too_big;
  }
  const Result<void> result = write_locked(object, from, position, limit);
  if (!from.moved().is_zero()) {
    if (!calling_credentials().superuser) {
      drop_lent_rights();
    }
    touch(true);
  }
  return result;
}

// Page by page; the file grows with each, so that nobody sees the zeros of what is not yet written.
Result<void> RamFile::write_locked(FileObject& object, Transfer& from, ByteCount position, ByteCount limit) {
  FileWindows& windows = file_system().files().windows();
  Pace pace;
  while (!from.left().is_zero() && position < limit) {
    const ByteCount length(
        std::min({from.left().value(), static_cast<std::uint64_t>(to_page_end(position)), (limit - position).value()}));
    VELLUM_TRY(permit_write(position + length));
    const ByteCount old_size = size();
    if (position + length > old_size) {
      VELLUM_TRY(resize(object, position + length));
    }
    const ByteCount before = from.moved();
    const Result<FileWindow> window = acquire(object, position, length);
    Result<void> got = window.ok() ? Result<void>() : Result<void>(window.error());
    if (window.ok()) {
      got = from.get(window.value().bytes);
      windows.release(window.value(), Changed::yes);
    }
    position += from.moved() - before;
    if (!got.ok()) {
      const ByteCount reached = std::max(position, old_size);
      if (reached < size()) {
        VELLUM_TRY(resize(object, reached));
      }
      return got.error() == Errno::no_memory ? Result<void>(Errno::no_space) : got;
    }
    if (!pace.go_on(length.value())) {
      return Errno::interrupted;
    }
  }
  return {};
}

Result<ByteCount> RamFile::find(ByteCount position, bool hole) {
  const ByteCount end = size();
  if (position >= end) {
    return Errno::no_such_device;
  }
  if (end.value() > kMostSearched) {
    return hole ? end : position;
  }
  FileObject& object = *VELLUM_TRY(this->object());
  FileContent& content = FileContent::of(object);
  for (PageIndex page = page_of(position); bytes_of(PageCount(page.value())) < end; page += PageCount(1)) {
    if ((content.is_hole(page) && !is_resident(object, page)) == hole) {
      return std::max(position, bytes_of(PageCount(page.value())));
    }
  }
  return hole ? Result<ByteCount>(end) : Result<ByteCount>(Errno::no_such_device);
}

}  // namespace vellum::unix
