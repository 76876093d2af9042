// What a user asks of `vellum run`.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <vellum/base/types.hpp>
#include <vellum/layout/address_map.hpp>

namespace vellum::tool {

// A folder of the host that the program sees, read-only, at another place.
struct Bind {
  std::string host;   // absolute
  std::string guest;  // absolute, without a slash at the end
};

enum class Engine : std::uint8_t {
  automatic,  // KVM where a probe has shown that it works and is quicker, else TCG
  tcg,        // emulation
  kvm,
};

[[nodiscard]] const char* name_of(Engine engine);

// As many as the kernel starts.
inline constexpr unsigned kMostCpus = 16;

struct RunOptions {
  ByteCount memory{std::uint64_t{512} << 20};
  std::optional<ByteCount> vmem;  // what may be promised to all processes together
  unsigned cpus = 1;
  UserModel user = UserModel::illumos;
  std::vector<Bind> binds;
  std::vector<std::string> environment;  // NAME=VALUE, or NAME to pass the host's value on
  std::optional<std::string> report_path;
  bool strace = false;
  bool kernel_log = false;
  bool hold = false;                 // before the program ends
  std::string name;                  // by which others find the run; may be empty
  std::optional<unsigned> gdb_port;  // where QEMU waits for a debugger
  std::optional<double> time_limit;  // seconds
  Engine engine = Engine::automatic;
  std::string kernel;                // the image; found by find_kernel() if empty
  std::vector<std::string> program;  // and its arguments
};

// Exit statuses of `vellum run` besides those of the program, as `docker run` and `timeout` have them.
inline constexpr int kTimeLimitStatus = 124;
inline constexpr int kVellumFailed = 125;
inline constexpr int kNotExecutable = 126;
inline constexpr int kNotFound = 127;
inline constexpr int kSignalBase = 128;  // plus the number of the signal that ended the program

}  // namespace vellum::tool
