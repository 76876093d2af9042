// What the processor keeps of a thread while another one runs: stack, vector registers, the bases of FS and GS; and how
// a program enters the kernel by SYSCALL.
#pragma once

#include <cstddef>
#include <span>

#include <vellum/base/range.hpp>
#include <vellum/pc/arch.hpp>
#include <vellum/pc/cpu_features.hpp>
#include <vellum/pc/instructions.hpp>

namespace vellum::pc {

// Turns SYSCALL on for the calling CPU, with flags masked as the entry needs them; and x87, SSE and, where there is
// XSAVE, AVX as far as their state fits into `room` bytes.
void enable_system_calls();
void enable_vector_registers(const CpuFeatures& features, std::size_t room);
// The same for another CPU, whose control registers are the first one's already.
void enable_vector_registers_likewise();

// Bytes that save_vector_registers() writes; it and the image that load_vector_registers() reads are aligned to 64.
[[nodiscard]] std::size_t vector_state_size();
void save_vector_registers(std::byte* image);
// The image may come from a program: what would fault is cleared first.
void load_vector_registers(std::byte* image);
// The state in which programs start.
void reset_vector_image(std::byte* image);

// Where traps and system calls of the thread that runs enter: the end of its kernel stack.
void set_kernel_stack(VirtAddr top);

// From now on programs of the calling CPU run on the tables below `user_root`, loaded on each return to user mode, and
// the kernel on those of PerCpu::kernel_root. Those of the programs must map, of the kernel, entry_text(), the CPU's
// PerCpu, its entry stack (the page below PerCpu::entry_stack_top), own_trap_stacks() and the descriptor tables; before
// each return vellum_renew_user_root() is called, which may change the rest.
void isolate_kernel(PhysAddr user_root);
[[nodiscard]] VirtRange entry_text();

// Pushes the registers that functions preserve, exchanges the stack pointer, and pops them.
void switch_stacks(Word* save, Word load);
// The stack pointer of a thread that starts with entry(argument), to be switched to. Above it the stack has room for
// the frame with which the thread enters user mode.
[[nodiscard]] Word prepare_stack(VirtAddr top, void (*entry)(void*), void* argument);
// Enters user mode with a frame that lies at the end of the kernel stack.
[[noreturn]] void return_to_user(TrapFrame& frame);

}  // namespace vellum::pc
