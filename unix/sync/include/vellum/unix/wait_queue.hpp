// Sleeping and waking.
//
//   waiting:  Sleep sleep;  const Sleep::In in(sleep, queue);   // from here on a wake is not missed
//             while (!condition) { if (const Wakeup why = sleep.until(deadline); why != Wakeup::woken) return ...; }
//   waking:   make the condition true;  queue.wake_all();
//
// A Sleep may stand in several queues at once (poll). What it waits for is read under whatever lock guards it; nobody
// sleeps with a spinlock held or inside a section.
#pragma once

#include <atomic>
#include <optional>

#include <vellum/base/intrusive_list.hpp>
#include <vellum/base/lock.hpp>
#include <vellum/unix/types.hpp>

namespace vellum::unix {

class Thread;  // defined by unix/process, or by a test
class WaitQueue;

enum class Wakeup : std::uint8_t { woken, signal, timeout };
// Whether a signal ends the sleep; or only one that ends the process.
enum class Interruptible : std::uint8_t { no, yes, by_death };

// The port to the scheduler: implemented by unix/process; tests implement it too.
[[nodiscard]] Thread* current_thread();
// Deschedules the calling thread until `woken` is true, a signal is pending (if interruptible) or the monotonic clock
// reaches `deadline`; returns at once where one of them holds already.
[[nodiscard]] Wakeup block_current(const std::atomic<bool>& woken, Interruptible interruptible,
                                   std::optional<Nanoseconds> deadline);
// Makes a blocked thread look at its condition again. Callable with spinlocks held and from interrupts.
void unblock(Thread& thread);
// Nanoseconds since boot.
[[nodiscard]] Nanoseconds monotonic_now();

// One act of waiting of the thread that makes it.
class Sleep {
 public:
  explicit Sleep(Interruptible interruptible = Interruptible::yes)
      : thread_(current_thread()), interruptible_(interruptible) {}
  Sleep(const Sleep&) = delete;
  Sleep& operator=(const Sleep&) = delete;

  // Sleeps until a queue that it stands in was woken since the last call (or since it stands there).
  [[nodiscard]] Wakeup until(std::optional<Nanoseconds> deadline = {}) {
    const Wakeup why = block_current(woken_, interruptible_, deadline);
    woken_.store(false, std::memory_order_relaxed);
    return why;
  }

  // Stands in a queue for its life.
  class In {
   public:
    In(Sleep& sleep, WaitQueue& queue);
    ~In();
    In(const In&) = delete;
    In& operator=(const In&) = delete;

   private:
    friend class WaitQueue;
    Sleep& sleep_;
    WaitQueue& queue_;
    ListLink link_;
  };

 private:
  friend class WaitQueue;
  Thread* const thread_;
  const Interruptible interruptible_;
  std::atomic<bool> woken_{false};
};

class WaitQueue {
 public:
  WaitQueue() = default;
  WaitQueue(const WaitQueue&) = delete;
  WaitQueue& operator=(const WaitQueue&) = delete;

  void wake_all() VELLUM_EXCLUDES(lock_);
  // The one that waits longest.
  void wake_one() VELLUM_EXCLUDES(lock_);

 private:
  friend class Sleep::In;
  static void wake(Sleep& sleep);

  Spinlock lock_{LockRank::wait_queue};
  IntrusiveList<Sleep::In, &Sleep::In::link_> waiting_ VELLUM_GUARDED_BY(lock_);
};

}  // namespace vellum::unix
