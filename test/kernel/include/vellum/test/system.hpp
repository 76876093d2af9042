// A system to test on, inside a booted kernel: the real machine, and a physical memory of its own, cut out of the
// kernel's.
#pragma once

#include <utility>

#include <vellum/base/machine.hpp>
#include <vellum/phys/physical_memory.hpp>

namespace vellum::test {

struct SystemSize {
  ByteCount memory = ByteCount(std::uint64_t{64} << 20);  // a power of two
  unsigned cpus = 1;
  Poison poison = Poison::off;
};

// At its end every page must be free again, or the kernel panics.
class System {
 public:
  explicit System(const SystemSize& size = {});
  ~System();
  System(const System&) = delete;
  System& operator=(const System&) = delete;

  [[nodiscard]] Machine& machine() { return host_.machine(); }
  [[nodiscard]] PhysicalMemory& memory() { return *memory_; }
  void check_all_free();

 private:
  struct Block {
    Pfn first{0};
    Order order;
  };
  [[nodiscard]] static Block take(PhysicalMemory& host, ByteCount size);

  PhysicalMemory& host_;  // the kernel's
  const Block ram_;
  const MemoryMap map_;
  const Block area_;
  PhysicalMemory* const memory_;
  const PageCount free_at_start_;
};

}  // namespace vellum::test
