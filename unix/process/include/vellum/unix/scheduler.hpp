// Who runs.
//
// One queue of runnable threads, taken in turn; a thread that computes gives up its CPU after kSlice. A CPU without
// work runs its idle thread, which is the code that called run(). A thread that was switched away from is on its CPU
// until the next thread has taken over the stack: only then may another CPU run it, or its memory be given back.
//
// Locks: lock_ (rank scheduler): the queue, the threads' states. Not held across a switch.
#pragma once

#include <atomic>
#include <optional>

#include <vellum/base/intrusive_list.hpp>
#include <vellum/base/lock.hpp>
#include <vellum/phys/physical_memory.hpp>
#include <vellum/unix/thread.hpp>
#include <vellum/unix/timer.hpp>
#include <vellum/unix/wait_queue.hpp>

namespace vellum::unix {

class Scheduler {
 public:
  static constexpr unsigned kSliceTicks = 3;

  // `ended` gives back the memory of a thread that exit_current() ended.
  Scheduler(TimerQueue& timers, void (*ended)(Thread&)) : timers_(timers), ended_(ended) {}
  Scheduler(const Scheduler&) = delete;
  Scheduler& operator=(const Scheduler&) = delete;

  // The thread of the calling CPU; null before run().
  [[nodiscard]] Thread* current() const { return current_; }

  // Runs threads on the calling CPU, whose code becomes its idle thread.
  [[noreturn]] void run(Thread& idle, PhysicalMemory& memory);
  // Makes a new thread runnable, whose context was prepared with entry().
  void start(Thread& thread) VELLUM_EXCLUDES(lock_);
  // What a thread's context is prepared with, for an argument that is the Thread: calls thread.body.
  static void entry(void* thread);

  // For the calling thread.
  [[nodiscard]] Wakeup block(const std::atomic<bool>& woken, Interruptible interruptible,
                             std::optional<Nanoseconds> deadline) VELLUM_EXCLUDES(lock_);
  // Lets the others run first.
  void yield() VELLUM_EXCLUDES(lock_);
  [[noreturn]] void exit_current() VELLUM_EXCLUDES(lock_);

  void unblock(Thread& thread) VELLUM_EXCLUDES(lock_);

  // From the timer's interrupt.
  void tick() VELLUM_EXCLUDES(lock_);
  // Whether the calling thread has had its turn.
  [[nodiscard]] bool turn_is_over() const { return turn_is_over_.load(std::memory_order_relaxed); }
  [[nodiscard]] std::uint64_t switches() const { return switches_.load(std::memory_order_relaxed); }
  // Runnable threads, for the load of the system.
  [[nodiscard]] unsigned runnable() const { return runnable_.load(std::memory_order_relaxed); }

 private:
  // Runs the first of the queue in place of `self`, which the caller gave its new state. Takes the lock over.
  void switch_from(Thread& self) VELLUM_RELEASE(lock_);
  // The first that a thread does with its CPU.
  void take_over();
  void add(Thread& thread) VELLUM_REQUIRES(lock_);
  [[nodiscard]] bool is_interrupted(const Thread& thread, Interruptible interruptible) const;

  TimerQueue& timers_;
  void (*const ended_)(Thread&);
  Thread* current_ = nullptr;
  Thread* idle_ = nullptr;
  Thread* previous_ = nullptr;  // between the two halves of a switch
  unsigned ticks_ = 0;          // of the current thread's turn
  std::atomic<bool> turn_is_over_{false};
  std::atomic<unsigned> runnable_{0};
  std::atomic<std::uint64_t> switches_{0};
  Spinlock lock_{LockRank::scheduler};
  IntrusiveList<Thread, &Thread::run_link> queue_ VELLUM_GUARDED_BY(lock_);
};

}  // namespace vellum::unix
