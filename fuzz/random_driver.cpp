// Feeds a stateful fuzzer seeded random inputs at full speed, without libFuzzer: the same seed gives the same run on
// every machine, and a release build of it does many millions of operations in a minute.
//
//   NAME_random [--operations N] [--seconds T] [--seed S]
//       random inputs until N operations are done or T seconds are over
//   NAME_random FILE...
//       those inputs, such as one that a failed run left
//
// With --seconds alone there is no limit to the operations. A fuzzer that counts its operations does it in
// vellum_fuzz_operations (<vellum/fuzz/fuzz.hpp>); for others eight bytes of input count as one. One whose programs
// should become longer than 4 KB says how long in vellum_fuzz_max_input, a power of two.
// When the process dies, the input at fault is left in a file in the current folder, and its name is told.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <charconv>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);
extern "C" [[gnu::weak]] std::uint64_t vellum_fuzz_operations;
extern "C" [[gnu::weak]] std::size_t vellum_fuzz_max_input;
extern "C" [[gnu::weak]] void __sanitizer_set_death_callback(void (*callback)());

namespace {

constexpr std::size_t kMaxInput = 4096;
constexpr std::size_t kShortestLimit = 16;
constexpr std::uint64_t kBytesPerOperation = 8;
constexpr std::uint64_t kUsualOperations = 1'000'000;

std::vector<std::uint8_t> current_input;
char failure_name[64] = "";

void say(const char* text) {
  if (::write(STDERR_FILENO, text, std::strlen(text)) < 0) {
    return;  // nobody is left to tell
  }
}

// Runs in a dying process: only calls that are safe in a signal handler.
void keep_input() {
  if (failure_name[0] == '\0') {
    return;  // the input came from a file
  }
  const int file = ::open(failure_name, O_CREAT | O_TRUNC | O_WRONLY, 0644);
  if (file >= 0 && ::write(file, current_input.data(), current_input.size()) >= 0) {
    say("the input is in ");
    say(failure_name);
    say("; repeat it by giving that file as the argument\n");
  }
}

void on_signal(int signal) {
  keep_input();
  std::signal(signal, SIG_DFL);
  ::raise(signal);
}

void watch_for_death() {
  if (&__sanitizer_set_death_callback != nullptr) {
    __sanitizer_set_death_callback(keep_input);
  }
  std::signal(SIGABRT, on_signal);
  if (&__sanitizer_set_death_callback == nullptr) {
    for (const int signal : {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP}) {
      std::signal(signal, on_signal);
    }
  }
}

void run_file(const char* name) {
  std::ifstream file(name, std::ios::binary);
  current_input.assign(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
  LLVMFuzzerTestOneInput(current_input.data(), current_input.size());
  std::printf("%s: %zu bytes, passed\n", name, current_input.size());
}

// SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, OOPSLA 2014).
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}

  std::uint64_t next() {
    std::uint64_t word = state_ += 0x9e3779b97f4a7c15;
    word = (word ^ (word >> 30)) * 0xbf58476d1ce4e5b9;
    word = (word ^ (word >> 27)) * 0x94d049bb133111eb;
    return word ^ (word >> 31);
  }

 private:
  std::uint64_t state_;
};

// Lengths are spread over the powers of two, so that short programs are as common as long ones.
void make_input(std::uint64_t seed, std::uint64_t index) {
  const std::size_t longest = &vellum_fuzz_max_input != nullptr ? vellum_fuzz_max_input : kMaxInput;
  Random random(Random(seed).next() ^ index);
  const std::size_t limit = kShortestLimit << random.next() % std::bit_width(longest / kShortestLimit);
  current_input.resize(1 + random.next() % limit);
  for (std::size_t i = 0; i < current_input.size(); i += sizeof(std::uint64_t)) {
    const std::uint64_t word = random.next();
    std::memcpy(current_input.data() + i, &word, std::min(sizeof word, current_input.size() - i));
  }
}

void run_random(std::uint64_t operations, std::uint64_t seconds, std::uint64_t seed) {
  using Clock = std::chrono::steady_clock;
  const auto start = Clock::now();
  const auto over = [=] { return seconds != 0 && Clock::now() - start >= std::chrono::seconds(seconds); };
  const bool counts = &vellum_fuzz_operations != nullptr;
  std::uint64_t done = 0;
  std::uint64_t index = 0;
  for (; done < operations && !over(); ++index) {
    make_input(seed, index);
    std::snprintf(failure_name, sizeof failure_name, "failed-input-%llu-%llu", static_cast<unsigned long long>(seed),
                  static_cast<unsigned long long>(index));
    LLVMFuzzerTestOneInput(current_input.data(), current_input.size());
    done = counts ? vellum_fuzz_operations : done + current_input.size() / kBytesPerOperation;
  }
  const std::chrono::duration<double> elapsed = Clock::now() - start;
  std::printf("%llu operations%s in %llu inputs, seed %llu: no difference; %.1f s\n",
              static_cast<unsigned long long>(done), counts ? "" : " (by input size)",
              static_cast<unsigned long long>(index), static_cast<unsigned long long>(seed), elapsed.count());
}

bool parse_number(std::string_view text, std::uint64_t& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size();
}

}  // namespace

int main(int argc, char** argv) {
  std::uint64_t operations = 0;
  std::uint64_t seconds = 0;
  std::uint64_t seed = 1;
  std::vector<const char*> files;
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    if (!argument.starts_with("--")) {
      files.push_back(argv[i]);
      continue;
    }
    std::uint64_t* const value = argument == "--operations" ? &operations
                                 : argument == "--seconds"  ? &seconds
                                 : argument == "--seed"     ? &seed
                                                            : nullptr;
    if (value == nullptr || i + 1 == argc || !parse_number(argv[++i], *value)) {
      std::fprintf(stderr, "usage: %s [--operations N] [--seconds T] [--seed S] | FILE...\n", argv[0]);
      return 2;
    }
  }
  watch_for_death();
  for (const char* const file : files) {
    run_file(file);
  }
  if (files.empty()) {
    const std::uint64_t unless_told = seconds != 0 ? UINT64_MAX : kUsualOperations;
    run_random(operations != 0 ? operations : unless_told, seconds, seed);
  }
  return 0;
}
