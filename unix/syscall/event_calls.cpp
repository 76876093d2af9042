// Waiting for files, and the files that are made to be waited for: pipes, event counters.
#include <algorithm>

#include <vellum/unix/event_counter.hpp>
#include <vellum/unix/pipe.hpp>
#include <vellum/unix/poller.hpp>
#include <vellum/unix/signals.hpp>
#include <vellum/unix/system_call.hpp>

#include "linux_time.hpp"
#include "paths.hpp"

namespace vellum::unix {

namespace {

// --- waiting

struct Watched {
  Ref<OpenFile> file;
  Events wanted = 0;
  Events found = 0;
};

// So many files to wait for.
class Watch {
 public:
  Watch() : scratch_(all_files().memory()) {}
  ~Watch() {
    for (Watched& watched : files_) {
      watched.~Watched();
    }
  }
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;

  // Error: no_memory.
  [[nodiscard]] Result<void> allocate(std::size_t count) {
    if (count == 0) {
      return {};
    }
    VELLUM_TRY(scratch_.allocate(ByteCount(count * sizeof(Watched))));
    auto* const first = reinterpret_cast<Watched*>(scratch_.bytes().data());
    for (std::size_t i = 0; i < count; ++i) {
      ::new (first + i) Watched();
    }
    files_ = {first, count};
    return {};
  }
  [[nodiscard]] std::span<Watched> files() const { return files_; }
  // Until one of them has an event, which `found` tells then; how many have. Errors: interrupted, no_memory.
  [[nodiscard]] Result<std::uint64_t> wait(std::optional<Nanoseconds> deadline);

 private:
  [[nodiscard]] std::uint64_t look(Poller* poller);

  Scratch scratch_;
  std::span<Watched> files_;
};

std::uint64_t Watch::look(Poller* poller) {
  std::uint64_t count = 0;
  for (Watched& watched : files_) {
    if (watched.file) {
      const unsigned always = event::kError | event::kHangUp | event::kInvalid;
      watched.found = static_cast<Events>(watched.file->poll(poller) & (watched.wanted | always));
    }
    count += watched.found != 0 ? 1 : 0;
  }
  return count;
}

Result<std::uint64_t> Watch::wait(std::optional<Nanoseconds> deadline) {
  if (deadline && *deadline <= monotonic_now()) {
    return look(nullptr);
  }
  Poller poller(all_files().memory());
  std::uint64_t count = look(&poller);
  poller.stop_adding();
  VELLUM_TRY(poller.status());
  while (count == 0) {
    const Wakeup why = poller.wait(deadline);
    count = look(nullptr);
    if (count == 0 && why == Wakeup::signal) {
      return Errno::interrupted;
    }
    if (why == Wakeup::timeout) {
      break;
    }
  }
  return count;
}

// Milliseconds, as poll and epoll_wait have them; negative is for ever.
std::optional<Nanoseconds> deadline_in(std::int32_t milliseconds) {
  if (milliseconds < 0) {
    return std::nullopt;
  }
  return after(Nanoseconds(static_cast<std::uint64_t>(milliseconds) * 1'000'000));
}

Nanoseconds left_until(Nanoseconds deadline) {
  const Nanoseconds now = monotonic_now();
  return deadline > now ? deadline - now : Nanoseconds(0);
}

// The mask of blocked signals that a call asks for, for its time.
class MaskForCall {
 public:
  // Errors: invalid (the size of a set), bad_address.
  [[nodiscard]] Result<void> begin(VirtAddr mask, std::uint64_t size) {
    if (mask == VirtAddr(0)) {
      return {};
    }
    if (size != sizeof(SignalSet)) {
      return Errno::invalid;
    }
    begin_temporary_mask(this_thread(), VELLUM_TRY(read_user<SignalSet>(mask)));
    is_set_ = true;
    return {};
  }
  // Whoever was interrupted keeps it until the handler has run.
  void end(bool interrupted) {
    if (is_set_ && !interrupted) {
      end_temporary_mask(this_thread());
    }
  }

 private:
  bool is_set_ = false;
};

// --- poll

struct PollRecord {
  std::int32_t descriptor;
  std::int16_t events;
  std::int16_t found;
};

Result<std::uint64_t> poll(VirtAddr records, std::uint64_t count, std::optional<Nanoseconds> deadline) {
  if (count > calling_open_file_limit() || count > FileTable::kMost) {
    return Errno::invalid;
  }
  Watch watch;
  VELLUM_TRY(watch.allocate(static_cast<std::size_t>(count)));
  for (std::size_t i = 0; i < watch.files().size(); ++i) {
    const auto record = VELLUM_TRY(read_user<PollRecord>(records + ByteCount(i * sizeof(PollRecord))));
    Watched& watched = watch.files()[i];
    watched.wanted = static_cast<Events>(record.events);
    if (record.descriptor < 0) {
      continue;
    }
    Result<Ref<OpenFile>> file = usable_file(record.descriptor);
    if (file.ok()) {
      watched.file = std::move(file).value();
    } else {
      watched.found = event::kInvalid;
    }
  }
  const std::uint64_t found = VELLUM_TRY(watch.wait(deadline));
  for (std::size_t i = 0; i < watch.files().size(); ++i) {
    const VirtAddr at = records + ByteCount(i * sizeof(PollRecord) + offsetof(PollRecord, found));
    VELLUM_TRY(write_user(at, watch.files()[i].found));
  }
  return found;
}

Result<std::uint64_t> sys_poll(const Arguments& arguments) {
  return poll(arguments.address(0), static_cast<std::uint32_t>(arguments.value[1]), deadline_in(arguments.integer(2)));
}

Result<std::uint64_t> sys_ppoll(const Arguments& arguments) {
  const VirtAddr timeout = arguments.address(2);
  std::optional<Nanoseconds> deadline;
  if (timeout != VirtAddr(0)) {
    deadline = after(VELLUM_TRY(read_timespec(timeout)));
  }
  MaskForCall mask;
  VELLUM_TRY(mask.begin(arguments.address(3), arguments.value[4]));
  const Result<std::uint64_t> found =
      poll(arguments.address(0), static_cast<std::uint32_t>(arguments.value[1]), deadline);
  mask.end(!found.ok() && found.error() == Errno::interrupted);
  if (deadline) {
    (void)write_user(timeout, to_timespec(left_until(*deadline)));
  }
  return found;
}

// --- select

constexpr unsigned kSets = 3;  // to read, to write, exceptional
constexpr Events kWantedOf[kSets] = {event::kReadable | event::kReadBand, event::kWritable | event::kWriteBand,
                                     event::kPriority};
constexpr Events kFoundOf[kSets] = {event::kReadable | event::kReadBand | event::kHangUp | event::kError,
                                    event::kWritable | event::kWriteBand | event::kError, event::kPriority};

// The three sets of descriptors of one call.
class Selection {
 public:
  Selection() : scratch_(all_files().memory()) {}
  // Errors: bad_address, no_memory.
  [[nodiscard]] Result<void> read(const Arguments& arguments, unsigned count) {
    words_ = (count + 63) / 64;
    count_ = count;
    VELLUM_TRY(scratch_.allocate(ByteCount(std::uint64_t{kSets} * std::max(words_, 1U) * 8)));
    __builtin_memset(scratch_.bytes().data(), 0, scratch_.bytes().size());
    for (unsigned set = 0; set < kSets; ++set) {
      addresses_[set] = arguments.address(1 + set);
      if (addresses_[set] != VirtAddr(0)) {
        VELLUM_TRY(copy_in(bytes_of(set), addresses_[set]));
      }
    }
    return {};
  }
  [[nodiscard]] Result<void> write() const {
    for (unsigned set = 0; set < kSets; ++set) {
      if (addresses_[set] != VirtAddr(0)) {
        VELLUM_TRY(copy_out(addresses_[set], bytes_of(set)));
      }
    }
    return {};
  }
  [[nodiscard]] Events wanted(unsigned descriptor) const {
    unsigned wanted = 0;
    for (unsigned set = 0; set < kSets; ++set) {
      wanted |= has(set, descriptor) ? kWantedOf[set] : 0U;
    }
    return static_cast<Events>(wanted);
  }
  // Leaves what was found of a descriptor; how many sets have it.
  [[nodiscard]] unsigned keep(unsigned descriptor, Events found) {
    unsigned count = 0;
    for (unsigned set = 0; set < kSets; ++set) {
      if (has(set, descriptor) && (found & kFoundOf[set]) != 0) {
        ++count;
      } else {
        word(set, descriptor) &= ~bit(descriptor);
      }
    }
    return count;
  }

 private:
  [[nodiscard]] std::span<std::byte> bytes_of(unsigned set) const {
    return scratch_.bytes().subspan(std::size_t{set} * words_ * 8, std::size_t{words_} * 8);
  }
  [[nodiscard]] std::uint64_t& word(unsigned set, unsigned descriptor) const {
    return reinterpret_cast<std::uint64_t*>(scratch_.bytes().data())[set * words_ + descriptor / 64];
  }
  [[nodiscard]] static std::uint64_t bit(unsigned descriptor) { return std::uint64_t{1} << (descriptor % 64); }
  [[nodiscard]] bool has(unsigned set, unsigned descriptor) const {
    return (word(set, descriptor) & bit(descriptor)) != 0;
  }

  Scratch scratch_;
  unsigned words_ = 0;
  unsigned count_ = 0;
  VirtAddr addresses_[kSets];
};

Result<std::uint64_t> select(const Arguments& arguments, std::optional<Nanoseconds> deadline) {
  if (arguments.integer(0) < 0) {
    return Errno::invalid;
  }
  const unsigned count = std::min(static_cast<unsigned>(arguments.integer(0)), FileTable::kMost);
  Selection selection;
  VELLUM_TRY(selection.read(arguments, count));
  Watch watch;
  VELLUM_TRY(watch.allocate(count));
  for (unsigned descriptor = 0; descriptor < count; ++descriptor) {
    Watched& watched = watch.files()[descriptor];
    watched.wanted = selection.wanted(descriptor);
    if (watched.wanted != 0) {
      watched.file = VELLUM_TRY(usable_file(static_cast<int>(descriptor)));
    }
  }
  (void)VELLUM_TRY(watch.wait(deadline));
  std::uint64_t found = 0;
  for (unsigned descriptor = 0; descriptor < count; ++descriptor) {
    found += selection.keep(descriptor, watch.files()[descriptor].found);
  }
  VELLUM_TRY(selection.write());
  return found;
}

Result<std::uint64_t> sys_select(const Arguments& arguments) {
  const VirtAddr timeout = arguments.address(4);
  std::optional<Nanoseconds> deadline;
  if (timeout != VirtAddr(0)) {
    LinuxTimeval time = VELLUM_TRY(read_user<LinuxTimeval>(timeout));
    if (time.seconds < 0 || time.microseconds < 0) {
      return Errno::invalid;
    }
    time.seconds += time.microseconds / 1'000'000;
    time.microseconds %= 1'000'000;
    deadline = after(VELLUM_TRY(to_nanoseconds(time)));
  }
  const Result<std::uint64_t> found = select(arguments, deadline);
  if (deadline) {
    (void)write_user(timeout, to_timeval(left_until(*deadline)));
  }
  return found;
}

Result<std::uint64_t> sys_pselect6(const Arguments& arguments) {
  struct Mask {
    std::uint64_t address;
    std::uint64_t size;
  };
  const VirtAddr timeout = arguments.address(4);
  std::optional<Nanoseconds> deadline;
  if (timeout != VirtAddr(0)) {
    deadline = after(VELLUM_TRY(read_timespec(timeout)));
  }
  MaskForCall mask;
  if (arguments.value[5] != 0) {
    const Mask wanted = VELLUM_TRY(read_user<Mask>(arguments.address(5)));
    VELLUM_TRY(mask.begin(VirtAddr(wanted.address), wanted.size));
  }
  const Result<std::uint64_t> found = select(arguments, deadline);
  mask.end(!found.ok() && found.error() == Errno::interrupted);
  if (deadline) {
    (void)write_user(timeout, to_timespec(left_until(*deadline)));
  }
  return found;
}

// --- pipes, event counters

// Both ends get descriptors, or none does.
Result<std::uint64_t> make_pipe(VirtAddr into, std::uint32_t flags) {
  constexpr std::uint32_t kKnown = open_flag::kCloseOnExec | open_flag::kNonBlocking | open_flag::kDirect;
  if ((flags & ~kKnown) != 0) {
    return Errno::invalid;
  }
  PipePair pipe = VELLUM_TRY(create_pipe(all_files(), flags & ~open_flag::kCloseOnExec));
  const bool closes = (flags & open_flag::kCloseOnExec) != 0;
  FileTable& table = *calling_files().table;
  const auto read_end = static_cast<std::int32_t>(VELLUM_TRY(give_descriptor(std::move(pipe.read_end), closes)));
  const Result<std::uint64_t> write_end = give_descriptor(std::move(pipe.write_end), closes);
  if (!write_end.ok()) {
    (void)table.close(read_end);
    return write_end.error();
  }
  struct Ends {
    std::int32_t read;
    std::int32_t write;
  };
  const Ends ends = {.read = read_end, .write = static_cast<std::int32_t>(write_end.value())};
  if (const Result<void> written = write_user(into, ends); !written.ok()) {
    (void)table.close(ends.read);
    (void)table.close(ends.write);
    return written.error();
  }
  return 0;
}

Result<std::uint64_t> sys_pipe(const Arguments& arguments) { return make_pipe(arguments.address(0), 0); }
Result<std::uint64_t> sys_pipe2(const Arguments& arguments) {
  return make_pipe(arguments.address(0), static_cast<std::uint32_t>(arguments.value[1]));
}

Result<std::uint64_t> make_event_counter(std::uint32_t initial, std::uint32_t flags) {
  constexpr std::uint32_t kSemaphore = 1;
  if ((flags & ~(kSemaphore | open_flag::kCloseOnExec | open_flag::kNonBlocking)) != 0) {
    return Errno::invalid;
  }
  const auto counts = (flags & kSemaphore) != 0 ? EventCounting::one_by_one : EventCounting::all_at_once;
  Ref<OpenFile> file = VELLUM_TRY(create_event_counter(all_files(), initial, counts, flags & open_flag::kNonBlocking));
  return give_descriptor(std::move(file), (flags & open_flag::kCloseOnExec) != 0);
}

Result<std::uint64_t> sys_eventfd(const Arguments& arguments) {
  return make_event_counter(static_cast<std::uint32_t>(arguments.value[0]), 0);
}
Result<std::uint64_t> sys_eventfd2(const Arguments& arguments) {
  return make_event_counter(static_cast<std::uint32_t>(arguments.value[0]),
                            static_cast<std::uint32_t>(arguments.value[1]));
}

constexpr Shown kFlags = Shown::flags;
constexpr Shown kHex = Shown::hexadecimal;
constexpr Shown kDecimal = Shown::decimal;

constexpr SystemCall kCalls[] = {
    {7, "poll", sys_poll, 3, {kHex, kDecimal, kDecimal}},
    {22, "pipe", sys_pipe, 1, {kHex}},
    {23, "select", sys_select, 5, {kDecimal, kHex, kHex, kHex, kHex}},
    {270, "pselect6", sys_pselect6, 6, {kDecimal, kHex, kHex, kHex, kHex, kHex}},
    {271, "ppoll", sys_ppoll, 5, {kHex, kDecimal, kHex, kHex, kDecimal}},
    {284, "eventfd", sys_eventfd, 1, {kDecimal}},
    {290, "eventfd2", sys_eventfd2, 2, {kDecimal, kFlags}},
    {293, "pipe2", sys_pipe2, 2, {kHex, kFlags}},
};

}  // namespace

std::span<const SystemCall> event_calls() { return kCalls; }

}  // namespace vellum::unix
