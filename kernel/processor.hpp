// The processor as processes see it (unix/process, processor.hpp): threads are switched, programs entered and their
// traps handed on.
#pragma once

#include <vellum/pc/cpu_features.hpp>
#include <vellum/pc/per_cpu.hpp>
#include <vellum/pc/trap.hpp>
#include <vellum/unix/processor.hpp>

#include "kernel.hpp"

namespace vellum::kernel {

// What all CPUs have in common.
struct Processor {
  Kernel* kernel = nullptr;
  pc::CpuFeatures features;
  unix::Nanoseconds boot_time;  // since 1970, by the calendar
};
[[nodiscard]] Processor& processor();

// What the calling CPU runs. A null space: the kernel's tables.
[[nodiscard]] inline unix::ThreadContext* running_context() {
  return static_cast<unix::ThreadContext*>(pc::this_cpu().context);
}
[[nodiscard]] inline AddressSpace<HardwareFormat>* running_space() {
  return static_cast<AddressSpace<HardwareFormat>*>(pc::this_cpu().space);
}

// Makes the CPU translate by a space's tables, or with null by the kernel's alone.
void run_space(AddressSpace<HardwareFormat>* space);

// Readies the CPU for threads and programs: SYSCALL, vector registers, interrupts, clock. Once, by the boot CPU.
void start_processor(Kernel& kernel);
// Corrects the calendar: `now` is nanoseconds since 1970.
void set_realtime(unix::Nanoseconds now);

// For the trap handler. A page fault of a program, or of a copy from or to its memory: true where the code goes on.
[[nodiscard]] bool resolve_program_fault(pc::TrapFrame& frame, const pc::PageFault& fault);
// Another trap of a program: becomes a signal. False where none of it.
[[nodiscard]] bool signal_program(pc::TrapFrame& frame);

}  // namespace vellum::kernel
