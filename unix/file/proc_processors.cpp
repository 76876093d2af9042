// /proc/cpuinfo and /proc/interrupts.
#include <cpuid.h>

#include <algorithm>

#include "proc.hpp"

namespace vellum::unix {

namespace {

struct Leaf {
  std::uint32_t eax = 0;
  std::uint32_t ebx = 0;
  std::uint32_t ecx = 0;
  std::uint32_t edx = 0;
};

Leaf leaf(std::uint32_t number) {
  Leaf found;
  if (number <= __get_cpuid_max(number & 0x8000'0000, nullptr)) {
    __cpuid_count(number, 0, found.eax, found.ebx, found.ecx, found.edx);
  }
  return found;
}

// Linux's names of a word's bits, from bit 0 on; "-" where it names none [intel/vol2 CPUID, amd/vol3 E.3].
struct Features {
  std::uint32_t Leaf::* word;
  std::uint32_t leaf;
  std::string_view names;
};
constexpr Features kFeatures[] = {
    {&Leaf::edx, 1,
     "fpu vme de pse tsc msr pae mce cx8 apic - sep mtrr pge mca cmov pat pse36 pn clflush - dts acpi mmx fxsr sse "
     "sse2 "
     "ss ht tm ia64 pbe"},
    {&Leaf::edx, 0x8000'0001,
     "- - - - - - - - - - - syscall - - - - - - - mp nx - mmxext - - fxsr_opt pdpe1gb rdtscp - lm 3dnowext 3dnow"},
    {&Leaf::ecx, 1,
     "pni pclmulqdq dtes64 monitor ds_cpl vmx smx est tm2 ssse3 cid sdbg fma cx16 xtpr pdcm - pcid dca sse4_1 sse4_2 "
     "x2apic movbe popcnt tsc_deadline_timer aes xsave - avx f16c rdrand hypervisor"},
    {&Leaf::ecx, 0x8000'0001,
     "lahf_lm cmp_legacy svm extapic cr8_legacy abm sse4a misalignsse 3dnowprefetch osvw ibs xop skinit wdt - lwp fma4 "
     "tce - nodeid_msr - tbm topoext"},
    {&Leaf::ebx, 7,
     "fsgsbase tsc_adjust sgx bmi1 hle avx2 - smep bmi2 erms invpcid rtm cqm - mpx rdt_a avx512f avx512dq rdseed adx "
     "smap avx512ifma - clflushopt clwb intel_pt avx512pf avx512er avx512cd sha_ni avx512bw avx512vl"},
};

void write_flags(const Features& features, TextSink& sink) {
  const std::uint32_t bits = leaf(features.leaf).*features.word;
  std::string_view rest = features.names;
  for (unsigned bit = 0; bit < 32 && !rest.empty(); ++bit) {
    const std::size_t end = std::min(rest.find(' '), rest.size());
    if (const std::string_view name = rest.substr(0, end); (bits >> bit & 1) != 0 && name != "-") {
      sink.text(" ").text(name);
    }
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
}

void write_bytes(std::span<const std::uint32_t> words, TextSink& sink) {
  for (const std::uint32_t word : words) {
    for (unsigned shift = 0; shift < 32; shift += 8) {
      if (const char character = static_cast<char>(word >> shift & 0xff); character != '\0') {
        sink.character(character);
      }
    }
  }
}

void write_model(TextSink& sink) {
  const Leaf vendor = leaf(0);
  const std::uint32_t words[] = {vendor.ebx, vendor.edx, vendor.ecx};
  const std::uint32_t signature = leaf(1).eax;
  const std::uint32_t family = signature >> 8 & 0xf;
  const std::uint32_t model = signature >> 4 & 0xf;
  sink.text("vendor_id\t: ");
  write_bytes(words, sink);
  sink.text("\ncpu family\t: ").decimal(family == 0xf ? family + (signature >> 20 & 0xff) : family);
  sink.text("\nmodel\t\t: ").decimal(family >= 6 ? model + (signature >> 12 & 0xf0) : model).text("\nmodel name\t: ");
  for (std::uint32_t number = 0x8000'0002; number <= 0x8000'0004; ++number) {
    const Leaf part = leaf(number);
    const std::uint32_t name[] = {part.eax, part.ebx, part.ecx, part.edx};
    write_bytes(name, sink);
  }
  sink.text("\nstepping\t: ").decimal(signature & 0xf).text("\n");
}

}  // namespace

Result<void> write_cpuinfo(Files& /*files*/, const ProcSubject& /*subject*/, TextSink& sink) {
  const unsigned count = system_figures().cpu_count;
  const Leaf sizes = leaf(0x8000'0008);
  const std::uint32_t line = (leaf(1).ebx >> 8 & 0xff) * 8;
  for (unsigned cpu = 0; cpu < count; ++cpu) {
    sink.text("processor\t: ").decimal(cpu).text("\n");
    write_model(sink);
    sink.text("physical id\t: 0\nsiblings\t: ").decimal(count).text("\ncore id\t\t: ").decimal(cpu);
    sink.text("\ncpu cores\t: ").decimal(count).text("\napicid\t\t: ").decimal(cpu);
    sink.text("\ninitial apicid\t: ").decimal(cpu).text("\nfpu\t\t: yes\nfpu_exception\t: yes\ncpuid level\t: ");
    sink.decimal(leaf(0).eax).text("\nwp\t\t: yes\nflags\t\t:");
    for (const Features& features : kFeatures) {
      write_flags(features, sink);
    }
    sink.text("\nbugs\t\t:\nclflush size\t: ").decimal(line).text("\ncache_alignment\t: ").decimal(line);
    sink.text("\naddress sizes\t: ").decimal(sizes.eax & 0xff).text(" bits physical, ");
    sink.decimal(sizes.eax >> 8 & 0xff).text(" bits virtual\npower management:\n\n");
  }
  return {};
}

// The timer's: the first CPU's always runs, the others' only while they have something to do.
std::uint64_t timer_interrupts(const SystemFigures& figures, unsigned cpu) {
  constexpr std::uint64_t kTick = 10'000'000;
  const SystemFigures::CpuTimes& times = figures.cpus[cpu];
  return (cpu == 0 ? times.user + times.system + times.idle : times.user + times.system).value() / kTick;
}

Result<void> write_interrupts(Files& /*files*/, const ProcSubject& /*subject*/, TextSink& sink) {
  const SystemFigures figures = system_figures();
  sink.text("           ");
  for (unsigned cpu = 0; cpu < figures.cpu_count; ++cpu) {
    sink.text("CPU").decimal_left(cpu, 8);
  }
  sink.text("\nLOC: ");
  for (unsigned cpu = 0; cpu < figures.cpu_count; ++cpu) {
    sink.decimal(timer_interrupts(figures, cpu), 10).text(" ");
  }
  sink.text("  Local timer interrupts\nTLB: ");
  for (unsigned cpu = 0; cpu < figures.cpu_count; ++cpu) {
    sink.decimal(figures.flushes_received[cpu], 10).text(" ");
  }
  sink.text("  TLB shootdowns\n");
  return {};
}

}  // namespace vellum::unix
