#include <vellum/unix/event_counter.hpp>
#include <vellum/unix/unnamed_device.hpp>

namespace vellum::unix {

namespace {

constexpr std::uint64_t kMost = ~std::uint64_t{0} - 1;

class EventCounter final : public OpenFile {
 public:
  EventCounter(FileMemory& memory, Path path, std::uint32_t flags, std::uint64_t initial, EventCounting counting)
      : OpenFile(memory, std::move(path), flags), counting_(counting), count_(initial) {}

  Result<void> read(Transfer& to, ByteCount /*position*/) override;
  Result<void> write(Transfer& from, ByteCount& /*position*/) override;
  Events poll(Poller* poller) override;

 private:
  friend FileMemory;
  ~EventCounter() = default;
  void destroy() override { memory().destroy(this); }
  // Until `attempt` succeeds. Errors: try_again, interrupted.
  template <class Attempt>
  [[nodiscard]] Result<void> wait_until(Attempt attempt);

  const EventCounting counting_;
  WaitQueue queue_;
  Spinlock lock_{LockRank::leaf};
  std::uint64_t count_ VELLUM_GUARDED_BY(lock_);
};

template <class Attempt>
Result<void> EventCounter::wait_until(Attempt attempt) {
  if (attempt()) {
    return {};
  }
  if (is_non_blocking()) {
    return Errno::try_again;
  }
  Sleep sleep;
  const Sleep::In in(sleep, queue_);
  while (!attempt()) {
    if (sleep.until() == Wakeup::signal) {
      return Errno::interrupted;
    }
  }
  return {};
}

Result<void> EventCounter::read(Transfer& to, ByteCount /*position*/) {
  std::uint64_t taken = 0;
  if (to.left() < ByteCount(sizeof taken)) {
    return Errno::invalid;
  }
  VELLUM_TRY(wait_until([&] {
    const LockGuard guard(lock_);
    taken = counting_ == EventCounting::one_by_one && count_ > 0 ? 1 : count_;
    count_ -= taken;
    return taken > 0;
  }));
  queue_.wake_all();
  return to.put(std::as_bytes(std::span(&taken, 1)));
}

Result<void> EventCounter::write(Transfer& from, ByteCount& /*position*/) {
  std::uint64_t added = 0;
  if (from.left() < ByteCount(sizeof added)) {
    return Errno::invalid;
  }
  VELLUM_TRY(from.get(std::as_writable_bytes(std::span(&added, 1))));
  if (added > kMost) {
    return Errno::invalid;
  }
  VELLUM_TRY(wait_until([&] {
    const LockGuard guard(lock_);
    const bool fits = added <= kMost - count_;
    count_ += fits ? added : 0;
    return fits;
  }));
  queue_.wake_all();
  return {};
}

Events EventCounter::poll(Poller* poller) {
  if (poller != nullptr) {
    poller->add(queue_);
  }
  const LockGuard guard(lock_);
  return static_cast<Events>((count_ > 0 ? event::kReadable : 0U) | (count_ < kMost ? event::kWritable : 0U));
}

}  // namespace

Result<Ref<OpenFile>> create_event_counter(Files& files, std::uint64_t initial, EventCounting counting,
                                           std::uint32_t flags) {
  FileMemory& memory = files.memory();
  Path path = VELLUM_TRY(create_unnamed_device(files, "anon_inode:[eventfd]"));
  return Ref<OpenFile>(Ref<EventCounter>::adopt(VELLUM_TRY(
      memory.create<EventCounter>(memory, std::move(path), flags | open_flag::kReadWrite, initial, counting))));
}

}  // namespace vellum::unix
