// Files that have no name, and the seals of files in memory: what may not be done to them any more.
#include <vellum/unix/memory_file.hpp>

#include <vellum/unix/file_caller.hpp>

#include "ram_node.hpp"

namespace vellum::unix {

Result<Ref<OpenFile>> create_memory_file(Files& files, std::string_view name, bool may_be_sealed) {
  const FileCredentials who = calling_credentials();
  FileMemory& memory = files.memory();
  const Attributes attributes = new_attributes(
      files.next_inode(), {.kind = NodeKind::file, .permissions = 0777, .owner = who.user, .group = who.group});
  const Text shown = VELLUM_TRY(Text::join(memory, "/memfd:", name));
  Ref<RamFile> file =
      Ref<RamFile>::adopt(VELLUM_TRY(memory.create<RamFile>(files.shared_memory(), attributes, FileContent::Source{})));
  if (may_be_sealed) {
    file->allow_seals();
  }
  const Path path = VELLUM_TRY(files.create_unnamed(shown.view(), Ref<Node>(std::move(file))));
  path.entry->mark_removed();
  return path.node().open(path, open_flag::kReadWrite);
}

namespace {

// Null where it is no file in memory.
RamFile* ram_file_of(const OpenFile& file) {
  const std::string_view type = file.node().file_system().type();
  const bool is_ram_file = file.node().kind() == NodeKind::file && type != "proc" && type != "sysfs";
  return is_ram_file ? static_cast<RamFile*>(&file.node()) : nullptr;
}
// Only of tmpfs.
RamFile* sealable_file_of(const OpenFile& file) {
  return file.node().file_system().type() == "tmpfs" ? ram_file_of(file) : nullptr;
}

}  // namespace

Result<void> extend_file(OpenFile& file, ByteCount size) {
  RamFile* const ram_file = ram_file_of(file);
  return ram_file != nullptr ? ram_file->extend(size) : Errno::not_supported;
}

Result<void> punch_file(OpenFile& file, ByteCount from, ByteCount to) {
  RamFile* const ram_file = ram_file_of(file);
  return ram_file != nullptr ? ram_file->punch(from, to) : Errno::not_supported;
}

Result<void> permit_allocation(OpenFile& file, ByteCount end) {
  RamFile* const ram_file = sealable_file_of(file);
  return ram_file != nullptr && (ram_file->seals() & seal::kGrow) != 0 && end > ram_file->size()
             ? Result<void>(Errno::not_permitted)
             : Result<void>();
}

Result<std::uint32_t> seals_of(const OpenFile& file) {
  const RamFile* const ram_file = sealable_file_of(file);
  return ram_file != nullptr ? Result<std::uint32_t>(ram_file->seals()) : Errno::invalid;
}

Result<void> add_seals(OpenFile& file, std::uint32_t seals) {
  if (!file.is_writable()) {
    return Errno::not_permitted;
  }
  RamFile* const ram_file = sealable_file_of(file);
  return (seals & ~seal::kAll) == 0 && ram_file != nullptr ? ram_file->add_seals(seals) : Errno::invalid;
}

void RamFile::allow_seals() {
  const MutexGuard guard(lock_);
  seals_.store(0, std::memory_order_relaxed);
}

Result<void> RamFile::add_seals(std::uint32_t seals) {
  const MutexGuard guard(lock_);
  const std::uint32_t before = this->seals();
  if ((before & seal::kSeal) != 0) {
    return Errno::not_permitted;
  }
  if ((seals & ~before & seal::kWrite) != 0) {
    FileObject& object = *VELLUM_TRY(object_locked());
    VELLUM_TRY(object.deny_writers());
  }
  seals_.store(before | seals, std::memory_order_release);
  return {};
}

Result<void> RamFile::permit_size(ByteCount size) const {
  const bool denied =
      (size < this->size() && (seals() & seal::kShrink) != 0) || (size > this->size() && (seals() & seal::kGrow) != 0);
  return denied ? Result<void>(Errno::not_permitted) : Result<void>();
}

Result<void> RamFile::permit_write(ByteCount end) const {
  const bool denied =
      (seals() & (seal::kWrite | seal::kFutureWrite)) != 0 || (end > size() && (seals() & seal::kGrow) != 0);
  return denied ? Result<void>(Errno::not_permitted) : Result<void>();
}

}  // namespace vellum::unix
