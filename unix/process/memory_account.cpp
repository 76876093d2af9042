#include <vellum/unix/memory_account.hpp>

#include <algorithm>

#include <vellum/unix/frame_figures.hpp>
#include <vellum/unix/held_program.hpp>
#include <vellum/unix/process_view.hpp>

#include "view.hpp"

namespace vellum::unix {

namespace {

// Puts an entry among the first `most`, by size: descending, each behind its equals.
template <class Entry, class Size>
void rank(Entry* entries, unsigned most, unsigned& count, const Entry& entry, Size size) {
  unsigned at = count;
  while (at > 0 && size(entries[at - 1]) < size(entry)) {
    --at;
  }
  if (at == most) {
    return;
  }
  count = std::min(count + 1, most);
  std::copy_backward(entries + at, entries + count - 1, entries + count);
  entries[at] = entry;
}

void add_object(MemoryAccount& account, FileObject& object) {
  char path[256];
  const ObjectName name = describe_object(object, path);
  MemoryAccount::Held held;
  held.resident = object.resident();
  const std::size_t cut = name.path.size() - std::min(name.path.size(), sizeof held.name - 1);
  std::copy(name.path.begin() + static_cast<std::ptrdiff_t>(cut), name.path.end(), held.name);
  for (unsigned i = 0; i < account.object_count; ++i) {
    if (std::string_view(account.objects[i].name) == held.name && account.objects[i].resident == held.resident) {
      return;  // found in another process already
    }
  }
  rank(account.objects, MemoryAccount::kMostObjects, account.object_count, held,
       [](const MemoryAccount::Held& one) { return one.resident; });
}

void add_objects(MemoryAccount& account, Space& space) {
  VirtAddr at(0);
  while (const std::optional<Region<Format>> region = space.hold_region(at)) {
    if (region->object != nullptr) {
      const Ref<FileObject> object = Ref<FileObject>::adopt(region->object);
      add_object(account, *object);
    }
    at = region->range.last();
    if (at >= space.layout().end() - ByteCount(1)) {
      return;
    }
    at += ByteCount(1);
  }
}

void add_process(MemoryAccount& account, ProcessId id) {
  MemoryAccount::Holder holder = {.process = id};
  process_lock.lock();
  const Process* const process = process_system().find_process(id);
  const bool has_memory = process != nullptr && process->vfork_parent == nullptr;
  const HeldProgram program(has_memory ? process->program : nullptr);
  if (process != nullptr) {
    std::copy(std::begin(process->name), std::end(process->name), holder.name);
  }
  process_lock.unlock();
  if (program.get() == nullptr) {
    return;
  }
  Space& space = program.get()->space;
  const Space::Residence residence = space.residence();
  holder.resident = residence.pages;
  holder.tables = residence.tables;
  holder.reserved = space.reserved();
  holder.locked = space.locked();
  ++account.processes;
  rank(account.holders, MemoryAccount::kMostHolders, account.holder_count, holder,
       [](const MemoryAccount::Holder& one) { return one.held(); });
  add_objects(account, space);
}

}  // namespace

MemoryAccount take_memory_account() {
  MemoryAccount account;
  for (std::optional<ProcessId> id = next_process(ProcessId(0)); id; id = next_process(*id)) {
    add_process(account, *id);
  }
  PhysicalMemory& memory = process_system().memory.memory;
  const FrameFigures frames = count_frames(memory);
  account.anonymous = PageCount(frames.anonymous);
  account.shared = PageCount(frames.shared);
  account.cache = PageCount(frames.files);
  account.tables = PageCount(frames.tables);
  account.free = memory.free_count();
  const PageCount known = account.anonymous + account.shared + account.cache + account.tables + account.free;
  account.kernel = memory.total_count() - std::min(memory.total_count(), known);
  account.promised = process_system().memory.objects.commitment().committed();
  return account;
}

}  // namespace vellum::unix
