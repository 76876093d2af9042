#include "run/engine.hpp"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>

#include <fcntl.h>
#include <fmt/core.h>
#include <poll.h>
#include <sys/utsname.h>
#include <sys/wait.h>

#include <nlohmann/json.hpp>

#include "run/descriptor.hpp"
#include "run/virtual_machine.hpp"

namespace vellum::tool {

namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;
using Milliseconds = std::chrono::milliseconds;

constexpr const char* kSchema = "vellum.engine/1";
constexpr Milliseconds kLongest{1000};
constexpr int kPassed = 0x10 << 1 | 1;  // what isa-debug-exit makes of the self-test's success
constexpr ByteCount kMemory{std::uint64_t{128} << 20};

std::optional<fs::path> cache_file() {
  const char* const cache = std::getenv("XDG_CACHE_HOME");
  const char* const home = std::getenv("HOME");
  if (cache != nullptr && *cache == '/') {
    return fs::path(cache) / "vellum/engine.json";
  }
  return home == nullptr || *home != '/' ? std::nullopt : std::optional(fs::path(home) / ".cache/vellum/engine.json");
}

// What the answer depends on.
std::string host_name() {
  utsname system;
  std::string name = uname(&system) == 0 ? system.release : "";
  std::ifstream processor("/proc/cpuinfo");
  for (std::string line; std::getline(processor, line);) {
    if (line.starts_with("model name")) {
      name += ", " + line.substr(std::min(line.size(), line.find(": ") + 2));
      break;
    }
  }
  return fmt::format("{}, {}", name, qemu_program());
}

// False if the file cannot be written.
bool keep(const fs::path& path, const std::string& host, Engine engine, const std::string& reason) {
  std::error_code error;
  fs::create_directories(path.parent_path(), error);
  const Json document = {{"schema", kSchema}, {"host", host}, {"engine", name_of(engine)}, {"reason", reason}};
  const fs::path draft = fmt::format("{}.{}", path.string(), getpid());
  {
    std::ofstream file(draft);
    file << document.dump(2, ' ', false, Json::error_handler_t::replace) << '\n';
  }
  fs::rename(draft, path, error);
  return !error;
}

// What was kept of this host; null if nothing was.
Json kept(const fs::path& path, const std::string& host) {
  std::ifstream file(path);
  Json document = Json::parse(file, nullptr, false);
  const auto says = [&document](const char* name, const std::string& value) {
    return document.is_object() && document.value(name, Json()) == Json(value);
  };
  return says("schema", kSchema) && says("host", host) ? document : Json();
}

// How long the kernel's self-test took; nothing if it failed or took longer than that.
std::optional<Milliseconds> time_selftest(const std::string& kernel, bool use_kvm, Milliseconds longest) {
  const auto start = std::chrono::steady_clock::now();
  auto machine = VirtualMachine::start(
      {.memory = kMemory, .use_kvm = use_kvm, .kernel = kernel, .command_line = "selftest", .binds = {}});
  if (!machine.has_value()) {
    return std::nullopt;
  }
  pollfd end = {machine->end(), POLLIN, 0};
  if (poll(&end, 1, static_cast<int>(longest.count())) != 1) {
    return std::nullopt;
  }
  const int status = machine->finish();
  if (!WIFEXITED(status) || WEXITSTATUS(status) != kPassed) {
    return std::nullopt;
  }
  return std::chrono::ceil<Milliseconds>(std::chrono::steady_clock::now() - start);
}

Engine try_kvm(const fs::path& cache, const std::string& host, const std::string& kernel) {
  const auto emulated = time_selftest(kernel, false, kLongest);
  if (!emulated.has_value()) {
    keep(cache, host, Engine::tcg, "the self-test did not pass in time, so that nothing was compared");
    return Engine::tcg;
  }
  const auto native = time_selftest(kernel, true, *emulated);
  const Engine engine = native.has_value() && *native < *emulated ? Engine::kvm : Engine::tcg;
  keep(cache, host, engine,
       native.has_value()
           ? fmt::format("the self-test took {} ms emulated, {} ms under KVM", emulated->count(), native->count())
           : fmt::format("the self-test took {} ms emulated, and did not pass in that time under KVM",
                         emulated->count()));
  return engine;
}

}  // namespace

Engine choose_engine(Engine wanted, const std::string& kernel) {
  if (wanted != Engine::automatic) {
    return wanted;
  }
  const auto cache = cache_file();
  if (!cache.has_value() || !Descriptor(open("/dev/kvm", O_RDWR | O_CLOEXEC)).is_open()) {
    return Engine::tcg;
  }
  const std::string host = host_name();
  if (const Json document = kept(*cache, host); !document.is_null()) {
    return document.value("engine", Json()) == Json(name_of(Engine::kvm)) ? Engine::kvm : Engine::tcg;
  }
  // Kept before, so that a probe that brings the host down is not repeated.
  return keep(*cache, host, Engine::tcg, "the probe did not end") ? try_kvm(*cache, host, kernel) : Engine::tcg;
}

std::string engine_reason() {
  const auto cache = cache_file();
  const Json document = cache.has_value() ? kept(*cache, host_name()) : Json();
  return document.is_object() && document["reason"].is_string() ? document["reason"].get<std::string>() : "";
}

}  // namespace vellum::tool
