// The QEMU process in which the kernel runs, and our ends of what it talks over.
#pragma once

#include <expected>
#include <optional>
#include <string>
#include <vector>

#include <sys/types.h>

#include "run/descriptor.hpp"
#include "run/options.hpp"

namespace vellum::tool {

struct MachineSettings {
  ByteCount memory;
  unsigned cpus = 1;
  bool use_kvm = false;
  std::string kernel;
  std::string command_line;  // of the kernel
  bool has_run_channel = false;
  std::optional<unsigned> gdb_port = {};  // where a debugger may come, on this host alone
  std::vector<Bind> binds;                // folders besides the root; their mount tags are bind_tag(0), bind_tag(1)...
};

[[nodiscard]] std::string qemu_program();
[[nodiscard]] std::string bind_tag(std::size_t index);

// The words by which QEMU is started. The descriptors are those that QEMU will find its channels at.
[[nodiscard]] std::vector<std::string> qemu_command(const MachineSettings& settings, int run_channel, int console);

// A running QEMU. It leads a process group of its own, so that the keys of a terminal do not reach it, and dies with
// this process or at the end of this object.
class VirtualMachine {
 public:
  [[nodiscard]] static std::expected<VirtualMachine, std::string> start(const MachineSettings& settings);
  VirtualMachine(VirtualMachine&& other) noexcept;
  VirtualMachine& operator=(VirtualMachine&&) = delete;
  ~VirtualMachine();

  // The run protocol (a stream socket that does not block), the kernel's serial console and what QEMU itself says.
  [[nodiscard]] int run_channel() const { return run_channel_.number(); }
  [[nodiscard]] int console() const { return console_.number(); }
  [[nodiscard]] int messages() const { return messages_.number(); }
  // Readable once QEMU has ended.
  [[nodiscard]] int end() const { return end_.number(); }

  void pause() const;
  void resume() const;
  // Ends QEMU if it still runs, and gives its wait status.
  int finish();

 private:
  VirtualMachine() = default;

  pid_t process_ = -1;
  int wait_status_ = 0;
  Descriptor run_channel_;
  Descriptor console_;
  Descriptor messages_;
  Descriptor end_;
};

}  // namespace vellum::tool
