#include <vellum/unix/shared_segments.hpp>

#include <algorithm>

#include <vellum/unix/file_caller.hpp>
#include <vellum/unix/process_view.hpp>
#include <vellum/unix/system_lock.hpp>

#include "view.hpp"

namespace vellum::unix {

namespace {

namespace flag {
constexpr std::uint32_t kCreate = 01000;
constexpr std::uint32_t kExclusive = 02000;
constexpr std::uint32_t kHugePages = 04000;
constexpr std::uint32_t kNoReserve = 010000;
}  // namespace flag

std::int64_t seconds_now() { return static_cast<std::int64_t>(realtime_now().value() / 1'000'000'000); }

bool permits(const FileCredentials& who, const SegmentStatus& status, unsigned wanted) {
  unsigned granted = status.mode;
  if (who.user == status.creator || who.user == status.owner) {
    granted >>= 6;
  } else if (who.is_in(status.creator_group) || who.is_in(status.group)) {
    granted >>= 3;
  }
  return who.superuser || (wanted & ~granted & 7) == 0;
}

bool is_owner(const FileCredentials& who, const SegmentStatus& status) {
  return who.superuser || who.user == status.owner || who.user == status.creator;
}

}  // namespace

// --- a segment

ObjectName SharedSegment::describe(std::span<char> into) {
  FixedText text(into);
  text.text("/SYSV").hexadecimal(static_cast<std::uint32_t>(key_), 8).text(" (deleted)");
  return {.device = registry_.files_.shared_memory().device(),
          .inode = static_cast<std::uint64_t>(status_.id),
          .path = text.is_cut() ? std::string_view() : text.view()};
}

Result<void> SharedSegment::read(PageIndex /*index*/, std::span<std::byte> page) {
  __builtin_memset(page.data(), 0, page.size());
  return {};
}

void SharedSegment::object_ended() {
  const InSystem in_system;  // perhaps in a page fault
  registry_.leave(*this);
  registry_.files_.memory().destroy(this);
}

// --- finding and making

SharedSegment* SharedSegments::find(std::int32_t id) {
  const auto slot = static_cast<std::uint32_t>(id) & ((1U << kSlotBits) - 1);
  SharedSegment* const segment = id >= 0 && slot < kMost ? slots_[slot] : nullptr;
  return segment != nullptr && segment->status_.id == id ? segment : nullptr;
}

SharedSegment* SharedSegments::find_key(std::int32_t key) {
  for (unsigned slot = 0; slot < end_; ++slot) {
    if (slots_[slot] != nullptr && slots_[slot]->status_.key == key) {
      return slots_[slot];
    }
  }
  return nullptr;
}

SharedSegment* SharedSegments::find_object(const FileObject& object) {
  for (unsigned slot = 0; slot < end_; ++slot) {
    if (slots_[slot] != nullptr && slots_[slot]->object_ == &object) {
      return slots_[slot];
    }
  }
  return nullptr;
}

// Linux's numbers: slots in turn, with a new sequence number where they begin again.
Result<std::int32_t> SharedSegments::enter(SharedSegment& segment) {
  constexpr unsigned kFewest = 64;
  if (used_ == kMost) {
    return Errno::no_space;
  }
  const unsigned most = std::min(std::max(used_ + used_ / 2, kFewest), kMost);
  unsigned slot = next_slot_ < most ? next_slot_ : 0;
  while (slots_[slot] != nullptr) {
    slot = slot + 1 < most ? slot + 1 : 0;
  }
  sequence_ = static_cast<std::uint16_t>(sequence_ + (slot < next_slot_ ? 1U : 0U));
  next_slot_ = slot + 1;
  segment.status_.sequence = sequence_;
  segment.status_.id = static_cast<std::int32_t>((std::uint32_t{sequence_} << kSlotBits | slot) & 0x7fff'ffff);
  slots_[slot] = &segment;
  end_ = std::max(end_, slot + 1);
  ++used_;
  return segment.status_.id;
}

void SharedSegments::leave(SharedSegment& segment) {
  const LockGuard guard(lock_);
  if (find(segment.status_.id) != &segment) {
    return;  // it was never entered
  }
  slots_[static_cast<std::uint32_t>(segment.status_.id) & ((1U << kSlotBits) - 1)] = nullptr;
  --used_;
  while (end_ > 0 && slots_[end_ - 1] == nullptr) {
    --end_;
  }
}

Result<std::int32_t> SharedSegments::get_found(const SegmentStatus& status, const FileCredentials& who, ByteCount size,
                                               std::uint32_t flags) {
  if ((flags & flag::kCreate) != 0 && (flags & flag::kExclusive) != 0) {
    return Errno::exists;
  }
  if (status.size < size) {
    return Errno::invalid;
  }
  return permits(who, status, flags >> 6 | flags >> 3 | flags) ? Result<std::int32_t>(status.id) : Errno::access_denied;
}

Result<SharedSegment*> SharedSegments::make(std::int32_t key, ByteCount size, std::uint32_t flags,
                                            const FileCredentials& who) {
  if (size.is_zero() || size.value() > kLargest) {
    return Errno::invalid;
  }
  const PageCount pages = pages_for(size);
  if ((flags & flag::kHugePages) != 0 || pages > FileObject::kMaxPages) {
    return Errno::no_memory;  // no huge pages are set aside
  }
  auto& objects = files_.virtual_memory().objects;
  const bool is_reserved = (flags & flag::kNoReserve) == 0 || objects.commitment().is_strict();
  SharedSegment* const segment = VELLUM_TRY(files_.memory().create<SharedSegment>(*this, key));
  const Result<FileObject*> object =
      objects.create_file(*segment, bytes_of(pages), is_reserved ? Promise::whole : Promise::by_page);
  if (!object.ok()) {
    files_.memory().destroy(segment);
    return object.error();
  }
  segment->object_ = object.value();
  SegmentStatus& status = segment->status_;
  status.key = key;
  status.id = -1;
  status.size = size;
  status.mode = static_cast<std::uint16_t>(flags & SegmentStatus::kRights);
  status.owner = status.creator = who.user;
  status.group = status.creator_group = who.group;
  status.made_by = calling_process();
  status.changed_at = seconds_now();
  return segment;
}

Result<std::int32_t> SharedSegments::get(std::int32_t key, ByteCount size, std::uint32_t flags) {
  const FileCredentials who = calling_credentials();
  if (key != 0) {
    const LockGuard guard(lock_);
    if (const SharedSegment* const segment = find_key(key); segment != nullptr) {
      return get_found(segment->status_, who, size, flags);
    }
    if ((flags & flag::kCreate) == 0) {
      return Errno::no_entry;
    }
  }
  SharedSegment* const segment = VELLUM_TRY(make(key, size, flags, who));
  Result<std::int32_t> id = Errno::no_space;
  {
    const LockGuard guard(lock_);
    const SharedSegment* const other = key != 0 ? find_key(key) : nullptr;  // made meanwhile
    if (other != nullptr) {
      id = get_found(other->status_, who, size, flags);
    } else {
      id = enter(*segment);
      if (id.ok()) {
        return id;
      }
    }
  }
  segment->object_->release();
  return id;
}

// --- using

Result<Ref<FileObject>> SharedSegments::object_of(std::int32_t id, std::uint16_t rights) {
  const FileCredentials who = calling_credentials();
  const LockGuard guard(lock_);
  const SharedSegment* const segment = find(id);
  if (segment == nullptr) {
    return Errno::invalid;
  }
  if (!permits(who, segment->status_, rights)) {
    return Errno::access_denied;
  }
  if (!segment->object_->try_retain()) {
    return Errno::invalid;  // it ends just now
  }
  return Ref<FileObject>::adopt(segment->object_);
}

void SharedSegments::note_attached(const FileObject& object) {
  const ProcessId process = calling_process();
  const std::int64_t time = seconds_now();
  const LockGuard guard(lock_);
  if (SharedSegment* const segment = find_object(object); segment != nullptr) {
    segment->status_.last_user = process;
    segment->status_.attached_at = time;
  }
}

void SharedSegments::note_detached(const FileObject& object) {
  const ProcessId process = calling_process();
  const std::int64_t time = seconds_now();
  const LockGuard guard(lock_);
  if (SharedSegment* const segment = find_object(object); segment != nullptr) {
    segment->status_.last_user = process;
    segment->status_.detached_at = time;
  }
}

bool SharedSegments::is_segment(const FileObject& object) {
  const LockGuard guard(lock_);
  return find_object(object) != nullptr;
}

// --- asking

// Each stretch of addresses that shows a segment is an attachment, as for Linux. Regions may come and go meanwhile: of
// their objects no more than the address is looked at.
void SharedSegments::count_attachments() {
  const LockGuard processes(process_lock);
  {
    const LockGuard guard(lock_);
    for (unsigned slot = 0; slot < end_; ++slot) {
      if (slots_[slot] != nullptr) {
        slots_[slot]->status_.attachments = 0;
      }
    }
  }
  process_system().for_each_process([&](Process& process) {
    process_lock.assert_held();
    if (process.program == nullptr || process.vfork_parent != nullptr) {
      return;  // it borrows its parent's
    }
    VirtAddr at(0);
    while (const std::optional<Region<Format>> region = process.program->space.region_at_or_after(at)) {
      if (region->object != nullptr && region->traits.is_shared()) {
        const LockGuard guard(lock_);
        if (SharedSegment* const segment = find_object(*region->object); segment != nullptr) {
          ++segment->status_.attachments;
        }
      }
      at = region->range.end();
    }
  });
}

Result<SegmentStatus> SharedSegments::status(std::int32_t number, Naming naming, Asking asking) {
  const FileCredentials who = calling_credentials();
  count_attachments();
  Ref<FileObject> object;
  SegmentStatus status;
  {
    const LockGuard guard(lock_);
    const bool is_slot = naming == Naming::slot;
    const auto slot = static_cast<std::uint32_t>(number) & ((1U << kSlotBits) - 1);
    const SharedSegment* const segment = !is_slot ? find(number) : slot < kMost ? slots_[slot] : nullptr;
    if (segment == nullptr || !segment->object_->try_retain()) {
      return Errno::invalid;
    }
    object = Ref<FileObject>::adopt(segment->object_);
    status = segment->status_;
  }
  if (asking == Asking::reader && !permits(who, status, 4)) {
    return Errno::access_denied;
  }
  status.resident = object->resident();
  return status;
}

SharedSegments::Totals SharedSegments::totals() {
  Totals totals;
  for (unsigned slot = 0;; ++slot) {
    Ref<FileObject> object;
    bool is_locked = false;
    {
      const LockGuard guard(lock_);
      if (slot >= end_) {
        totals.highest = end_ > 0 ? end_ - 1 : 0;
        break;
      }
      if (slots_[slot] == nullptr || !slots_[slot]->object_->try_retain()) {
        continue;
      }
      object = Ref<FileObject>::adopt(slots_[slot]->object_);
      is_locked = (slots_[slot]->status_.mode & SegmentStatus::kLocked) != 0;
    }
    ++totals.segments;
    totals.pages += object->page_count();
    totals.resident += object->resident();
    totals.locked += is_locked ? object->resident() : PageCount(0);
  }
  return totals;
}

void SharedSegments::write(TextSink& sink) {
  sink.text("       key      shmid perms                  size  cpid  lpid nattch   uid   gid  cuid  cgid");
  sink.text("      atime      dtime      ctime                   rss                  swap\n");
  const unsigned highest = totals().highest;
  for (unsigned slot = 0; slot <= highest; ++slot) {
    const Result<SegmentStatus> found = status(static_cast<std::int32_t>(slot), Naming::slot, Asking::anybody);
    if (!found.ok()) {
      continue;
    }
    const SegmentStatus& segment = found.value();
    char mode[8];
    FixedText mode_text(mode);
    mode_text.octal(segment.mode);
    char key[16];
    FixedText key_text(key);
    key_text.signed_decimal(segment.key);
    sink.text(std::string_view("          ").substr(std::min<std::size_t>(key_text.view().size(), 10)));
    sink.text(key_text.view()).text(" ").decimal(static_cast<std::uint32_t>(segment.id), 10).text("  ");
    sink.text(std::string_view("    ").substr(std::min<std::size_t>(mode_text.view().size(), 4)))
        .text(mode_text.view());
    sink.text(" ").decimal(segment.size.value(), 21);
    const auto number = [&sink](std::uint64_t value, unsigned width) { sink.text(" ").decimal(value, width); };
    number(static_cast<std::uint32_t>(segment.made_by.value()), 5);
    number(static_cast<std::uint32_t>(segment.last_user.value()), 5);
    sink.text(" ");
    number(segment.attachments, 5);
    number(segment.owner.value(), 5);
    number(segment.group.value(), 5);
    number(segment.creator.value(), 5);
    number(segment.creator_group.value(), 5);
    number(static_cast<std::uint64_t>(segment.attached_at), 10);
    number(static_cast<std::uint64_t>(segment.detached_at), 10);
    number(static_cast<std::uint64_t>(segment.changed_at), 10);
    number(bytes_of(segment.resident).value(), 21);
    number(0, 21);
    sink.text("\n");
  }
}

void write_shared_segments(TextSink& sink) { process_system().segments.write(sink); }

// --- changing

Result<SharedSegment*> SharedSegments::owned(std::int32_t id, const FileCredentials& who) {
  SharedSegment* const segment = find(id);
  if (segment == nullptr) {
    return Errno::invalid;
  }
  return is_owner(who, segment->status_) ? Result<SharedSegment*>(segment) : Errno::not_permitted;
}

Result<void> SharedSegments::set_owner(std::int32_t id, UserId owner, GroupId group, std::uint16_t mode) {
  const FileCredentials who = calling_credentials();
  const std::int64_t time = seconds_now();
  const LockGuard guard(lock_);
  SegmentStatus& status = VELLUM_TRY(owned(id, who))->status_;
  if (owner == UserId(~std::uint32_t{0}) || group == GroupId(~std::uint32_t{0})) {
    return Errno::invalid;
  }
  status.owner = owner;
  status.group = group;
  status.mode = static_cast<std::uint16_t>((status.mode & ~SegmentStatus::kRights) | (mode & SegmentStatus::kRights));
  status.changed_at = time;
  return {};
}

// The key is free again at once; the number stays as long as somebody has the segment attached.
Result<void> SharedSegments::remove(std::int32_t id) {
  const FileCredentials who = calling_credentials();
  FileObject* object = nullptr;
  {
    const LockGuard guard(lock_);
    SharedSegment& segment = *VELLUM_TRY(owned(id, who));
    segment.status_.key = 0;
    if ((segment.status_.mode & SegmentStatus::kDestroyed) == 0) {
      segment.status_.mode |= SegmentStatus::kDestroyed;
      object = segment.object_;
    }
  }
  if (object != nullptr) {
    object->release();
  }
  return {};
}

// As on Linux a user's locked segments count by their sizes, and apart from what mlock locks.
Result<void> SharedSegments::lock(std::int32_t id, std::optional<PageCount> most) {
  const FileCredentials who = calling_credentials();
  const LockGuard guard(lock_);
  SharedSegment& segment = *VELLUM_TRY(owned(id, who));
  if (most && most->is_zero()) {
    return Errno::not_permitted;
  }
  if ((segment.status_.mode & SegmentStatus::kLocked) != 0) {
    return {};
  }
  PageCount locked = pages_for(segment.status_.size);
  for (unsigned slot = 0; slot < end_; ++slot) {
    const SharedSegment* const other = slots_[slot];
    if (other != nullptr && (other->status_.mode & SegmentStatus::kLocked) != 0 && other->locked_by_ == who.user) {
      locked += pages_for(other->status_.size);
    }
  }
  if (most && locked > *most) {
    return Errno::no_memory;
  }
  segment.status_.mode |= SegmentStatus::kLocked;
  segment.locked_by_ = who.user;
  return {};
}

Result<void> SharedSegments::unlock(std::int32_t id) {
  const FileCredentials who = calling_credentials();
  const LockGuard guard(lock_);
  SegmentStatus& status = VELLUM_TRY(owned(id, who))->status_;
  status.mode = static_cast<std::uint16_t>(status.mode & ~SegmentStatus::kLocked);
  return {};
}

}  // namespace vellum::unix
