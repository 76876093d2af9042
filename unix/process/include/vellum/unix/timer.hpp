// What is to happen at a time: looked at by every tick of the clock.
#pragma once

#include <vellum/base/intrusive_list.hpp>
#include <vellum/base/lock.hpp>
#include <vellum/unix/types.hpp>

namespace vellum::unix {

// Stands in a TimerQueue while it is set. Its owner cancels it before it ends.
struct Timer {
  // Called once, in the tick after the deadline, with the queue's lock held: takes only locks of a later rank.
  void (*expired)(Timer&) = nullptr;
  Nanoseconds deadline{0};
  ListLink link;
};

class TimerQueue {
 public:
  void set(Timer& timer, Nanoseconds deadline) VELLUM_EXCLUDES(lock_);
  // Afterwards the timer's callback neither runs nor will run. Also of a timer that is not set.
  void cancel(Timer& timer) VELLUM_EXCLUDES(lock_);
  void expire(Nanoseconds now) VELLUM_EXCLUDES(lock_);

 private:
  Spinlock lock_{LockRank::timer};
  IntrusiveList<Timer, &Timer::link> timers_ VELLUM_GUARDED_BY(lock_);  // the earliest first
};

}  // namespace vellum::unix
