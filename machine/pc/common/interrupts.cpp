#include <vellum/base/machine.hpp>
#include <vellum/pc/cpus.hpp>
#include <vellum/pc/interrupts.hpp>

namespace vellum::pc {

namespace {

constexpr PhysAddr kIoApicAddresses[] = {PhysAddr(0xFEC00000), PhysAddr(0xFEC10000)};
constexpr PhysAddr kLocalApicAddress{0xFEE00000};
constexpr std::uint64_t kLocalApicEnable = 1U << 11;

// Registers of the local APIC [intel/vol3 table 10-1].
constexpr unsigned kEndOfInterrupt = 0xB0;
constexpr unsigned kCommand = 0x300;
constexpr unsigned kCommandTarget = 0x310;
constexpr std::uint32_t kCommandPending = 1U << 12;
constexpr std::uint32_t kAssert = 1U << 14;
constexpr std::uint32_t kNonMaskable = 4U << 8;
constexpr std::uint32_t kReset = 5U << 8;
constexpr std::uint32_t kStart = 6U << 8;
constexpr unsigned kSpurious = 0xF0;
constexpr unsigned kTimer = 0x320;
constexpr unsigned kLine0 = 0x350;
constexpr unsigned kLine1 = 0x360;
constexpr unsigned kInitialCount = 0x380;
constexpr unsigned kCurrentCount = 0x390;
constexpr unsigned kDivide = 0x3E0;
constexpr std::uint32_t kMasked = 1U << 16;
constexpr std::uint32_t kPeriodic = 1U << 17;
constexpr std::uint32_t kEnabled = 1U << 8;
constexpr std::uint32_t kDivideBy16 = 3;

// Registers of an I/O APIC, behind a window [intel/82093AA 3.0].
constexpr unsigned kSelect = 0;
constexpr unsigned kWindow = 0x10;
constexpr std::uint32_t kVersion = 1;
constexpr std::uint32_t kRedirection = 0x10;
constexpr std::uint32_t kLevelTriggered = 1U << 15;

constexpr unsigned kFirstVector = 0x30;
constexpr unsigned kMostHandlers = 32;
constexpr unsigned kTimerVector = 0xF0;
constexpr unsigned kCallVector = 0xF1;
constexpr unsigned kFlushVector = 0xF2;
constexpr unsigned kNonMaskableVector = 2;
constexpr unsigned kSpuriousVector = 0xFF;

struct IoApic {
  volatile std::uint32_t* registers = nullptr;
  unsigned lines = 0;
};
struct Registered {
  InterruptHandler handler = nullptr;
  void* argument = nullptr;
};

constinit volatile std::uint32_t* local_apic = nullptr;
constinit IoApic io_apics[2];
constinit Registered handlers[kMostHandlers];
constinit unsigned handler_count = 0;
constinit void (*tick_handler)() = nullptr;
constinit void (*call_handler)() = nullptr;

std::uint32_t read_local(unsigned offset) { return local_apic[offset / 4]; }
void write_local(unsigned offset, std::uint32_t value) { local_apic[offset / 4] = value; }

std::uint32_t read_io(const IoApic& apic, std::uint32_t index) {
  apic.registers[kSelect / 4] = index;
  return apic.registers[kWindow / 4];
}
void write_io(const IoApic& apic, std::uint32_t index, std::uint32_t value) {
  apic.registers[kSelect / 4] = index;
  apic.registers[kWindow / 4] = value;
}

void send_command(std::uint8_t apic_id, std::uint32_t command) {
  while ((read_local(kCommand) & kCommandPending) != 0) {
    pause();
  }
  write_local(kCommandTarget, std::uint32_t{apic_id} << 24);
  write_local(kCommand, command | kAssert);
}

// Masks all lines of the two 8259 controllers, at vectors that would not be taken for exceptions [intel/8259A].
void silence_old_controllers() {
  constexpr std::uint16_t kMask = 0x21;
  constexpr std::uint16_t kSecondMask = 0xA1;
  out8(kMask, 0xFF);
  out8(kSecondMask, 0xFF);
}

Result<void> find_io_apic(DeviceMapper map, unsigned index) {
  IoApic& apic = io_apics[index];
  apic.registers =
      reinterpret_cast<volatile std::uint32_t*>(VELLUM_TRY(map(kIoApicAddresses[index], ByteCount(kPageSize))));
  const std::uint32_t version = read_io(apic, kVersion);
  // Where nothing answers, all bits are the same.
  if (version == 0 || version == ~0U) {
    return {};
  }
  apic.lines = (version >> 16 & 0xFF) + 1;
  for (unsigned line = 0; line < apic.lines; ++line) {
    write_io(apic, kRedirection + 2 * line, kMasked);
  }
  return {};
}

}  // namespace

Result<void> start_interrupts(DeviceMapper map) {
  silence_old_controllers();
  local_apic = reinterpret_cast<volatile std::uint32_t*>(VELLUM_TRY(map(kLocalApicAddress, ByteCount(kPageSize))));
  enable_local_apic();
  VELLUM_TRY(find_io_apic(map, 0));
  return find_io_apic(map, 1);
}

void enable_local_apic() {
  write_msr(msr::kLocalApicBase,
            kLocalApicAddress.value() | kLocalApicEnable | (read_msr(msr::kLocalApicBase) & 0x100));
  write_local(kSpurious, kEnabled | kSpuriousVector);
  write_local(kLine0, kMasked);
  write_local(kLine1, kMasked);
  write_local(kTimer, kMasked);
  write_local(kDivide, kDivideBy16);
}

void send_interrupt(std::uint8_t apic_id, Message message) {
  constexpr std::uint32_t kCommands[] = {kCallVector, kFlushVector, kNonMaskable, kReset};
  send_command(apic_id, kCommands[static_cast<unsigned>(message)]);
}

void send_start(std::uint8_t apic_id, PhysAddr page) {
  send_command(apic_id, kStart | static_cast<std::uint32_t>(page.value() >> kPageShift));
}

void set_call_handler(void (*handler)()) { call_handler = handler; }

Result<void> register_interrupt(unsigned line, Trigger trigger, InterruptHandler handler, void* argument) {
  unsigned first = 0;
  for (const IoApic& apic : io_apics) {
    if (line - first < apic.lines) {
      if (handler_count == kMostHandlers) {
        return Errno::no_space;
      }
      handlers[handler_count] = {.handler = handler, .argument = argument};
      const unsigned vector = kFirstVector + handler_count++;
      const std::uint32_t target = read_local(0x20) & 0xFF000000;  // this CPU
      write_io(apic, kRedirection + 2 * (line - first) + 1, target);
      write_io(apic, kRedirection + 2 * (line - first), vector | (trigger == Trigger::level ? kLevelTriggered : 0));
      return {};
    }
    first += apic.lines;
  }
  return Errno::no_device;
}

void set_tick_handler(void (*handler)()) { tick_handler = handler; }

bool handle_interrupt(const TrapFrame& frame) {
  if (frame.vector == kSpuriousVector) {
    return true;
  }
  wake_up();
  if (frame.vector == kNonMaskableVector) {
    stop_if_told();
    return false;
  }
  if (frame.vector == kFlushVector) {
    write_local(kEndOfInterrupt, 0);
    answer_flushes();
    return true;
  }
  if (frame.vector == kCallVector) {
    write_local(kEndOfInterrupt, 0);
    call_handler();
    return true;
  }
  if (frame.vector == kTimerVector) {
    write_local(kEndOfInterrupt, 0);
    if (tick_handler != nullptr) {
      tick_handler();
    }
    return true;
  }
  const std::uint64_t index = frame.vector - kFirstVector;
  if (index >= handler_count) {
    return false;
  }
  // First the device, which lowers its line, then the controller: otherwise a level would interrupt again.
  handlers[index].handler(handlers[index].argument);
  write_local(kEndOfInterrupt, 0);
  return true;
}

void set_local_timer(std::uint32_t initial, bool periodic) {
  write_local(kTimer, periodic ? kPeriodic | kTimerVector : kMasked);
  write_local(kInitialCount, initial);
}

std::uint32_t read_local_timer() { return read_local(kCurrentCount); }

}  // namespace vellum::pc
