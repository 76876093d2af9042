#include <vellum/pc/descriptor_tables.hpp>
#include <vellum/pc/per_cpu.hpp>
#include <vellum/pc/thread.hpp>

#include <algorithm>

extern "C" {
extern const char vellum_system_call_entry[];
extern const char vellum_isolated_system_call_entry[];
extern const char vellum_entry_text[], vellum_entry_text_end[];
extern const char vellum_thread_start[];
}

namespace vellum::pc {

namespace {

constexpr std::size_t kFxsaveSize = 512;
constexpr std::size_t kMxcsr = 24;  // offsets in the image [intel/vol1 table 10-2]
constexpr std::size_t kMxcsrMask = 28;
constexpr std::size_t kXsaveHeader = 512;  // [intel/vol1 13.4.2]
constexpr std::size_t kXsaveHeaderSize = 64;
constexpr std::uint32_t kInitialMxcsr = 0x1F80;
constexpr std::uint32_t kDefaultMxcsrMask = 0xFFBF;
constexpr std::uint16_t kInitialControlWord = 0x37F;

constexpr std::uint64_t kX87AndSse = 3;
constexpr std::uint64_t kAvx = 1U << 2;
constexpr std::uint64_t kAvx512 = 7U << 5;

constinit std::size_t state_size = kFxsaveSize;
constinit std::uint64_t saved_components = 0;  // 0: FXSAVE
constinit std::uint32_t mxcsr_mask = kDefaultMxcsrMask;

template <class T>
T load(const std::byte* from) {
  T value;
  __builtin_memcpy(&value, from, sizeof(T));
  return value;
}

template <class T>
void store(std::byte* to, T value) {
  __builtin_memcpy(to, &value, sizeof(T));
}

}  // namespace

void enable_system_calls() {
  write_msr(msr::kExtendedFeatures, read_msr(msr::kExtendedFeatures) | msr::kEferSystemCall);
  // SYSCALL takes the kernel's selectors from bits 32..47; SYSRET adds 8 and 16 to bits 48..63 [intel/vol2 SYSRET].
  write_msr(msr::kSystemCallSelectors,
            std::uint64_t{kKernelCode} << 32 | std::uint64_t{(kUserData & ~7U) - 8U + 3U} << 48);
  write_msr(msr::kSystemCallEntry, reinterpret_cast<std::uint64_t>(vellum_system_call_entry));
  constexpr std::uint64_t kAllButReserved = 0x00247FD5;  // interrupts, direction, trap, alignment check, all others
  write_msr(msr::kSystemCallFlagMask, kAllButReserved);
}

void enable_vector_registers(const CpuFeatures& features, std::size_t room) {
  write_cr0((read_cr0() | cr0::kMonitorCoprocessor | cr0::kNumericErrors) & ~cr0::kEmulateCoprocessor);
  write_cr4(read_cr4() | cr4::kFxsave | cr4::kVectorExceptions);
  alignas(64) static constinit std::byte image[kFxsaveSize] = {};
  asm volatile("fninit; fxsave64 %0" : "=m"(image));
  if (const auto mask = load<std::uint32_t>(image + kMxcsrMask); mask != 0) {
    mxcsr_mask = mask;
  }
  if (!features.xsave) {
    return;
  }
  write_cr4(read_cr4() | cr4::kXsave);
  const CpuidLeaf state = cpuid(0xD);
  const std::uint64_t supported = std::uint64_t{state.edx} << 32 | state.eax;
  for (const std::uint64_t wanted : {kX87AndSse | kAvx | kAvx512, kX87AndSse | kAvx, kX87AndSse}) {
    if ((supported & wanted) != wanted) {
      continue;
    }
    write_extended_control(0, wanted);
    state_size = cpuid(0xD).ebx;  // for what is enabled now
    saved_components = wanted;
    if (state_size <= room) {
      return;
    }
  }
  panic("the image of the vector registers is too large");
}

void enable_vector_registers_likewise() {
  asm volatile("fninit");
  if (saved_components != 0) {
    write_extended_control(0, saved_components);
  }
}

std::size_t vector_state_size() { return state_size; }

void save_vector_registers(std::byte* image) {
  if (saved_components != 0) {
    asm volatile("xsave64 (%0)" : : "r"(image), "a"(~0U), "d"(~0U) : "memory");
  } else {
    asm volatile("fxsave64 (%0)" : : "r"(image) : "memory");
  }
}

void load_vector_registers(std::byte* image) {
  store(image + kMxcsr, load<std::uint32_t>(image + kMxcsr) & mxcsr_mask);
  if (saved_components != 0) {
    std::byte* const header = image + kXsaveHeader;
    store(header, (load<std::uint64_t>(header) & saved_components) | kX87AndSse);
    __builtin_memset(header + 8, 0, kXsaveHeaderSize - 8);
    asm volatile("xrstor64 (%0)" : : "r"(image), "a"(~0U), "d"(~0U) : "memory");
  } else {
    asm volatile("fxrstor64 (%0)" : : "r"(image) : "memory");
  }
}

void reset_vector_image(std::byte* image) {
  __builtin_memset(image, 0, state_size);
  store(image, kInitialControlWord);
  store(image + kMxcsr, kInitialMxcsr);
}

void set_kernel_stack(VirtAddr top) {
  PerCpu& cpu = this_cpu();
  cpu.kernel_stack_top = static_cast<Word>(top.value());
  if ((cpu.user_return & PerCpu::kIsolated) == 0) {
    store(cpu.task_state + 4, top.value());  // TaskState::kernel_stack
  }
}

void isolate_kernel(PhysAddr user_root) {
  alignas(kPageSize) static constinit std::byte entry_stack[kPageSize] = {};
  PerCpu& cpu = this_cpu();
  if (&cpu == &boot_cpu) {
    cpu.entry_stack_top = reinterpret_cast<Word>(entry_stack + sizeof(entry_stack));
  }
  cpu.kernel_root = read_cr3();
  cpu.user_root = static_cast<Word>(user_root.value());
  cpu.user_return |= PerCpu::kIsolated;
  store(cpu.task_state + 4, cpu.entry_stack_top);
  write_msr(msr::kSystemCallEntry, reinterpret_cast<std::uint64_t>(vellum_isolated_system_call_entry));
}

VirtRange entry_text() {
  return VirtRange::between(VirtAddr(reinterpret_cast<std::uint64_t>(vellum_entry_text)),
                            VirtAddr(reinterpret_cast<std::uint64_t>(vellum_entry_text_end)));
}

Word prepare_stack(VirtAddr top, void (*entry)(void*), void* argument) {
  // As switch_stacks() pops them; entered as if by a call, with the stack aligned for the ABI.
  struct Start {
    std::uint64_t r15, r14, r13, r12, rbx, rbp, return_address, end;
  };
  auto* const start = reinterpret_cast<Start*>((top - ByteCount(sizeof(TrapFrame))).value()) - 1;
  *start = {};
  start->r13 = reinterpret_cast<std::uint64_t>(argument);
  start->r12 = reinterpret_cast<std::uint64_t>(entry);
  start->return_address = reinterpret_cast<std::uint64_t>(vellum_thread_start);
  return reinterpret_cast<Word>(start);
}

}  // namespace vellum::pc
