// System calls as such, processes, and what passes between them.

#include <signal.h>
#include <unistd.h>

#include <array>

#include "metrics.hpp"

namespace vellum::bench {
namespace {

Samples empty_call() {
  Samples samples(1001);
  for (int round = 0; round < 1001; ++round) {
    samples.add(count([] { call(SYS_getppid); }));
  }
  return samples;
}

void reap(Word pid) { must("wait4", call(SYS_wait4, pid, 0, 0, 0)); }

// fork, with that much touched memory; of the parent's side alone or together with the child's exit and the wait for
// it.
enum class Until : bool { parent_returns, child_is_reaped };

Samples fork_with(std::size_t bytes, Until until, int rounds) {
  Samples samples(static_cast<std::size_t>(rounds));
  if (bytes != 0) {
    touch(must("mmap", map(bytes)), bytes);
  }
  for (int round = 0; round < rounds; ++round) {
    const auto begin = ticks();
    const Word pid = call(SYS_fork);
    if (pid == 0) {
      call(SYS_exit_group, 0);
    }
    auto end = ticks();
    reap(must("fork", pid));
    if (until == Until::child_is_reaped) {
      end = ticks();
    }
    samples.add(end - begin - kReading);
  }
  return samples;
}

Samples fork_small() { return fork_with(0, Until::parent_returns, 31); }
Samples fork_256_megabytes() { return fork_with(256 * kMegabyte, Until::parent_returns, 5); }
Samples fork_exit_wait_small() { return fork_with(0, Until::child_is_reaped, 31); }
Samples fork_exit_wait_1_megabyte() { return fork_with(kMegabyte, Until::child_is_reaped, 31); }
Samples fork_exit_wait_64_megabytes() { return fork_with(64 * kMegabyte, Until::child_is_reaped, 11); }
Samples fork_exit_wait_256_megabytes() { return fork_with(256 * kMegabyte, Until::child_is_reaped, 5); }

enum class Start : bool { by_vfork, by_fork };

// From vfork or fork to the end of the wait, with what the program itself does.
Samples execute(const char* program, Start start = Start::by_vfork) {
  constexpr int kRounds = 31;
  Samples samples(kRounds);
  const char* arguments[] = {program, "--exit", nullptr};
  const char* environment[] = {nullptr};
  if (const Word found = call(SYS_access, reinterpret_cast<Word>(program), X_OK); failed(found)) {
    give_up(program, found);
  }
  for (int round = 0; round < kRounds; ++round) {
    const auto begin = ticks();
    const pid_t pid = start == Start::by_vfork ? ::vfork() : static_cast<pid_t>(call(SYS_fork));
    if (pid == 0) {
      call(SYS_execve, reinterpret_cast<Word>(program), reinterpret_cast<Word>(arguments),
           reinterpret_cast<Word>(environment));
      call(SYS_exit_group, 1);
    }
    int status = 0;
    must("vfork", pid);
    must("wait4", call(SYS_wait4, pid, reinterpret_cast<Word>(&status), 0, 0));
    samples.add(ticks() - begin - kReading);
    if (status != 0) {
      give_up("execve", -status);
    }
  }
  return samples;
}

Samples execute_glibc() { return execute("/init"); }
Samples fork_execute_glibc() { return execute("/init", Start::by_fork); }
Samples execute_tiny() { return execute("/exit"); }

Samples pipe_round_trip() {
  constexpr int kRounds = 201;
  Samples samples(kRounds);
  int there[2];
  int back[2];
  must("pipe", call(SYS_pipe, reinterpret_cast<Word>(there)));
  must("pipe", call(SYS_pipe, reinterpret_cast<Word>(back)));
  const Word pid = must("fork", call(SYS_fork));
  char byte = 1;
  const auto data = reinterpret_cast<Word>(&byte);
  if (pid == 0) {
    call(SYS_close, there[1]);
    while (call(SYS_read, there[0], data, 1) == 1) {
      call(SYS_write, back[1], data, 1);
    }
    call(SYS_exit_group, 0);
  }
  call(SYS_close, there[0]);
  for (int round = 0; round < kRounds; ++round) {
    samples.add(count([&] {
      call(SYS_write, there[1], data, 1);
      call(SYS_read, back[0], data, 1);
    }));
  }
  call(SYS_close, there[1]);
  reap(pid);
  return samples;
}

constexpr std::array kMetrics{
    Metric{"empty_call", empty_call},
    Metric{"fork_small", fork_small},
    Metric{"fork_256_megabytes", fork_256_megabytes},
    Metric{"fork_exit_wait_small", fork_exit_wait_small},
    Metric{"fork_exit_wait_1_megabyte", fork_exit_wait_1_megabyte},
    Metric{"fork_exit_wait_64_megabytes", fork_exit_wait_64_megabytes},
    Metric{"fork_exit_wait_256_megabytes", fork_exit_wait_256_megabytes},
    Metric{"execute_tiny", execute_tiny},
    Metric{"execute_glibc", execute_glibc},
    Metric{"fork_execute_glibc", fork_execute_glibc},
    Metric{"pipe_round_trip", pipe_round_trip},
};

}  // namespace

std::span<const Metric> process_metrics() { return kMetrics; }

}  // namespace vellum::bench
