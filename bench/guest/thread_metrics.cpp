// Threads, and what passes between two of them on one processor: words that they wait for, turns, signals.

#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <atomic>

#include "metrics.hpp"

namespace vellum::bench {
namespace {

using FutexWord = std::atomic<std::uint32_t>;
static_assert(sizeof(FutexWord) == sizeof(std::uint32_t));

Word futex(FutexWord& word, int operation, Word value) {
  return call(SYS_futex, reinterpret_cast<Word>(&word), operation, value);
}
Word wait_while(FutexWord& word, std::uint32_t value) { return futex(word, FUTEX_WAIT_PRIVATE, value); }
Word wake(FutexWord& word) { return futex(word, FUTEX_WAKE_PRIVATE, 1); }

pthread_t create_thread(void* (*body)(void*), void* argument) {
  pthread_t thread;
  must("pthread_create", -::pthread_create(&thread, nullptr, body, argument));
  return thread;
}

void* do_nothing(void*) { return nullptr; }

// In the steady state, in which the C library gives the new thread the stack of the one before.
Samples thread_create_join() {
  constexpr int kRounds = 101;
  Samples samples(kRounds);
  for (int round = -2; round < kRounds; ++round) {
    const auto spent = count([] { ::pthread_join(create_thread(do_nothing, nullptr), nullptr); });
    if (round >= 0) {
      samples.add(spent);
    }
  }
  return samples;
}

Samples futex_wake() {
  Samples samples(1001);
  FutexWord word{0};
  for (int round = 0; round < 1001; ++round) {
    samples.add(count([&] { wake(word); }));
  }
  return samples;
}

// Two threads, of which each sleeps until the other has written its word.
struct Exchange {
  static constexpr std::uint32_t kOver = ~std::uint32_t{0};
  FutexWord there{0};
  FutexWord back{0};
};

void await_change(FutexWord& word, std::uint32_t old) {
  while (word.load(std::memory_order_acquire) == old) {
    wait_while(word, old);
  }
}

void* answer(void* argument) {
  auto& exchange = *static_cast<Exchange*>(argument);
  for (std::uint32_t seen = 0;; ++seen) {
    await_change(exchange.there, seen);
    if (exchange.there.load(std::memory_order_relaxed) == Exchange::kOver) {
      return nullptr;
    }
    exchange.back.store(seen + 1, std::memory_order_release);
    wake(exchange.back);
  }
}

Samples futex_round_trip() {
  constexpr std::uint32_t kRounds = 201;
  Samples samples(kRounds);
  Exchange exchange;
  const pthread_t other = create_thread(answer, &exchange);
  for (std::uint32_t round = 0; round < kRounds; ++round) {
    samples.add(count([&] {
      exchange.there.store(round + 1, std::memory_order_release);
      wake(exchange.there);
      await_change(exchange.back, round);
    }));
  }
  exchange.there.store(Exchange::kOver, std::memory_order_release);
  wake(exchange.there);
  ::pthread_join(other, nullptr);
  return samples;
}

// Under Linux's usual policy sched_yield seldom gives the processor away; among threads of one fixed priority it does.
// A kernel that has no such policy may refuse: it is the switch that counts.
void take_turns() {
  const sched_param parameters{.sched_priority = 1};
  call(SYS_sched_setscheduler, 0, SCHED_FIFO, reinterpret_cast<Word>(&parameters));
}

void* yield_until(void* argument) {
  while (!static_cast<std::atomic<bool>*>(argument)->load(std::memory_order_relaxed)) {
    call(SYS_sched_yield);
  }
  return nullptr;
}

// Each round is two switches: to the other thread and back.
Samples thread_switch() {
  constexpr int kRounds = 201;
  Samples samples(kRounds, 2);
  take_turns();
  std::atomic<bool> over{false};
  const pthread_t other = create_thread(yield_until, &over);
  call(SYS_sched_yield);
  for (int round = 0; round < kRounds; ++round) {
    samples.add(count([] { call(SYS_sched_yield); }));
  }
  over.store(true, std::memory_order_relaxed);
  ::pthread_join(other, nullptr);
  return samples;
}

// The same between two processes, with a switch of spaces.
Samples process_switch() {
  constexpr int kRounds = 201;
  Samples samples(kRounds, 2);
  take_turns();
  auto& over = *reinterpret_cast<std::atomic<bool>*>(must("mmap", map(kPage, kReadWrite, MAP_SHARED | MAP_ANONYMOUS)));
  over.store(false, std::memory_order_relaxed);
  const Word pid = must("fork", call(SYS_fork));
  if (pid == 0) {
    yield_until(&over);
    call(SYS_exit_group, 0);
  }
  call(SYS_sched_yield);
  for (int round = 0; round < kRounds; ++round) {
    samples.add(count([] { call(SYS_sched_yield); }));
  }
  over.store(true, std::memory_order_relaxed);
  must("wait4", call(SYS_wait4, pid, 0, 0, 0));
  return samples;
}

void handle(int) {}

Samples signal_round_trip() {
  constexpr int kRounds = 201;
  Samples samples(kRounds);
  struct sigaction action{};
  action.sa_handler = handle;
  must("sigaction", -::sigaction(SIGUSR1, &action, nullptr));
  const Word process = call(SYS_getpid);
  const Word thread = call(SYS_gettid);
  for (int round = 0; round < kRounds; ++round) {
    samples.add(count([&] { call(SYS_tgkill, process, thread, SIGUSR1); }));
  }
  return samples;
}

constexpr std::array kMetrics{
    Metric{"thread_create_join", thread_create_join}, Metric{"futex_wake", futex_wake},
    Metric{"futex_round_trip", futex_round_trip},     Metric{"thread_switch", thread_switch},
    Metric{"process_switch", process_switch},         Metric{"signal_round_trip", signal_round_trip},
};

}  // namespace

std::span<const Metric> thread_metrics() { return kMetrics; }

}  // namespace vellum::bench
