// What several threads, or processes, get done together, each on a processor of its own, against one: a figure within
// one run.
//   scale [MOST]
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <vector>

namespace {

constexpr std::size_t kPage = 4096;
constexpr std::size_t kPages = 16;
constexpr int kRounds = 7;
constexpr long kNanoseconds = 300'000'000;

struct Work {
  const char* name;
  void (*step)();
};

char* map_pages() {
  void* const pages = mmap(nullptr, kPages * kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (pages == MAP_FAILED) {
    std::perror("mmap");
    std::exit(1);
  }
  return static_cast<char*>(pages);
}

const Work kWorks[] = {
    {"compute, no calls",
     [] {
       for (volatile int i = 0; i < 5000; i = i + 1) {
       }
     }},
    {"getppid", [] { (void)getppid(); }},
    {"mmap, munmap", [] { (void)munmap(map_pages(), kPages * kPage); }},
    {"mmap, touch 16 pages, munmap",
     [] {
       char* const pages = map_pages();
       for (std::size_t i = 0; i < kPages; i++) {
         static_cast<volatile char*>(pages)[i * kPage] = 1;
       }
       (void)munmap(pages, kPages * kPage);
     }},
};

enum class Kind : bool { threads, processes };

// In memory that processes share.
struct Member {
  const Work* work;
  int cpu;
  std::atomic<bool>* ends;
  pthread_t thread;
  pid_t process;
  std::uint64_t steps;
};
struct Crew {
  std::atomic<bool> ends;
  Member members[16];
};

void* run(void* argument) {
  auto& member = *static_cast<Member*>(argument);
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(member.cpu, &set);
  (void)sched_setaffinity(0, sizeof set, &set);
  while (!member.ends->load(std::memory_order_relaxed)) {
    member.work->step();
    member.steps++;
  }
  return nullptr;
}

// Steps a second of so many.
double rate(const Work& work, Kind kind, int count) {
  static auto& crew =
      *static_cast<Crew*>(mmap(nullptr, sizeof(Crew), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  crew.ends = false;
  for (int i = 0; i < count; i++) {
    Member& member = crew.members[i];
    member = {.work = &work, .cpu = i, .ends = &crew.ends, .thread = {}, .process = 0, .steps = 0};
    if (kind == Kind::threads) {
      if (pthread_create(&member.thread, nullptr, run, &member) != 0) {
        std::exit(1);
      }
    } else if (member.process = fork(); member.process == 0) {
      run(&member);
      _exit(0);
    }
  }
  const timespec time = {.tv_sec = 0, .tv_nsec = kNanoseconds};
  nanosleep(&time, nullptr);
  crew.ends = true;
  std::uint64_t steps = 0;
  for (int i = 0; i < count; i++) {
    Member& member = crew.members[i];
    if (kind == Kind::threads) {
      pthread_join(member.thread, nullptr);
    } else {
      waitpid(member.process, nullptr, 0);
    }
    steps += member.steps;
  }
  return static_cast<double>(steps) * 1e9 / kNanoseconds;
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

}  // namespace

int main(int count, char** arguments) {
  const int most = count > 1 ? std::clamp(std::atoi(arguments[1]), 2, 16) : 2;
  for (const Work& work : kWorks) {
    for (const Kind kind : {Kind::threads, Kind::processes}) {
      for (int together = 2; together <= most; together++) {
        std::vector<double> ratios;
        std::vector<double> alone;
        for (int round = 0; round < kRounds; round++) {
          alone.push_back(rate(work, kind, 1));
          ratios.push_back(rate(work, kind, together) / alone.back());
        }
        std::printf("%-30s %9.0f a second by one; %d %s do %.2f times that\n", work.name, median(alone), together,
                    kind == Kind::threads ? "threads" : "processes", median(ratios));
      }
    }
  }
}
