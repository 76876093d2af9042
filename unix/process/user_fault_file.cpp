// What can be asked of the file of userfaultfd(2): messages of pages that are missing, and the ioctls. The order of
// checks and the errors are Linux's.

#include <vellum/unix/checkpoint.hpp>
#include <vellum/unix/held_program.hpp>
#include <vellum/unix/scratch.hpp>
#include <vellum/unix/user_memory.hpp>

#include "user_fault_file.hpp"

namespace vellum::unix {

namespace {

constexpr ByteCount kPage{kPageSize};

// linux/userfaultfd.h
struct Message {
  std::uint8_t event = 0x12;  // UFFD_EVENT_PAGEFAULT
  std::uint8_t reserved[7] = {};
  std::uint64_t flags = 0;
  std::uint64_t address = 0;
  std::uint32_t thread = 0;
  std::uint32_t unused = 0;
};
static_assert(sizeof(Message) == 32);

struct Api {
  std::uint64_t api;
  std::uint64_t features;
  std::uint64_t ioctls;
};
struct Range {
  std::uint64_t start;
  std::uint64_t length;
};
struct Register {
  Range range;
  std::uint64_t mode;
  std::uint64_t ioctls;
};
struct Copy {
  std::uint64_t to;
  std::uint64_t from;
  std::uint64_t length;
  std::uint64_t mode;
  std::int64_t copied;
};
struct ZeroPage {
  Range range;
  std::uint64_t mode;
  std::int64_t filled;
};

constexpr std::uint32_t kApi = 0xC018'AA3F;
constexpr std::uint32_t kRegister = 0xC020'AA00;
constexpr std::uint32_t kUnregister = 0x8010'AA01;
constexpr std::uint32_t kWake = 0x8010'AA02;
constexpr std::uint32_t kCopy = 0xC028'AA03;
constexpr std::uint32_t kZeroPage = 0xC020'AA04;

constexpr std::uint64_t kVersion = 0xAA;
constexpr std::uint64_t kFileIoctls = std::uint64_t{1} << 63 | 3;  // API; REGISTER, UNREGISTER
constexpr std::uint64_t kRangeIoctls = 7U << 2;                    // WAKE, COPY, ZEROPAGE
constexpr std::uint64_t kMissing = 1;                              // the mode of registering
constexpr std::uint64_t kDoNotWake = 1;

std::int64_t as_told(const Result<std::uint64_t>& done) {
  return done.ok() ? static_cast<std::int64_t>(done.value()) : -static_cast<std::int64_t>(done.error());
}

}  // namespace

void UserFaultFile::destroy() {
  all_.drop_all(*this);
  while (Waiting* const waiting = waiting_.pop_front()) {
    waiting->is_woken = true;
  }
  all_.waiters_.wake_all();
  all_.makers_.remove(maker_);
  memory().destroy(this);
}

UserFaultFile::Waiting* UserFaultFile::first_unread() {
  for (Waiting* waiting = waiting_.front(); waiting != nullptr; waiting = waiting_.next(*waiting)) {
    if (!waiting->was_read && !waiting->is_woken) {
      return waiting;
    }
  }
  return nullptr;
}

Result<void> UserFaultFile::read(Transfer& to, ByteCount /*position*/) {
  if (!agreed_ || to.left() < ByteCount(sizeof(Message))) {
    return Errno::invalid;
  }
  Sleep sleep;
  const Sleep::In in(sleep, readers_);
  for (bool moved = false; to.left() >= ByteCount(sizeof(Message));) {
    Waiting* const waiting = first_unread();
    if (waiting == nullptr) {
      if (moved) {
        return {};
      }
      if (is_non_blocking()) {
        return Errno::try_again;
      }
      if (sleep.until() == Wakeup::signal) {
        return Errno::interrupted;
      }
      continue;
    }
    waiting->was_read = true;
    const Message message = {
        .flags = waiting->flags, .address = waiting->address.value(), .thread = has(kThreadIds) ? waiting->thread : 0};
    VELLUM_TRY(to.put(std::as_bytes(std::span(&message, 1))));
    moved = true;
  }
  return {};
}

// Whoever reads what another has read meanwhile would wait: so only files that do not block can be waited for.
Events UserFaultFile::poll(Poller* poller) {
  if (poller != nullptr) {
    poller->add(readers_);
  }
  if (!agreed_ || !is_non_blocking()) {
    return event::kError;
  }
  return first_unread() != nullptr ? event::kReadable : Events{0};
}

Result<std::uint64_t> UserFaultFile::ioctl(std::uint32_t request, std::uint64_t argument) {
  const VirtAddr at(argument);
  if (request == kApi) {
    return agree(at);
  }
  if (!agreed_) {
    return Errno::invalid;
  }
  switch (request) {
    case kRegister:
      return enrol(at);
    case kUnregister:
      return dismiss(at);
    case kWake:
      return wake_range(at);
    case kCopy:
      return copy(at);
    case kZeroPage:
      return fill_with_zeros(at);
    default:
      return Errno::invalid;
  }
}

Result<std::uint64_t> UserFaultFile::agree(VirtAddr argument) {
  constexpr std::uint64_t kFeatures = kSignals | kThreadIds | kExactAddresses;
  Api api = VELLUM_TRY(read_user<Api>(argument));
  const bool fits = api.api == kVersion && (api.features & ~kFeatures) == 0 && !agreed_;
  const std::uint64_t wanted = api.features;
  api = fits ? Api{.api = kVersion, .features = kFeatures, .ioctls = kFileIoctls} : Api{};
  VELLUM_TRY(write_user(argument, api));
  if (!fits) {
    return Errno::invalid;
  }
  agreed_ = true;
  features_ = wanted;
  return 0;
}

Result<VirtRange> UserFaultFile::checked_range(std::uint64_t start, std::uint64_t length) const {
  const Result<VirtRange> range = VirtRange::checked(VirtAddr(start), ByteCount(length));
  const bool is_whole = start % kPageSize == 0 && length % kPageSize == 0 && length != 0;
  const bool fits = is_whole && range.ok() && process_system().layout.space.may_name(range.value());
  return fits ? range : Result<VirtRange>(Errno::invalid);
}

// Everything that is mapped in the range must be private memory that may be written, and nobody else's to supply.
Result<void> UserFaultFile::permits_enrolling(VirtRange range, const UserFaultFile* only) const {
  Space& space = maker_.program->space;
  bool any = false;
  for (VirtAddr at = range.start(); range.contains(at);) {
    const std::optional<Region<Format>> region = space.region_at_or_after(at);
    if (!region) {
      return any ? Result<void>() : Result<void>(Errno::no_memory);
    }
    if (region->range.start() > range.last()) {
      break;
    }
    if (region->object != nullptr || region->traits.is_shared()) {
      return Errno::invalid;
    }
    if (!region->maximum.can_write()) {
      return Errno::not_permitted;
    }
    const VirtAddr first = std::max(region->range.start(), at);
    const UserFaults::Registration* const other =
        region->traits.is_supplied() ? all_.find(*maker_.program, first) : nullptr;
    if (only != nullptr && other != nullptr && &other->file != only) {
      return Errno::busy;
    }
    any = true;
    at = region->range.last() + ByteCount(1);
  }
  return any ? Result<void>() : Result<void>(Errno::invalid);
}

Result<std::uint64_t> UserFaultFile::enrol(VirtAddr argument) {
  Register asked = VELLUM_TRY(read_user<Register>(argument));
  if (asked.mode != kMissing) {
    return Errno::invalid;
  }
  const VirtRange range = VELLUM_TRY(checked_range(asked.range.start, asked.range.length));
  const HeldProgram program(maker_.program);
  if (program.get() == nullptr) {
    return Errno::no_memory;
  }
  VELLUM_TRY(permits_enrolling(range, this));
  using Registration = UserFaults::Registration;
  auto* const registration = VELLUM_TRY(memory().create<Registration>(*this, range));
  const Result<Registration*> made = memory().create<Registration>(*this, range);
  if (!made.ok()) {
    memory().destroy(registration);
    return made.error();
  }
  Registration* spare = made.value();
  all_.cut(*program.get(), range, spare);
  all_.registrations_.push_back(*registration);
  if (spare != nullptr) {
    memory().destroy(spare);
  }
  // What is mapped may have changed meanwhile: only private memory without an object is ever marked.
  const Result<void> marked =
      program.get()->space.mark(range, {.add = Traits::supplied(), .drop = {}, .own_memory_only = true});
  if (!marked.ok() && marked.error() != Errno::no_memory) {  // holes are passed over
    return marked.error() == Errno::try_again ? Errno::no_memory : marked.error();
  }
  asked.ioctls = kRangeIoctls;
  VELLUM_TRY(write_user(argument, asked));
  return 0;
}

Result<std::uint64_t> UserFaultFile::dismiss(VirtAddr argument) {
  const Range asked = VELLUM_TRY(read_user<Range>(argument));
  const VirtRange range = VELLUM_TRY(checked_range(asked.start, asked.length));
  const HeldProgram program(maker_.program);
  if (program.get() == nullptr) {
    return Errno::no_memory;
  }
  VELLUM_TRY(permits_enrolling(range, nullptr));
  auto* spare = VELLUM_TRY(memory().create<UserFaults::Registration>(*this, range));
  all_.cut(*program.get(), range, spare);
  if (spare != nullptr) {
    memory().destroy(spare);
  }
  (void)program.get()->space.mark(range, {.add = {}, .drop = Traits::supplied()});
  wake(range);
  return 0;
}

void UserFaultFile::wake(VirtRange range) {
  waiting_.for_each([&](Waiting& waiting) { waiting.is_woken = waiting.is_woken || range.contains(waiting.address); });
  all_.waiters_.wake_all();
}

Result<std::uint64_t> UserFaultFile::wake_range(VirtAddr argument) {
  const Range asked = VELLUM_TRY(read_user<Range>(argument));
  wake(VELLUM_TRY(checked_range(asked.start, asked.length)));
  return 0;
}

Result<std::uint64_t> UserFaultFile::copy(VirtAddr argument) {
  const Copy asked = VELLUM_TRY(read_user<Copy>(argument));
  const VirtRange range = VELLUM_TRY(checked_range(asked.to, asked.length));
  if (asked.from + asked.length <= asked.from || (asked.mode & ~kDoNotWake) != 0) {
    return Errno::invalid;
  }
  const VirtAddr told = argument + ByteCount(offsetof(Copy, copied));
  return finish(range, supply(range, VirtAddr(asked.from)), (asked.mode & kDoNotWake) == 0, told);
}

Result<std::uint64_t> UserFaultFile::fill_with_zeros(VirtAddr argument) {
  const ZeroPage asked = VELLUM_TRY(read_user<ZeroPage>(argument));
  const VirtRange range = VELLUM_TRY(checked_range(asked.range.start, asked.range.length));
  if ((asked.mode & ~kDoNotWake) != 0) {
    return Errno::invalid;
  }
  const VirtAddr told = argument + ByteCount(offsetof(ZeroPage, filled));
  return finish(range, supply(range, std::nullopt), (asked.mode & kDoNotWake) == 0, told);
}

Result<std::uint64_t> UserFaultFile::supply(VirtRange range, std::optional<VirtAddr> source) {
  const HeldProgram program(maker_.program);
  if (program.get() == nullptr) {
    return Errno::no_process;
  }
  Space& space = program.get()->space;
  const std::optional<Region<Format>> region = space.region_at_or_after(range.start());
  if (!region || !region->range.contains(range) || !region->traits.is_supplied()) {
    return Errno::no_entry;
  }
  Scratch page(memory());
  VELLUM_TRY(page.allocate(kPage));
  const std::span<std::byte, kPageSize> bytes(page.bytes());
  Pace pace;
  ByteCount done{0};
  while (done < range.size()) {
    Result<void> supplied;
    if (source) {
      supplied = copy_in(bytes, *source + done);
    }
    if (supplied.ok()) {
      supplied = space.supply(range.start() + done,
                              source ? std::optional<std::span<const std::byte, kPageSize>>(bytes) : std::nullopt);
    }
    if (!supplied.ok()) {
      return done == ByteCount(0) ? Result<std::uint64_t>(supplied.error()) : done.value();
    }
    done += kPage;
    if (!pace.go_on(kPageSize)) {
      break;
    }
  }
  return done.value();
}

Result<std::uint64_t> UserFaultFile::finish(VirtRange range, Result<std::uint64_t> done, bool wakes, VirtAddr told) {
  if (!done.ok() && done.error() == Errno::no_process) {
    return done;
  }
  VELLUM_TRY(write_user(told, as_told(done)));
  if (!done.ok()) {
    return done;
  }
  if (wakes) {
    wake(VirtRange::must(range.start(), ByteCount(done.value())));
  }
  return done.value() == range.size().value() ? Result<std::uint64_t>(0) : Errno::try_again;
}

}  // namespace vellum::unix
