#include <vellum/unix/scheduler.hpp>

#include <bit>

#include <vellum/unix/checkpoint.hpp>
#include <vellum/unix/process_system.hpp>
#include <vellum/unix/signals.hpp>
#include <vellum/unix/system_lock.hpp>

namespace vellum::unix {

namespace {

struct SleepTimer : Timer {
  Thread* thread = nullptr;
  Scheduler* scheduler = nullptr;
};

}  // namespace

void Scheduler::run(Thread& idle, PhysicalMemory& memory) {
  constexpr PageCount kZeroedAtOnce{32};
  const unsigned self = here();
  Cpu& cpu = cpus_[self];
  cpu.idle = &idle;
  set_current_thread(idle);
  idle.state = ThreadState::running;
  idle.cpu = self;
  idle.on_cpu.store(true, std::memory_order_relaxed);
  {
    const LockGuard guard(lock_);
    online_ |= bit_of(self);
  }
  for (;;) {
    lock_.lock();
    if (Thread* const next = take_next(self)) {
      switch_to(idle, *next);
      continue;
    }
    idle_ |= bit_of(self);
    lock_.unlock();
    leave_system();
    idle.system.memory.settle();
    (void)memory.prezero(kZeroedAtOnce);
    wait_for_interrupt();
    (void)enter_system();
    const LockGuard guard(lock_);
    idle_ &= ~bit_of(self);
  }
}

// Where a thread is to wait for its turn: with who wakes or makes it, who mostly is about to wait itself. Where it may
// not run there, with those that have nothing to do, or anywhere.
unsigned Scheduler::place_of(const Thread& thread) const {
  const CpuMask allowed = thread.affinity & online_;
  if ((allowed & bit_of(here())) != 0) {
    return here();
  }
  const CpuMask idle = allowed & idle_;
  return static_cast<unsigned>(std::countr_zero(idle != 0 ? idle : allowed));
}

void Scheduler::add(Thread& thread) {
  const unsigned place = machine_.cpu_count() == 1 ? 0 : place_of(thread);
  thread.state = ThreadState::runnable;
  thread.cpu = place;
  Cpu& cpu = cpus_[place];
  cpu.queue.push_back(thread);
  ++cpu.waiting;
  runnable_.fetch_add(1, std::memory_order_relaxed);
  if ((idle_ & bit_of(place)) != 0) {
    idle_ &= ~bit_of(place);
    if (place != here()) {
      call_cpu(place);
    }
  }
}

void Scheduler::take(Thread& thread) {
  Cpu& cpu = cpus_[thread.cpu];
  cpu.queue.remove(thread);
  --cpu.waiting;
  runnable_.fetch_sub(1, std::memory_order_relaxed);
}

// The first of the CPU's own queue; else, of the longest queue, the first that may run here.
Thread* Scheduler::take_next(unsigned self) {
  Cpu& cpu = cpus_[self];
  if (Thread* const own = cpu.queue.pop_front(); own != nullptr) [[likely]] {
    --cpu.waiting;
    runnable_.fetch_sub(1, std::memory_order_relaxed);
    return own;
  }
  if (runnable() == 0) {
    return nullptr;
  }
  Thread* best = nullptr;
  for (CpuMask rest = online_ & ~bit_of(self); rest != 0; rest &= rest - 1) {
    Cpu& other = cpus_[std::countr_zero(rest)];
    if (best != nullptr && other.waiting <= cpus_[best->cpu].waiting) {
      continue;
    }
    for (Thread* thread = other.queue.front(); thread != nullptr; thread = other.queue.next(*thread)) {
      if ((thread->affinity & bit_of(self)) != 0) {
        best = thread;
        break;
      }
    }
  }
  if (best != nullptr) {
    take(*best);
    best->cpu = self;
  }
  return best;
}

void Scheduler::start(Thread& thread) {
  const LockGuard guard(lock_);
  thread.cpu = here();
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
  const unsigned cpu = here();
  Thread* const next = take_next(cpu);
  switch_to(self, next != nullptr ? *next : *cpus_[cpu].idle);
}

void Scheduler::switch_to(Thread& self, Thread& next) {
  Cpu& cpu = cpus_[here()];
  next.state = ThreadState::running;
  lock_.unlock();
  if (&next == &self) {
    cpu.begin_turn();
    return;
  }
  for (unsigned rounds = 0; next.on_cpu.load(std::memory_order_acquire); ++rounds) {
    relax(rounds);
  }
  next.on_cpu.store(true, std::memory_order_relaxed);
  const Nanoseconds now = monotonic_now();
  self.ran.fetch_add((now - self.ran_since).value(), std::memory_order_relaxed);
  next.ran_since = now;
  cpu.previous = &self;
  switches_.fetch_add(1, std::memory_order_relaxed);
  set_current_thread(next);
  switch_thread(self.context, next.context);
  take_over();
}

void Scheduler::take_over() {
  Cpu& cpu = cpus_[here()];
  Thread& previous = *cpu.previous;
  const bool ended = previous.state == ThreadState::ended;
  previous.on_cpu.store(false, std::memory_order_release);
  if (ended) {
    ended_(previous);
  }
  cpu.begin_turn();
  if (current_thread()->interrupted.load(std::memory_order_relaxed)) {
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
  Thread* const self = current_thread();
  VELLUM_CHECK(self != nullptr && self != cpus_[self->cpu].idle);
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
  Thread& self = *current_thread();
  const unsigned cpu = here();
  lock_.lock();
  ++self.involuntary_switches;
  // Before the thread itself stands in a queue: otherwise it would be next where only others' queues hold anybody.
  Thread* next = take_next(cpu);
  if (next == nullptr) {
    next = (self.affinity & bit_of(cpu)) != 0 ? &self : cpus_[cpu].idle;
  }
  if (next != &self) {
    add(self);
  }
  switch_to(self, *next);
}

void Scheduler::exit_current() {
  lock_.lock();
  Thread& self = *current_thread();
  self.state = ThreadState::ended;
  switch_from(self);
  panic("an ended thread runs");
}

void Scheduler::unblock(Thread& thread) {
  const LockGuard guard(lock_);
  if (thread.state == ThreadState::blocked) {
    add(thread);
  }
}

void Scheduler::notice(Thread& thread) {
  if (&thread == current_thread()) {
    request_attention();
  } else if (thread.on_cpu.load(std::memory_order_acquire)) {
    call_cpu(thread.cpu);
  }
}

void Scheduler::set_affinity(Thread& thread, CpuMask cpus) {
  const LockGuard guard(lock_);
  thread.affinity = cpus;
  if ((cpus & bit_of(thread.cpu)) != 0) {
    return;
  }
  if (thread.state == ThreadState::runnable) {
    take(thread);
    add(thread);
  } else if (thread.state == ThreadState::running) {
    cpus_[thread.cpu].turn_is_over.store(true, std::memory_order_release);
    notice(thread);
  }
}

void Scheduler::called() {
  const Thread* const thread = current_thread();
  if (thread != nullptr && (thread->interrupted.load(std::memory_order_acquire) || turn_is_over())) {
    request_attention();
  }
}

// Tells those that have nothing to do that somebody waits here.
void Scheduler::offer() {
  const LockGuard guard(lock_);
  unsigned waiting = cpus_[here()].waiting;
  for (CpuMask rest = idle_ & ~bit_of(here()); rest != 0 && waiting != 0; rest &= rest - 1) {
    call_cpu(static_cast<unsigned>(std::countr_zero(rest)));
    --waiting;
  }
}

void Scheduler::tick() {
  Cpu& cpu = cpus_[here()];
  if (current_thread() == cpu.idle) {
    return;
  }
  if (machine_.cpu_count() > 1) {
    offer();
  }
  cpu.busy_ticks.store(cpu.busy_ticks.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  if (++cpu.ticks >= kSliceTicks && runnable() != 0) {
    cpu.turn_is_over.store(true, std::memory_order_relaxed);
    request_attention();
  }
}

// The port of unix/sync, but for current_thread(), which the processor part knows.

namespace {
constinit Scheduler* port_scheduler = nullptr;
}

void install_scheduler(Scheduler& scheduler) { port_scheduler = &scheduler; }

Wakeup block_current(const std::atomic<bool>& woken, Interruptible interruptible, std::optional<Nanoseconds> deadline) {
  return port_scheduler->block(woken, interruptible, deadline);
}

void unblock(Thread& thread) { port_scheduler->unblock(thread); }

bool checkpoint() {
  let_interrupts_in();
  if (port_scheduler->turn_is_over()) {
    const InSystem in_system;
    port_scheduler->yield();
  }
  return !must_end(*current_thread());
}

void on_call() { port_scheduler->called(); }

}  // namespace vellum::unix
