// The smallest machine that fills the port: one CPU whose memory is mapped linearly and which caches no translation.
// It shows a porter what must be there, and the core's freestanding compile check is built against it.
#pragma once

#include <vellum/base/machine_port.hpp>

namespace vellum::example {

class Machine {
 public:
  explicit Machine(std::byte* memory) : memory_(memory) {}

  class Window {
   public:
    explicit Window(std::byte* bytes) : bytes_(bytes) {}
    [[nodiscard]] std::byte* data() const { return bytes_; }

   private:
    std::byte* bytes_;
  };

  [[nodiscard]] Window window(Pfn frame) const { return Window(memory_ + address_of(frame).value()); }
  void clear_page(std::byte* page) { __builtin_memset(page, 0, kPageSize); }
  [[nodiscard]] CpuIndex current_cpu() const { return CpuIndex(0); }
  [[nodiscard]] unsigned cpu_count() const { return 1; }
  void enter_section() {}
  void leave_section() {}
  void flush_local(const TlbFlush& /*flush*/) {}
  void flush_remote(const CpuSet& /*cpus*/, PhysAddr /*root*/, const TlbFlush& /*flush*/) {}
  void flush_everywhere(const TlbFlush& /*flush*/) {}
  [[nodiscard]] bool allocation_permitted() { return true; }
  [[nodiscard]] bool memory_starts_zeroed() const { return false; }

 private:
  std::byte* memory_;
};

}  // namespace vellum::example

static_assert(vellum::MachinePort<vellum::example::Machine>);
