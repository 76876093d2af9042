#include <vellum/unix/user_faults.hpp>

#include <vellum/unix/process_system.hpp>
#include <vellum/unix/unnamed_device.hpp>

#include "user_fault_file.hpp"

namespace vellum::unix {

Result<Ref<OpenFile>> UserFaults::create(Files& files, Program& program, std::uint32_t flags, bool user_only) {
  FileMemory& memory = files.memory();
  Path path = VELLUM_TRY(create_unnamed_device(files, "anon_inode:[userfaultfd]"));
  return Ref<OpenFile>(Ref<UserFaultFile>::adopt(VELLUM_TRY(memory.create<UserFaultFile>(
      memory, std::move(path), flags | open_flag::kReadWrite, *this, program, user_only))));
}

UserFaults::Outcome UserFaults::wait(Program& program, VirtAddr address, bool writes, Access who) {
  const VirtAddr page = address.align_down(ByteCount(kPageSize));
  const VirtRange whole = VirtRange::must(page, ByteCount(kPageSize));
  const Registration* const registration = find(program, address);
  if (registration == nullptr) {
    // Moved here, or left behind by a file that was closed: it is memory like any other.
    const Result<void> marked = program.space.mark(whole, {.add = {}, .drop = Traits::supplied()});
    const bool lacks_memory = !marked.ok() && marked.error() == Errno::try_again;
    return lacks_memory && !find_memory() ? Outcome::refused : Outcome::retry;
  }
  UserFaultFile& file = registration->file;
  if (file.has(UserFaultFile::kSignals) || (who == Access::kernel && file.user_only_)) {
    return Outcome::refused;
  }
  UserFaultFile::Waiting waiting = {.address = file.has(UserFaultFile::kExactAddresses) ? address : page,
                                    .flags = writes ? 1U : 0U,
                                    .thread = static_cast<std::uint32_t>(this_thread().id.value())};
  Sleep sleep(who == Access::program ? Interruptible::yes : Interruptible::by_death);
  Wakeup why = Wakeup::woken;
  const Sleep::In in(sleep, waiters_);
  file.waiting_.push_back(waiting);
  file.readers_.wake_all();
  while (!waiting.is_woken && why == Wakeup::woken && !program.space.is_resident(page)) {
    why = sleep.until();
  }
  if (waiting.link.is_linked()) {
    file.waiting_.remove(waiting);  // otherwise the file has ended
  }
  // A signal is delivered before the program tries again.
  return who == Access::kernel && why == Wakeup::signal ? Outcome::refused : Outcome::retry;
}

const UserFaults::Registration* UserFaults::find(const Program& program, VirtAddr address) {
  const Registration* found = nullptr;
  registrations_.for_each([&](const Registration& registration) {
    if (registration.file.maker_.program == &program && registration.range.contains(address)) {
      found = &registration;
    }
  });
  return found;
}

void UserFaults::cut(const Program& program, VirtRange range, Registration*& spare) {
  for (Registration* at = registrations_.front(); at != nullptr;) {
    Registration& registration = *at;
    at = registrations_.next(registration);
    const VirtRange lost = registration.range.intersection(range);
    if (registration.file.maker_.program != &program || lost.empty()) {
      continue;
    }
    const VirtRange below = VirtRange::must(registration.range.start(), lost.start() - registration.range.start());
    const VirtAddr after = lost.last() + ByteCount(1);
    const VirtRange above = VirtRange::must(after, registration.range.last() - lost.last());
    if (!below.empty() && !above.empty()) {
      spare->range = above;
      registrations_.push_back(*std::exchange(spare, nullptr));
    }
    registration.range = below.empty() ? above : below;
    if (registration.range.empty()) {
      registrations_.remove(registration);
      registration.file.memory().destroy(&registration);
    }
  }
}

void UserFaults::drop_all(UserFaultFile& file) {
  for (Registration* at = registrations_.front(); at != nullptr;) {
    Registration& registration = *at;
    at = registrations_.next(registration);
    if (&registration.file == &file) {
      if (file.maker_.program != nullptr) {
        (void)file.maker_.program->space.mark(registration.range, {.add = {}, .drop = Traits::supplied()});
      }
      registrations_.remove(registration);
      file.memory().destroy(&registration);
    }
  }
}

void UserFaults::forget(Program& program) {
  for (Registration* at = registrations_.front(); at != nullptr;) {
    Registration& registration = *at;
    at = registrations_.next(registration);
    if (registration.file.maker_.program == &program) {
      registrations_.remove(registration);
      registration.file.memory().destroy(&registration);
    }
  }
  makers_.for_each([&](Maker& maker) { maker.program = maker.program == &program ? nullptr : maker.program; });
}

}  // namespace vellum::unix
