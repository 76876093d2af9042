#include <vellum/unix/file_table.hpp>

#include <algorithm>

namespace vellum::unix {

Result<Ref<FileTable>> FileTable::create(FileMemory& memory) {
  return Ref<FileTable>::adopt(VELLUM_TRY(memory.create<FileTable>(memory)));
}

// Nobody else has the table any more: closing a file may sleep.
void FileTable::destroy() VELLUM_NO_THREAD_SAFETY_ANALYSIS {
  for (unsigned i = 0; i < capacity_; ++i) {
    end(slots_[i].file);
  }
  if (slots_ != nullptr) {
    memory_.free(slots_, ByteCount(capacity_ * sizeof(Slot)));
  }
  memory_.destroy(this);
}

void FileTable::end(OpenFile* file) {
  if (file != nullptr) {
    file->release();
  }
}

// The new slots are allocated without the lock; another thread may have grown the table meanwhile.
Result<void> FileTable::grow_to(unsigned count) {
  unsigned capacity = 32;
  while (capacity < count) {
    capacity *= 2;
  }
  auto* slots = static_cast<Slot*>(VELLUM_TRY(memory_.allocate(ByteCount(capacity * sizeof(Slot)))));
  unsigned freed = capacity;
  {
    const LockGuard guard(lock_);
    if (capacity > capacity_) {
      for (unsigned i = 0; i < capacity; ++i) {
        slots[i] = i < capacity_ ? slots_[i] : Slot{};
      }
      std::swap(slots, slots_);
      freed = std::exchange(capacity_, capacity);
    }
  }
  if (slots != nullptr) {
    memory_.free(slots, ByteCount(freed * sizeof(Slot)));
  }
  return {};
}

FileTable::Slot* FileTable::used(int descriptor) {
  const auto index = static_cast<unsigned>(descriptor);
  return index < capacity_ && slots_[index].file != nullptr ? &slots_[index] : nullptr;
}

Result<Ref<FileTable>> FileTable::clone() {
  Ref<FileTable> copy = VELLUM_TRY(create(memory_));
  for (;;) {
    unsigned needed = 0;
    {
      const LockGuard guard(lock_);
      needed = capacity_;
      if (needed <= copy->capacity_unlocked()) {
        copy->copy_from(slots_, needed);
        return copy;
      }
    }
    VELLUM_TRY(copy->grow_to(needed));
  }
}

unsigned FileTable::capacity_unlocked() const VELLUM_NO_THREAD_SAFETY_ANALYSIS { return capacity_; }

void FileTable::copy_from(const Slot* slots, unsigned count) VELLUM_NO_THREAD_SAFETY_ANALYSIS {
  for (unsigned i = 0; i < count; ++i) {
    slots_[i] = slots[i];
    if (slots_[i].file != nullptr) {
      slots_[i].file->retain();
    }
  }
}

void FileTable::close_for_exec() {
  for (int descriptor = next(0); descriptor >= 0; descriptor = next(descriptor + 1)) {
    const Result<CloseOnExec> marked = close_on_exec(descriptor);
    if (marked.ok() && marked.value() == CloseOnExec::yes) {
      (void)close(descriptor);
    }
  }
}

Result<Ref<OpenFile>> FileTable::get(int descriptor) {
  const LockGuard guard(lock_);
  Slot* const slot = used(descriptor);
  if (slot == nullptr) {
    return Errno::bad_descriptor;
  }
  return Ref<OpenFile>::share(*slot->file);
}

Result<int> FileTable::add(Ref<OpenFile> file, CloseOnExec close_on_exec, std::uint64_t limit, unsigned lowest) {
  const auto most = static_cast<unsigned>(std::min<std::uint64_t>(limit, kMost));
  for (;;) {
    unsigned chosen = lowest;
    {
      const LockGuard guard(lock_);
      while (chosen < capacity_ && slots_[chosen].file != nullptr) {
        ++chosen;
      }
      if (chosen >= most) {
        return Errno::too_many_files;
      }
      if (chosen < capacity_) {
        slots_[chosen] = {.file = file.detach(), .close_on_exec = close_on_exec == CloseOnExec::yes};
        return static_cast<int>(chosen);
      }
    }
    VELLUM_TRY(grow_to(chosen + 1));
  }
}

Result<void> FileTable::put(int descriptor, Ref<OpenFile> file, CloseOnExec close_on_exec, std::uint64_t limit) {
  const auto index = static_cast<unsigned>(descriptor);
  if (index >= std::min<std::uint64_t>(limit, kMost)) {
    return Errno::bad_descriptor;
  }
  for (;;) {
    OpenFile* before = nullptr;
    bool is_put = false;
    {
      const LockGuard guard(lock_);
      if (index < capacity_) {
        before = slots_[index].file;
        slots_[index] = {.file = file.detach(), .close_on_exec = close_on_exec == CloseOnExec::yes};
        is_put = true;
      }
    }
    if (is_put) {
      end(before);
      return {};
    }
    VELLUM_TRY(grow_to(index + 1));
  }
}

Result<void> FileTable::close(int descriptor) {
  OpenFile* file = nullptr;
  {
    const LockGuard guard(lock_);
    Slot* const slot = used(descriptor);
    if (slot == nullptr) {
      return Errno::bad_descriptor;
    }
    file = slot->file;
    *slot = {};
  }
  end(file);
  return {};
}

Result<CloseOnExec> FileTable::close_on_exec(int descriptor) {
  const LockGuard guard(lock_);
  const Slot* const slot = used(descriptor);
  if (slot == nullptr) {
    return Errno::bad_descriptor;
  }
  return slot->close_on_exec ? CloseOnExec::yes : CloseOnExec::no;
}

Result<void> FileTable::set_close_on_exec(int descriptor, CloseOnExec close_on_exec) {
  const LockGuard guard(lock_);
  Slot* const slot = used(descriptor);
  if (slot == nullptr) {
    return Errno::bad_descriptor;
  }
  slot->close_on_exec = close_on_exec == CloseOnExec::yes;
  return {};
}

int FileTable::next(int from) {
  const LockGuard guard(lock_);
  for (auto i = static_cast<unsigned>(std::max(from, 0)); i < capacity_; ++i) {
    if (slots_[i].file != nullptr) {
      return static_cast<int>(i);
    }
  }
  return -1;
}

// --- PathContext

Result<Ref<PathContext>> PathContext::create(FileMemory& memory, Path root, Path current) {
  return Ref<PathContext>::adopt(VELLUM_TRY(memory.create<PathContext>(memory, std::move(root), std::move(current))));
}

Result<Ref<PathContext>> PathContext::clone() {
  Ref<PathContext> copy = VELLUM_TRY(create(memory_, root(), current()));
  copy->set_umask(umask());
  return copy;
}

void PathContext::destroy() { memory_.destroy(this); }

Path PathContext::root() {
  const LockGuard guard(lock_);
  return root_;
}

Path PathContext::current() {
  const LockGuard guard(lock_);
  return current_;
}

void PathContext::set_root(Path root) {
  const LockGuard guard(lock_);
  std::swap(root_, root);
}

void PathContext::set_current(Path current) {
  const LockGuard guard(lock_);
  std::swap(current_, current);
}

}  // namespace vellum::unix
