// Threads and processes that meet across processors: placing, signals, locks, ends.
#include <sys/wait.h>

#include <csignal>
#include <cstring>

#include "../support/memory.hpp"
#include "../support/process.hpp"
#include "crew.hpp"
#include "roles.hpp"

namespace guest {
namespace {

CASE("processors", "a thread runs where it is told to") {
  for (int round = 0; round < 20; round++) {
    for (const int cpu : processors()) {
      in_child([cpu] {
        stay_on(cpu);
        EXPECT_EQ(sched_getcpu(), cpu);
        EXPECT_EQ(processors().size(), 1);
      });
    }
  }
}

CASE("processors", "another's thread moves while it computes") {
  const std::vector<int> cpus = processors();
  auto* const where = reinterpret_cast<volatile int*>(map(kPage, kReadWrite, kShared));
  const pid_t child = start_child([where] {
    for (;;) {
      *where = sched_getcpu();
    }
  });
  for (int round = 0; round < 3; round++) {
    for (const int cpu : cpus) {
      cpu_set_t set;
      CPU_ZERO(&set);
      CPU_SET(cpu, &set);
      MUST(sched_setaffinity(child, sizeof set, &set));
      while (*where != cpu) {
        sched_yield();
      }
    }
  }
  MUST(kill(child, SIGKILL));
  EXPECT_EQ(status_of(child), SIGKILL);
}

CASE("processors", "threads that count under a mutex lose nothing") {
  static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
  static int total;
  static std::atomic<int> expected;
  {
    Crew crew([](int) {
      pthread_mutex_lock(&mutex);
      total++;
      pthread_mutex_unlock(&mutex);
      expected++;
    });
    for_a_while([](int) {
      pthread_mutex_lock(&mutex);
      total++;
      pthread_mutex_unlock(&mutex);
      expected++;
    });
  }
  EXPECT_EQ(total, expected.load());
}

CASE("processors", "threads are made and joined") {
  for_a_while([](int round) {
    constexpr int kThreads = 6;
    pthread_t threads[kThreads];
    static std::atomic<int> ran;
    ran = 0;
    for (pthread_t& thread : threads) {
      EXPECT_EQ(pthread_create(
                    &thread, nullptr,
                    [](void*) -> void* {
                      ran++;
                      return nullptr;
                    },
                    nullptr),
                0);
    }
    for (const pthread_t thread : threads) {
      EXPECT_EQ(pthread_join(thread, nullptr), 0);
    }
    EXPECT_EQ(ran.load(), kThreads);
    EXPECT(round > 0);
  });
}

CASE("processors", "a signal reaches a thread that computes elsewhere") {
  static std::atomic<int> caught;
  static std::atomic<bool> ends;
  struct sigaction action = {};
  action.sa_handler = [](int) { caught++; };
  MUST(sigaction(SIGUSR1, &action, nullptr));
  const std::vector<int> cpus = processors();
  pthread_t thread;
  static int cpu;
  cpu = cpus.back();
  EXPECT_EQ(pthread_create(
                &thread, nullptr,
                [](void*) -> void* {
                  stay_on(cpu);
                  while (!ends.load(std::memory_order_relaxed)) {
                  }
                  return nullptr;
                },
                nullptr),
            0);
  stay_on(cpus.front());
  for (int sent = 1; sent <= 100; sent++) {
    EXPECT_EQ(pthread_kill(thread, SIGUSR1), 0);
    while (caught.load() < sent) {
      sched_yield();
    }
  }
  ends = true;
  EXPECT_EQ(pthread_join(thread, nullptr), 0);
}

CASE("processors", "a process ends while its threads compute elsewhere") {
  for_a_while([](int round) {
    const pid_t child = start_child([round] {
      static volatile int words[64 * 16];
      Crew crew([](int number) { words[16 * number] = words[16 * number] + 1; });
      if (round % 2 == 0) {
        pause();
      }
      _exit(7);
    });
    if (round % 2 == 0) {
      linger();
      MUST(kill(child, SIGKILL));
    }
    const int status = status_of(child);
    EXPECT_EQ(status, round % 2 == 0 ? SIGKILL : 7 << 8);
  });
}

CASE("processors", "exec ends the threads that compute elsewhere, and nothing of them remains") {
  for_a_while([](int) {
    in_child([] {
      char* const page = map(kPage, kReadWrite, kPrivate | MAP_FIXED_NOREPLACE, -1, 0, pointer_to(kExecPage));
      auto* const words = reinterpret_cast<volatile int*>(page);
      Crew crew([words](int number) { words[16 * number] = words[16 * number] + 1; });
      execute_role("after_exec");
    });
  });
}

CASE("processors", "exec by another thread than the first") {
  for_a_while([](int) {
    in_child([] {
      map(kPage, kReadWrite, kPrivate | MAP_FIXED_NOREPLACE, -1, 0, pointer_to(kExecPage));
      pthread_t thread;
      EXPECT_EQ(pthread_create(&thread, nullptr, [](void*) -> void* { execute_role("after_exec"); }, nullptr), 0);
      for (;;) {
      }
    });
  });
}

CASE("processors", "bytes through pipes between processors arrive in order") {
  int ends[2];
  MUST(pipe(ends));
  constexpr int kBytes = 200000;
  const pid_t child = start_child([&] {
    close(ends[0]);
    char bytes[777];
    for (int sent = 0; sent < kBytes;) {
      const int size = std::min<int>(sizeof bytes, kBytes - sent);
      for (int i = 0; i < size; i++) {
        bytes[i] = static_cast<char>((sent + i) % 251);
      }
      sent += static_cast<int>(MUST(write(ends[1], bytes, static_cast<std::size_t>(size))));
    }
  });
  close(ends[1]);
  char bytes[1000];
  int got = 0;
  for (ssize_t size = 0; (size = read(ends[0], bytes, sizeof bytes)) > 0;) {
    for (ssize_t i = 0; i < size; i++) {
      EXPECT_EQ(bytes[i], static_cast<char>(got++ % 251));
    }
  }
  EXPECT_EQ(got, kBytes);
  EXPECT_EQ(status_of(child), 0);
}

CASE("processors", "children of several processes are made and waited for at once") {
  Crew crew([](int number) { in_child([number] { return number < 0 ? 1 : 0; }); });
  for_a_while([](int) { in_child([] {}); });
}

CASE("processors", "vector registers are a thread's own") {
  Crew crew([](int number) {
    std::uint64_t wanted[2] = {static_cast<std::uint64_t>(number) * 0x0101010101010101,
                               ~static_cast<std::uint64_t>(number)};
    std::uint64_t got[2] = {};
    asm volatile(
        "movdqu %1, %%xmm7\n"
        "mov $3000, %%ecx\n"
        "1: dec %%ecx\n"
        "jnz 1b\n"
        "mov $24, %%eax\n"  // sched_yield
        "syscall\n"
        "movdqu %%xmm7, %0"
        : "=m"(got)
        : "m"(wanted)
        : "rax", "rcx", "r11", "xmm7", "memory");
    EXPECT(std::memcmp(wanted, got, sizeof got) == 0);
  });
  for_a_while([](int) { sched_yield(); });
}

}  // namespace
}  // namespace guest
