#include <vellum/unix/memory_pressure.hpp>

#include <algorithm>
#include <limits>

#include <vellum/unix/lifecycle.hpp>
#include <vellum/unix/memory_account.hpp>
#include <vellum/unix/signals.hpp>
#include <vellum/unix/system_lock.hpp>

namespace vellum::unix {

namespace {

PageCount held_by(const Process& process) {
  if (process.program == nullptr) {
    return PageCount(0);
  }
  const Space::Residence residence = process.program->space.residence();
  return residence.pages + residence.tables;
}

// A process that is about to give its memory back: nobody else needs to.
Process* find_dying(ProcessSystem& system) VELLUM_REQUIRES(process_lock) {
  Process* dying = nullptr;
  system.for_each_process([&](Process& process) {
    process_lock.assert_held();
    if (process.exiting && process.state == ProcessState::alive) {
      dying = &process;
    }
  });
  return dying;
}

struct Victim {
  Process* process = nullptr;
  PageCount held{0};
  std::int64_t badness = 0;
};

Victim find_largest(ProcessSystem& system) VELLUM_REQUIRES(process_lock) {
  Victim largest;
  const PageCount total = system.memory.memory.total_count();
  system.for_each_process([&](Process& process) {
    process_lock.assert_held();
    if (process.state != ProcessState::alive || process.exiting || process.unkillable) {
      return;
    }
    const PageCount held = held_by(process);
    const std::int64_t badness = oom_badness(held, process.oom_adjustment, total);
    if (largest.process == nullptr || badness >= largest.badness) {  // of equals the youngest
      largest = {.process = &process, .held = held, .badness = badness};
    }
  });
  return largest;
}

Verdict verdict_of(const Process& process, PageCount held, Verdict::Reason reason, unsigned count) {
  return {.reason = reason,
          .process = process.id,
          .name = process.name,
          .resident = held,
          .total = process.system.memory.memory.total_count(),
          .processes = count};
}

}  // namespace

std::int64_t oom_badness(PageCount held, std::int16_t adjustment, PageCount total) {
  if (adjustment == kNeverForMemory) {
    return std::numeric_limits<std::int64_t>::min();
  }
  return static_cast<std::int64_t>(held.value()) + static_cast<std::int64_t>(total.value() / 1000) * adjustment;
}

void relieve_memory() {
  constexpr PageCount kAtOnce{256};
  Thread& self = this_thread();
  ProcessSystem& system = self.system;
  const PhysicalMemory& memory = system.memory.memory;
  const PageCount free_before = memory.free_count();
  system.memory.settle();
  if (memory.free_count() >= free_before + kAtOnce || !system.files.reclaim(kAtOnce).is_zero()) {
    return;  // that, or files that can be read again
  }
  process_lock.lock();
  const bool is_one_dying = find_dying(system) != nullptr;
  const std::uint64_t ended_before = system.ended_for_memory;
  process_lock.unlock();
  const MemoryAccount account = is_one_dying ? MemoryAccount() : take_memory_account();
  if (memory.free_count() >= free_before + kAtOnce) {
    return;  // the account took its time, and somebody ended meanwhile
  }
  std::optional<Verdict> verdict;
  char name[sizeof(Process::name)] = {};
  {
    const LockGuard guard(process_lock);
    if (find_dying(system) == nullptr && system.ended_for_memory == ended_before) {
      if (const Victim victim = find_largest(system); victim.process != nullptr) {
        std::copy(std::begin(victim.process->name), std::end(victim.process->name), name);
        verdict = verdict_of(*victim.process, victim.held, Verdict::Reason::out_of_memory, 1);
        verdict->name = name;
        verdict->account = account.processes > 0 ? &account : nullptr;
        ++system.ended_for_memory;
        kill_process(*victim.process);
      }
    }
  }
  if (verdict) {
    system.reporter.verdict(*verdict);
  }
  if (self.process != nullptr && self.dying.load(std::memory_order_acquire)) {
    return;
  }
  // Until the dying one is gone, or at least had time.
  const std::atomic<bool> never{false};
  (void)block_current(never, Interruptible::by_death, monotonic_now() + kTickLength);
}

namespace {

// Descendants of `root`, itself included, that live.
unsigned count_family(Process& root) VELLUM_REQUIRES(process_lock) {
  unsigned count = 0;
  for (Process* process = &root; process != nullptr;) {
    count += process->state == ProcessState::alive ? 1U : 0U;
    Process* next = process->children.front();
    while (next == nullptr && process != &root) {
      next = process->parent->children.next(*process);
      process = process->parent;
    }
    process = next;
  }
  return count;
}

template <class Visitor>
void for_each_in_family(Process& root, Visitor visit) VELLUM_REQUIRES(process_lock) {
  for (Process* process = &root; process != nullptr;) {
    visit(*process);
    Process* next = process->children.front();
    while (next == nullptr && process != &root) {
      next = process->parent->children.next(*process);
      process = process->parent;
    }
    process = next;
  }
}

// The deepest process that more than half of all descend from.
Process* find_bomb(ProcessSystem& system, unsigned all) VELLUM_REQUIRES(process_lock) {
  Process* bomb = nullptr;
  for (Process* process = system.first_process(); process != nullptr;) {
    Process* heavy = nullptr;
    for (Process* child = process->children.front(); child != nullptr; child = process->children.next(*child)) {
      if (count_family(*child) * 2 > all) {
        heavy = child;
        break;
      }
    }
    if (heavy == nullptr) {
      break;
    }
    process = bomb = heavy;
  }
  return bomb;
}

}  // namespace

void relieve_threads(ProcessSystem& system) {
  std::optional<Verdict> verdict;
  char name[sizeof(Process::name)] = {};
  {
    const LockGuard guard(process_lock);
    Process* const first = system.first_process();
    if (first == nullptr || find_dying(system) != nullptr) {
      return;
    }
    const unsigned all = count_family(*first);
    Process* bomb = find_bomb(system, all);
    if (bomb == nullptr && !first->unkillable && all * 2 > system.most_threads) {
      bomb = first;  // the first process makes them itself, or their parents have all gone
    }
    if (bomb == nullptr) {
      return;
    }
    const unsigned count = count_family(*bomb);
    std::copy(std::begin(bomb->name), std::end(bomb->name), name);
    verdict = verdict_of(*bomb, PageCount(0), Verdict::Reason::too_many_processes, count);
    verdict->name = name;
    for_each_in_family(*bomb, [](Process& process) {
      process_lock.assert_held();
      kill_process(process);
    });
  }
  system.reporter.verdict(*verdict);
}

void note_refusal(PageCount pages) {
  if (Thread& thread = this_thread(); thread.process != nullptr) {
    thread.refused_promise = pages;
  }
}

void report_refusal() {
  Thread& thread = this_thread();
  const PageCount refused = thread.refused_promise;
  thread.refused_promise = PageCount(0);
  ProcessSystem& system = thread.system;
  if (refused.is_zero() || system.has_told_of_budget.exchange(true, std::memory_order_relaxed)) {
    return;
  }
  const InSystem in_system;
  const MemoryAccount account = take_memory_account();
  char name[sizeof(Process::name)] = {};
  Verdict verdict;
  {
    const LockGuard guard(process_lock);
    std::copy(std::begin(thread.process->name), std::end(thread.process->name), name);
    verdict = verdict_of(*thread.process, refused, Verdict::Reason::over_budget, 0);
  }
  verdict.name = name;
  verdict.total = system.memory.objects.commitment().budget();
  verdict.account = &account;
  system.reporter.verdict(verdict);
}

}  // namespace vellum::unix
