// Threads on the other processors, which do something over and over while the case's own thread changes what they see.
#pragma once

#include <pthread.h>
#include <sched.h>
#include <time.h>

#include <atomic>
#include <functional>
#include <vector>

#include "../support/test.hpp"

namespace guest {

inline std::vector<int> processors() {
  cpu_set_t set;
  CPU_ZERO(&set);
  MUST(sched_getaffinity(0, sizeof set, &set));
  std::vector<int> all;
  for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
    if (CPU_ISSET(cpu, &set)) {
      all.push_back(cpu);
    }
  }
  return all;
}

inline void stay_on(int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  MUST(sched_setaffinity(0, sizeof set, &set));
}

inline double now() {
  timespec time = {};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) / 1e9;
}

// Calls `round` with 1, 2, ... for a while.
template <class Round>
void for_a_while(Round round) {
  constexpr double kSeconds = 0.7;
  const double end = now() + kSeconds;
  for (int number = 1; now() < end; number++) {
    round(number);
  }
}

// A moment in which another processor makes many accesses.
inline void linger() {
  for (volatile int i = 0; i < 2000; i = i + 1) {
  }
}

class Crew {
 public:
  // As many threads as there are other processors, three at least, each with its number; `step` is called until the
  // end.
  explicit Crew(std::function<void(int)> step) : step_(std::move(step)) {
    const std::vector<int> cpus = processors();
    const int count = std::max(3, static_cast<int>(cpus.size()) - 1);
    stay_on(cpus[0]);
    members_.resize(static_cast<std::size_t>(count));
    for (int i = 0; i < count; i++) {
      Member& member = members_[static_cast<std::size_t>(i)];
      member = {.crew = this, .number = i, .cpu = cpus[static_cast<std::size_t>(i + 1) % cpus.size()], .thread = {}};
      EXPECT_EQ(pthread_create(&member.thread, nullptr, run, &member), 0);
    }
    while (started_.load() < count) {
      sched_yield();
    }
  }
  ~Crew() {
    ends_.store(true);
    for (const Member& member : members_) {
      pthread_join(member.thread, nullptr);
    }
  }
  Crew(const Crew&) = delete;
  Crew& operator=(const Crew&) = delete;

  [[nodiscard]] int size() const { return static_cast<int>(members_.size()); }

 private:
  struct Member {
    Crew* crew;
    int number;
    int cpu;
    pthread_t thread;
  };

  static void* run(void* argument) {
    const Member& member = *static_cast<Member*>(argument);
    stay_on(member.cpu);
    member.crew->step_(member.number);
    ++member.crew->started_;
    while (!member.crew->ends_.load(std::memory_order_relaxed)) {
      member.crew->step_(member.number);
    }
    return nullptr;
  }

  std::function<void(int)> step_;
  std::vector<Member> members_;
  std::atomic<int> started_{0};
  std::atomic<bool> ends_{false};
};

}  // namespace guest
