// Interrupts of devices and of the timer, by the local APIC and the I/O APICs [intel/vol3 chapter 10; intel/82093AA].
// Handlers run on the interrupted CPU with interrupts off, on the stack of whatever was interrupted: a program, or the
// kernel where it idles.
#pragma once

#include <cstdint>

#include <vellum/base/cpu.hpp>
#include <vellum/base/result.hpp>
#include <vellum/base/types.hpp>
#include <vellum/pc/trap.hpp>

namespace vellum::pc {

using InterruptHandler = void (*)(void* argument);

enum class Trigger : std::uint8_t { edge, level };

// Where the kernel maps the registers of a device. Error: no_memory.
using DeviceMapper = Result<std::byte*> (*)(PhysAddr address, ByteCount size);

// Maps and enables the local APIC, and finds the I/O APICs at the addresses where PCs have them; all lines stay masked,
// the old 8259 controllers too. Error: no_memory.
[[nodiscard]] Result<void> start_interrupts(DeviceMapper map);

// Calls handler(argument) for each interrupt on an input line of the I/O APICs, counted through: 0..23 are the first
// one's. Errors: no_device (no such line), no_space (too many handlers).
[[nodiscard]] Result<void> register_interrupt(unsigned line, Trigger trigger, InterruptHandler handler, void* argument);
// Of the local timer.
void set_tick_handler(void (*handler)());

// Between CPUs (cpus.hpp), named by the number of their local APIC.
enum class Message : std::uint8_t {
  call,   // call the handler of set_call_handler()
  flush,  // answer_flushes()
  non_maskable,
  reset,  // wait for send_start()
};
void send_interrupt(std::uint8_t apic_id, Message message);
// A CPU that waits for it starts at a page below 1 MB.
void send_start(std::uint8_t apic_id, PhysAddr page);
[[nodiscard]] std::uint8_t apic_id_of(CpuIndex cpu);
// Enables the calling CPU's, once start_interrupts() has mapped them.
void enable_local_apic();

// For the trap handler: true where the trap was an interrupt of these, which has then been handled.
[[nodiscard]] bool handle_interrupt(const TrapFrame& frame);

// The local APIC's timer. A count of `initial` runs down at the bus clock divided by 16.
void set_local_timer(std::uint32_t initial, bool periodic);
[[nodiscard]] std::uint32_t read_local_timer();

}  // namespace vellum::pc
