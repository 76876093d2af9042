// The ports of files, for tests.
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <mutex>

#include <vellum/unix/checkpoint.hpp>
#include <vellum/unix/process_view.hpp>
#include <vellum/unix/system_lock.hpp>

#include "world.hpp"

namespace vellum::test {

namespace {

Caller the_caller;
std::mutex scheduler;
std::condition_variable changed;
bool signalled = false;

}  // namespace

Caller& caller() { return the_caller; }

void signal_everybody() {
  const std::lock_guard guard(scheduler);
  signalled = true;
  changed.notify_all();
}

void forget_signals() {
  const std::lock_guard guard(scheduler);
  signalled = false;
}

std::vector<std::string> World::list(std::string_view path, std::size_t at_once) {
  class Names final : public unix::DirectorySink {
   public:
    explicit Names(std::size_t most) : most_(most) {}
    bool put(std::string_view name, unix::NodeKind /*kind*/, std::uint64_t /*inode*/, std::uint64_t /*next*/) override {
      if (names.size() == most_) {
        return false;
      }
      names.emplace_back(name);
      return true;
    }
    std::vector<std::string> names;

   private:
    const std::size_t most_;
  };
  std::vector<std::string> all;
  const auto file = open(path, unix::open_flag::kReadOnly);
  VELLUM_CHECK(file.ok());
  for (;;) {
    Names names(at_once);
    VELLUM_CHECK(file.value()->list(names).ok());
    if (names.names.empty()) {
      return all;
    }
    all.insert(all.end(), names.names.begin(), names.names.end());
  }
}

}  // namespace vellum::test

namespace vellum::unix {

using test::caller;

// --- scheduler

class Thread {};

Thread* current_thread() {
  static thread_local Thread thread;
  return &thread;
}

Wakeup block_current(const std::atomic<bool>& woken, Interruptible interruptible, std::optional<Nanoseconds> deadline) {
  std::unique_lock lock(test::scheduler);
  const auto done = [&] { return woken.load() || (interruptible == Interruptible::yes && test::signalled); };
  if (!deadline) {
    test::changed.wait(lock, done);
  } else {
    const std::uint64_t now = monotonic_now().value();
    const std::uint64_t left = deadline->value() > now ? deadline->value() - now : 0;
    if (!test::changed.wait_for(lock, std::chrono::nanoseconds(left), done)) {
      return Wakeup::timeout;
    }
  }
  return woken.load() ? Wakeup::woken : Wakeup::signal;
}

void unblock(Thread& /*thread*/) {
  const std::lock_guard guard(test::scheduler);
  test::changed.notify_all();
}

bool enter_system() { return false; }
void leave_system() {}
bool checkpoint() { return true; }

Nanoseconds monotonic_now() {
  return Nanoseconds(static_cast<std::uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count()));
}
Nanoseconds realtime_now() {
  return Nanoseconds(static_cast<std::uint64_t>(std::chrono::system_clock::now().time_since_epoch().count()));
}
void fill_random(std::span<std::byte> bytes) {
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    bytes[i] = static_cast<std::byte>(i * 37 + 1);
  }
}

// --- user memory

namespace {

bool is_bad(VirtAddr address) { return address.value() < test::kBadAddresses; }

}  // namespace

Result<void> copy_in(std::span<std::byte> to, VirtAddr from) {
  if (is_bad(from)) {
    return Errno::bad_address;
  }
  std::memcpy(to.data(), reinterpret_cast<const void*>(from.value()), to.size());
  return {};
}
Result<void> copy_out(VirtAddr to, std::span<const std::byte> from) {
  if (is_bad(to)) {
    return Errno::bad_address;
  }
  std::memcpy(reinterpret_cast<void*>(to.value()), from.data(), from.size());
  return {};
}
Result<void> clear_out(VirtAddr to, ByteCount size) {
  if (is_bad(to)) {
    return Errno::bad_address;
  }
  std::memset(reinterpret_cast<void*>(to.value()), 0, size.value());
  return {};
}
Result<std::size_t> copy_in_string(std::span<char> to, VirtAddr from) {
  if (is_bad(from)) {
    return Errno::bad_address;
  }
  const auto* const text = reinterpret_cast<const char*>(from.value());
  const std::size_t length = strnlen(text, to.size());
  if (length == to.size()) {
    return Errno::name_too_long;
  }
  std::memcpy(to.data(), text, length + 1);
  return length;
}

// --- the caller

FileContext& calling_files() { return caller().context; }
FileCredentials calling_credentials() {
  return {.user = caller().user,
          .group = caller().group,
          .groups = caller().groups,
          .superuser = caller().user == UserId(0)};
}
FileCredentials calling_real_credentials() { return calling_credentials(); }
std::uint64_t calling_open_file_limit() { return caller().open_limit; }
ByteCount calling_file_size_limit() { return caller().size_limit; }
ProcessId calling_process() { return caller().process; }
ProcessId calling_thread() { return caller().process; }
void raise_signal(Signal signal) { caller().raised.push_back(signal.value()); }
ProcessId calling_group() { return caller().process_group; }
ProcessId calling_session() { return caller().session; }
bool calling_leads_session() { return caller().leads_session; }
bool calling_resists(Signal /*signal*/) { return caller().resists; }
bool calling_group_is_orphaned() { return caller().orphaned; }
bool group_is_in_session(ProcessId group, ProcessId /*session*/) { return group.value() < 100; }
void signal_group(ProcessId group, Signal signal) {
  caller().group_signals.emplace_back(group.value(), signal.value());
}

// --- processes: the caller, and one that has ended (9)

std::optional<ProcessId> next_process(ProcessId after) {
  for (const int id : {7, 9}) {
    if (id > after.value()) {
      return ProcessId(id);
    }
  }
  return std::nullopt;
}
std::optional<ProcessId> next_thread(ProcessId process, ProcessId after) {
  return after < process ? std::optional(process) : std::nullopt;
}
Result<ProcessOwner> process_owner(ProcessId process) {
  if (process.value() != 7 && process.value() != 9) {
    return Errno::no_process;
  }
  return ProcessOwner{.user = UserId(process.value() == 7 ? 1000 : 0), .group = GroupId(1000)};
}
Result<void> read_process_pagemap(ProcessId /*process*/, std::uint64_t first, ShowFrames /*frames*/, Transfer& to) {
  for (std::uint64_t word = first; !to.left().is_zero(); ++word) {
    const Result<void> put = to.put(std::as_bytes(std::span(&word, 1)));
    if (!put.ok()) {
      return put;
    }
  }
  return {};
}

Result<void> write_process_text(ProcessId thread, ProcessText which, TextSink& sink) {
  VELLUM_TRY(process_owner(thread));
  sink.text(which == ProcessText::name ? "test" : "text\n");
  return {};
}
Result<void> set_oom_adjustment(ProcessId process, std::int32_t /*adjustment*/) {
  VELLUM_TRY(process_owner(process));
  return {};
}
Result<FileContext> process_files(ProcessId process) {
  VELLUM_TRY(process_owner(process));
  return process == caller().process ? caller().context : FileContext{};
}
Result<Path> process_program(ProcessId process) {
  VELLUM_TRY(process_owner(process));
  return Errno::no_entry;
}
void write_shared_segments(TextSink& sink) { sink.text("       key      shmid\n"); }
MappedFigures mapped_figures() { return {}; }
SystemFigures system_figures() { return {.threads = 2, .running = 1, .last_made = ProcessId(9)}; }

}  // namespace vellum::unix
