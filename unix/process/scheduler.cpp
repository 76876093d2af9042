#include <vellum/unix/scheduler.hpp>

#include <vellum/unix/process_system.hpp>

namespace vellum::unix {

namespace {

struct SleepTimer : Timer {
  Thread* thread = nullptr;
  Scheduler* scheduler = nullptr;
};

}  // namespace

void Scheduler::run(Thread& idle, PhysicalMemory& memory) {
  idle_ = current_ = &idle;
  idle.state = ThreadState::running;
  idle.on_cpu.store(true, std::memory_order_relaxed);
  constexpr PageCount kZeroedAtOnce{32};
  for (;;) {
    if (runnable() != 0) {
      lock_.lock();
      switch_from(idle);
      continue;
    }
    (void)memory.prezero(kZeroedAtOnce);
    wait_for_interrupt();
  }
}

void Scheduler::add(Thread& thread) {
  thread.state = ThreadState::runnable;
  queue_.push_back(thread);
  runnable_.fetch_add(1, std::memory_order_relaxed);
}

void Scheduler::start(Thread& thread) {
  const LockGuard guard(lock_);
  add(thread);
}

void Scheduler::entry(void* argument) {
  auto& thread = *static_cast<Thread*>(argument);
  Scheduler& scheduler = thread.system.scheduler;
  scheduler.take_over();
  thread.body(thread);
  scheduler.exit_current();
}

void Scheduler::switch_from(Thread& self) {
  Thread* next = queue_.pop_front();
  if (next != nullptr) {
    runnable_.fetch_sub(1, std::memory_order_relaxed);
  } else {
    next = idle_;
  }
  next->state = ThreadState::running;
  if (next == &self) {
    lock_.unlock();
    ticks_ = 0;
    turn_is_over_.store(false, std::memory_order_relaxed);
    return;
  }
  lock_.unlock();
  for (unsigned rounds = 0; next->on_cpu.load(std::memory_order_acquire); ++rounds) {
    relax(rounds);
  }
  next->on_cpu.store(true, std::memory_order_relaxed);
  const Nanoseconds now = monotonic_now();
  self.ran.fetch_add((now - self.ran_since).value(), std::memory_order_relaxed);
  next->ran_since = now;
  previous_ = &self;
  switches_.fetch_add(1, std::memory_order_relaxed);
  current_ = next;
  switch_thread(self.context, next->context);
  take_over();
}

void Scheduler::take_over() {
  Thread& previous = *previous_;
  const bool ended = previous.state == ThreadState::ended;
  previous.on_cpu.store(false, std::memory_order_release);
  if (ended) {
    ended_(previous);
  }
  ticks_ = 0;
  turn_is_over_.store(false, std::memory_order_relaxed);
  if (current_->interrupted.load(std::memory_order_relaxed)) {
    request_attention();
  }
}

bool Scheduler::is_interrupted(const Thread& thread, Interruptible interruptible) const {
  switch (interruptible) {
    case Interruptible::no:
      return false;
    case Interruptible::yes:
      return thread.interrupted.load(std::memory_order_acquire);
    case Interruptible::by_death:
      return thread.dying.load(std::memory_order_acquire);
  }
  return false;
}

Wakeup Scheduler::block(const std::atomic<bool>& woken, Interruptible interruptible,
                        std::optional<Nanoseconds> deadline) {
  Thread* const self = current_;
  VELLUM_CHECK(self != nullptr && self != idle_);
  SleepTimer timer;
  if (deadline) {
    timer.thread = self;
    timer.scheduler = this;
    timer.expired = [](Timer& expired) {
      auto& sleep = static_cast<SleepTimer&>(expired);
      sleep.scheduler->unblock(*sleep.thread);
    };
    timers_.set(timer, *deadline);
  }
  Wakeup why = Wakeup::woken;
  for (;;) {
    lock_.lock();
    if (woken.load(std::memory_order_acquire)) {
      break;
    }
    if (is_interrupted(*self, interruptible)) {
      why = Wakeup::signal;
      break;
    }
    if (deadline && monotonic_now() >= *deadline) {
      why = Wakeup::timeout;
      break;
    }
    self->state = ThreadState::blocked;
    ++self->voluntary_switches;
    switch_from(*self);
  }
  lock_.unlock();
  if (deadline) {
    timers_.cancel(timer);
  }
  return why;
}

void Scheduler::yield() {
  Thread& self = *current_;
  lock_.lock();
  ++self.involuntary_switches;
  add(self);
  switch_from(self);
}

void Scheduler::exit_current() {
  lock_.lock();
  current_->state = ThreadState::ended;
  switch_from(*current_);
  panic("an ended thread runs");
}

void Scheduler::unblock(Thread& thread) {
  const LockGuard guard(lock_);
  if (thread.state == ThreadState::blocked) {
    add(thread);
  }
}

void Scheduler::tick() {
  if (current_ == idle_ || ++ticks_ < kSliceTicks) {
    return;
  }
  if (runnable() != 0) {
    turn_is_over_.store(true, std::memory_order_relaxed);
    request_attention();
  }
}

// The port of unix/sync.

namespace {
constinit Scheduler* port_scheduler = nullptr;
}

void install_scheduler(Scheduler& scheduler) { port_scheduler = &scheduler; }

Thread* current_thread() { return port_scheduler == nullptr ? nullptr : port_scheduler->current(); }

Wakeup block_current(const std::atomic<bool>& woken, Interruptible interruptible, std::optional<Nanoseconds> deadline) {
  return port_scheduler->block(woken, interruptible, deadline);
}

void unblock(Thread& thread) { port_scheduler->unblock(thread); }

}  // namespace vellum::unix
