// The PC as the core sees it: fills the port of <vellum/base/machine_port.hpp>.
//
// Physical memory is mapped linearly at direct_map(), first by the boot stub's tables and then by the kernel's own, so
// a window is an addition. On i386 the direct map is short (kDirectMapSize), and whoever reads the boot memory map must
// leave out what lies beyond.
//
// A section turns interrupts off on its CPU; sections nest. On i386 one CPU runs, and asking to flush another one is a
// broken invariant.
#pragma once

#include <vellum/base/machine_port.hpp>
#include <vellum/pc/arch.hpp>
#include <vellum/pc/instructions.hpp>
#include <vellum/pc/per_cpu.hpp>

// clear_page.S
extern "C" void vellum_clear_page(std::byte* page);

namespace vellum::pc {

// A pointer to physical memory. The range must lie in the direct map; it may be a device's or the firmware's.
template <class T>
[[nodiscard]] T* direct_mapped(PhysAddr address) {
  VELLUM_ASSERT(address.value() < kDirectMapSize.value());
  return reinterpret_cast<T*>(static_cast<Word>((direct_map() + ByteCount(address.value())).value()));
}

// Makes the calling CPU forget all translations, global ones too.
void drop_translations();

class Machine {
 public:
  class Window {
   public:
    explicit Window(std::byte* bytes) : bytes_(bytes) {}
    Window(const Window&) = delete;
    Window& operator=(const Window&) = delete;
    [[nodiscard]] std::byte* data() const { return bytes_; }

   private:
    std::byte* bytes_;
  };

  [[nodiscard]] Window window(Pfn frame) const { return Window(direct_mapped<std::byte>(address_of(frame))); }

  void clear_page(std::byte* page) { vellum_clear_page(page); }
  [[nodiscard]] CpuIndex current_cpu() const { return this_cpu().index; }
  [[nodiscard]] unsigned cpu_count() const { return cpu_total; }

  void enter_section() {
    const Interrupts before = (read_flags() & kFlagInterrupts) != 0 ? Interrupts::enabled : Interrupts::disabled;
    disable_interrupts();
    PerCpu& cpu = this_cpu();
    if (cpu.section_depth++ == 0) {
      cpu.outside_section = before;
    }
  }
  void leave_section() {
    PerCpu& cpu = this_cpu();
    VELLUM_ASSERT(cpu.section_depth > 0);
    if (--cpu.section_depth == 0 && cpu.outside_section == Interrupts::enabled) {
      enable_interrupts();
    }
  }

  void flush_local(const TlbFlush& flush);
  // Those that do not run the space any more drop what they have, too.
  void flush_remote(const CpuSet& cpus, PhysAddr root, const TlbFlush& flush);

  void flush_everywhere(const TlbFlush& flush);

  [[nodiscard]] bool allocation_permitted() { return true; }
  [[nodiscard]] bool memory_starts_zeroed() const { return false; }

  // Besides the port.

  // Makes the calling CPU use the tables below `root`, and forget all translations but global ones.
  void set_root(PhysAddr root);
  // Whether the CPU runs with the entries of the root that memory holds. A processor with PAE keeps the four in
  // registers from one load of CR3 to the next [intel/vol3 4.4.1]; QEMU's emulation reads memory instead, and would
  // never show that a load is missing. Always true without VELLUM_DEBUG.
  [[nodiscard]] bool root_is_current() const;
};

}  // namespace vellum::pc
