// /sys: the processors, the one node that all memory belongs to, and where large pages are made, as Linux shows them.
#include <vellum/unix/process_view.hpp>

#include "proc.hpp"

namespace vellum::unix {

namespace {

unsigned cpu_count() { return system_figures().cpu_count; }

// A set of CPUs, first to last: as hexadecimal digits, as many as all CPUs need, or as ranges.
void write_mask(unsigned first, unsigned last, TextSink& sink) {
  const std::uint64_t bits = (std::uint64_t{2} << last) - (std::uint64_t{1} << first);
  sink.hexadecimal(bits, (cpu_count() + 3) / 4).text("\n");
}
void write_list(unsigned first, unsigned last, TextSink& sink) {
  sink.decimal(first);
  if (last != first) {
    sink.text("-").decimal(last);
  }
  sink.text("\n");
}

Result<void> write_all_mask(Files& /*files*/, const ProcSubject& /*subject*/, TextSink& sink) {
  write_mask(0, cpu_count() - 1, sink);
  return {};
}
Result<void> write_all_list(Files& /*files*/, const ProcSubject& /*subject*/, TextSink& sink) {
  write_list(0, cpu_count() - 1, sink);
  return {};
}
Result<void> write_own_mask(Files& /*files*/, const ProcSubject& subject, TextSink& sink) {
  write_mask(static_cast<unsigned>(subject.descriptor), static_cast<unsigned>(subject.descriptor), sink);
  return {};
}
Result<void> write_number(Files& /*files*/, const ProcSubject& subject, TextSink& sink) {
  sink.signed_decimal(subject.descriptor).text("\n");
  return {};
}

constexpr char kNone[] = "\n";
constexpr char kZero[] = "0\n";
constexpr char kOne[] = "1\n";
constexpr char kDistance[] = "10\n";

template <const char* kText>
Result<void> write_constant(Files& /*files*/, const ProcSubject& /*subject*/, TextSink& sink) {
  sink.text(kText);
  return {};
}

// The highest number that a CPU may have.
Result<void> write_highest(Files& /*files*/, const ProcSubject& /*subject*/, TextSink& sink) {
  sink.decimal(SystemFigures::kMostCpus - 1).text("\n");
  return {};
}

// Each CPU is a core of its own; all are in one package.
constexpr ProcSpec kTopologyTable[] = {
    {.name = "core_cpus", .write = write_own_mask},
    {.name = "core_cpus_list", .write = write_number},
    {.name = "core_id", .write = write_number},
    {.name = "core_siblings", .write = write_all_mask},
    {.name = "core_siblings_list", .write = write_all_list},
    {.name = "die_cpus", .write = write_all_mask},
    {.name = "die_cpus_list", .write = write_all_list},
    {.name = "die_id", .write = write_constant<kZero>},
    {.name = "package_cpus", .write = write_all_mask},
    {.name = "package_cpus_list", .write = write_all_list},
    {.name = "physical_package_id", .write = write_constant<kZero>},
    {.name = "thread_siblings", .write = write_own_mask},
    {.name = "thread_siblings_list", .write = write_number},
};
constexpr ProcSpec kCpuTable[] = {
    {.name = "online", .write = write_constant<kOne>},
    {.name = "topology", .kind = NodeKind::directory, .permissions = 0555, .table = kTopologyTable},
};
constexpr ProcSpec kCpu = {.name = "", .kind = NodeKind::directory, .permissions = 0555, .table = kCpuTable};

constexpr ProcSpec kCpusTable[] = {
    {.name = "online", .write = write_all_list},          {.name = "possible", .write = write_all_list},
    {.name = "present", .write = write_all_list},         {.name = "offline", .write = write_constant<kNone>},
    {.name = "isolated", .write = write_constant<kNone>}, {.name = "kernel_max", .write = write_highest},
};
constexpr ProcSpec kMemoryNodeTable[] = {
    {.name = "cpulist", .write = write_all_list},
    {.name = "cpumap", .write = write_all_mask},
    {.name = "distance", .write = write_constant<kDistance>},
};
constexpr ProcSpec kMemoryNodesTable[] = {
    {.name = "online", .write = write_constant<kZero>},
    {.name = "possible", .write = write_constant<kZero>},
    {.name = "has_cpu", .write = write_constant<kZero>},
    {.name = "has_memory", .write = write_constant<kZero>},
    {.name = "has_normal_memory", .write = write_constant<kZero>},
    {.name = "node0", .kind = NodeKind::directory, .permissions = 0555, .table = kMemoryNodeTable},
};
constexpr ProcSpec kSystemDevicesTable[] = {
    {.name = "cpu",
     .kind = NodeKind::directory,
     .permissions = 0555,
     .table = kCpusTable,
     .children = ProcChildren::cpus},
    {.name = "node", .kind = NodeKind::directory, .permissions = 0555, .table = kMemoryNodesTable},
};
constexpr ProcSpec kDevicesTable[] = {
    {.name = "system", .kind = NodeKind::directory, .permissions = 0555, .table = kSystemDevicesTable},
};
// Linux's words for where large pages are made.
struct LargePagesWord {
  LargePages policy;
  std::string_view word;
};
constexpr LargePagesWord kLargePagesWords[] = {
    {LargePages::where_they_pay, "always"}, {LargePages::where_advised, "madvise"}, {LargePages::never, "never"}};

Result<void> write_large_pages(Files& files, const ProcSubject& /*subject*/, TextSink& sink) {
  const LargePages now = files.virtual_memory().large_pages.load(std::memory_order_relaxed);
  for (const LargePagesWord& one : kLargePagesWords) {
    const bool chosen = one.policy == now;
    sink.text(&one == kLargePagesWords ? "" : " ").text(chosen ? "[" : "").text(one.word).text(chosen ? "]" : "");
  }
  sink.text("\n");
  return {};
}
Result<void> store_large_pages(Files& files, const ProcSubject& /*subject*/, std::string_view text) {
  for (const LargePagesWord& one : kLargePagesWords) {
    if (text == one.word || (text.starts_with(one.word) && text.substr(one.word.size()) == "\n")) {
      files.virtual_memory().large_pages.store(one.policy, std::memory_order_relaxed);
      return {};
    }
  }
  return Errno::invalid;
}
Result<void> write_large_page_size(Files& /*files*/, const ProcSubject& /*subject*/, TextSink& sink) {
  sink.decimal(entry_span<Format>(2).value() * kPageSize).text("\n");
  return {};
}

constexpr ProcSpec kLargePagesTable[] = {
    {.name = "enabled", .permissions = 0644, .write = write_large_pages, .store = store_large_pages},
    {.name = "hpage_pmd_size", .write = write_large_page_size},
    {.name = "use_zero_page", .write = write_constant<kZero>},
};
constexpr ProcSpec kKernelMemoryTable[] = {
    {.name = "transparent_hugepage", .kind = NodeKind::directory, .permissions = 0555, .table = kLargePagesTable},
};
constexpr ProcSpec kKernelTable[] = {
    {.name = "mm", .kind = NodeKind::directory, .permissions = 0555, .table = kKernelMemoryTable},
};
constexpr ProcSpec kSysTable[] = {
    {.name = "devices", .kind = NodeKind::directory, .permissions = 0555, .table = kDevicesTable},
    {.name = "kernel", .kind = NodeKind::directory, .permissions = 0555, .table = kKernelTable},
};

}  // namespace

std::span<const ProcSpec> sys_table() { return kSysTable; }
const ProcSpec& sys_cpu() { return kCpu; }

}  // namespace vellum::unix
