// Who runs.
//
// Each CPU has a queue of runnable threads, taken in turn; a thread that computes gives up its CPU after kSliceTicks if
// anybody waits. A thread that wakes stands in the queue of the CPU that wakes it, which mostly is about to wait
// itself; if it still stands there at the next tick, a CPU that sleeps is told. A CPU whose queue is empty takes from
// the longest of the others'; one that finds nothing runs its idle thread, which is the code that called run(), and
// sleeps. A thread that was switched away from is on its CPU until the next thread has taken over the stack: only then
// may another CPU run it, or its memory be given back.
//
// Locks: lock_ (rank scheduler): the queues, which CPUs are idle, the threads' states. Not held across a switch.
#pragma once

#include <atomic>
#include <bit>
#include <optional>

#include <vellum/base/intrusive_list.hpp>
#include <vellum/base/lock.hpp>
#include <vellum/phys/physical_memory.hpp>
#include <vellum/unix/thread.hpp>
#include <vellum/unix/timer.hpp>
#include <vellum/unix/wait_queue.hpp>

namespace vellum::unix {

// A bit for each CPU.
using CpuMask = std::uint32_t;
static_assert(kMostCpus <= 32);

class Scheduler {
 public:
  static constexpr unsigned kSliceTicks = 3;

  // `ended` gives back the memory of a thread that exit_current() ended.
  Scheduler(const Machine& machine, TimerQueue& timers, void (*ended)(Thread&))
      : machine_(machine), timers_(timers), ended_(ended) {}
  Scheduler(const Scheduler&) = delete;
  Scheduler& operator=(const Scheduler&) = delete;

  // Runs threads on the calling CPU, which is in the system and whose code becomes its idle thread.
  [[noreturn]] void run(Thread& idle, PhysicalMemory& memory) VELLUM_EXCLUDES(lock_);
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
  // A thread has something to do before it goes on in user mode: wherever it runs, it is interrupted.
  void notice(Thread& thread);
  // The CPUs on which a thread may run from now on, at least one that is online. Where it runs elsewhere it moves soon.
  void set_affinity(Thread& thread, CpuMask cpus) VELLUM_EXCLUDES(lock_);

  // Another CPU interrupts this one: see call_cpu().
  void called();
  // From the timer's interrupt.
  void tick() VELLUM_EXCLUDES(lock_);
  // Whether the calling thread has had its turn.
  [[nodiscard]] bool turn_is_over() const { return cpus_[here()].turn_is_over.load(std::memory_order_relaxed); }
  [[nodiscard]] std::uint64_t switches() const { return switches_.load(std::memory_order_relaxed); }
  // Threads that wait for their turn, for the load of the system.
  [[nodiscard]] unsigned runnable() const { return runnable_.load(std::memory_order_relaxed); }
  // CPUs that have something to run.
  [[nodiscard]] unsigned running() const VELLUM_EXCLUDES(lock_) {
    const LockGuard guard(lock_);
    return static_cast<unsigned>(std::popcount(online_ & ~idle_));
  }
  // CPUs that take part.
  [[nodiscard]] CpuMask online() const VELLUM_EXCLUDES(lock_) {
    const LockGuard guard(lock_);
    return online_;
  }
  // Whether the calling CPU is the one that keeps the time for all.
  [[nodiscard]] bool keeps_time() const { return here() == 0; }
  // Ticks that found a CPU at work.
  [[nodiscard]] std::uint64_t busy_ticks(unsigned cpu) const {
    return cpus_[cpu].busy_ticks.load(std::memory_order_relaxed);
  }

  [[nodiscard]] static constexpr CpuMask bit_of(unsigned cpu) { return CpuMask{1} << cpu; }

 private:
  // The queue and `waiting` are guarded by lock_; the rest is the CPU's own.
  struct alignas(kCacheLine) Cpu {
    IntrusiveList<Thread, &Thread::run_link> queue;
    unsigned waiting = 0;  // threads in the queue
    unsigned ticks = 0;    // of the current thread's turn
    Thread* idle = nullptr;
    Thread* previous = nullptr;  // between the two halves of a switch
    std::atomic<bool> turn_is_over{false};
    std::atomic<std::uint64_t> busy_ticks{0};

    void begin_turn() {
      ticks = 0;
      turn_is_over.store(false, std::memory_order_relaxed);
    }
  };

  // Runs the next thread in place of `self`, which the caller gave its new state. Takes the lock over.
  void switch_from(Thread& self) VELLUM_RELEASE(lock_);
  void switch_to(Thread& self, Thread& next) VELLUM_RELEASE(lock_);
  // The first that a thread does with its CPU.
  void take_over();
  void add(Thread& thread) VELLUM_REQUIRES(lock_);
  void take(Thread& thread) VELLUM_REQUIRES(lock_);
  [[nodiscard]] Thread* take_next(unsigned self) VELLUM_REQUIRES(lock_);
  [[nodiscard]] unsigned place_of(const Thread& thread) const VELLUM_REQUIRES(lock_);
  void offer() VELLUM_EXCLUDES(lock_);
  [[nodiscard]] bool is_interrupted(const Thread& thread, Interruptible interruptible) const;

  // The calling CPU.
  [[nodiscard]] unsigned here() const { return machine_.current_cpu().value(); }

  const Machine& machine_;
  TimerQueue& timers_;
  void (*const ended_)(Thread&);
  std::atomic<unsigned> runnable_{0};
  std::atomic<std::uint64_t> switches_{0};
  mutable Spinlock lock_{LockRank::scheduler};
  CpuMask online_ VELLUM_GUARDED_BY(lock_) = 1;  // the boot CPU, before it runs threads
  CpuMask idle_ VELLUM_GUARDED_BY(lock_) = 0;
  Cpu cpus_[kMostCpus];
};

}  // namespace vellum::unix
