// /proc: what is about the whole system.
#include <algorithm>
#include <initializer_list>

#include <vellum/unix/file_caller.hpp>
#include <vellum/unix/frame_figures.hpp>
#include <vellum/unix/scratch.hpp>

#include "proc.hpp"

namespace vellum::unix {

namespace {

constexpr std::uint64_t kKibPerPage = kPageSize / 1024;
constexpr std::uint64_t kTicksPerSecond = 100;

std::uint64_t ticks(Nanoseconds time) { return time.value() / (1'000'000'000 / kTicksPerSecond); }

void kilobytes(TextSink& sink, std::string_view name, std::uint64_t value) {
  sink.left(name, 16).decimal(value, 8).text(" kB\n");
}

}  // namespace

FrameFigures count_frames(PhysicalMemory& memory) {
  FrameFigures figures;
  std::uint64_t left = memory.total_count().value();
  for (Pfn pfn(0); left > 0; pfn = Pfn(pfn.value() + 1)) {
    if (!memory.is_managed(pfn)) {
      continue;
    }
    --left;
    const Frame& frame = memory.frame(pfn);
    if (frame.kind() == FrameKind::anonymous) {
      ++figures.anonymous;
    } else if (frame.kind() == FrameKind::object) {
      ++(frame.owner<FileObject>() != nullptr ? figures.shared : figures.files);
    } else if (frame.kind() == FrameKind::page_table) {
      ++figures.tables;
    }
  }
  return figures;
}

namespace {

Result<void> write_meminfo(Files& files, const ProcSubject& /*subject*/, TextSink& sink) {
  PhysicalMemory& memory = files.virtual_memory().memory;
  const Commitment& commitment = files.virtual_memory().objects.commitment();
  const FrameFigures used = count_frames(memory);
  const std::uint64_t total = memory.total_count().value();
  const std::uint64_t free = memory.free_count().value();
  const std::uint64_t programs = used.anonymous + used.files + used.shared + used.tables;
  const SystemFigures system = system_figures();
  const MappedFigures mapped = mapped_figures();
  const std::uint64_t stacks = system.stack_pages;
  const std::uint64_t kernel = total - std::min(total, free + programs + stacks);
  const auto pages = [&sink](std::string_view name, std::uint64_t count) {
    kilobytes(sink, name, count * kKibPerPage);
  };
  const auto nothing = [&sink](std::initializer_list<std::string_view> names) {
    for (const std::string_view name : names) {
      kilobytes(sink, name, 0);
    }
  };
  pages("MemTotal:", total);
  pages("MemFree:", free);
  pages("MemAvailable:",
        free + used.files - std::min(used.files / 2, Watermarks::for_total(memory.total_count()).low.value()));
  nothing({"Buffers:"});
  pages("Cached:", used.files + used.shared);
  nothing({"SwapCached:"});
  pages("Active:", used.anonymous);
  pages("Inactive:", used.files + used.shared);
  pages("Active(anon):", used.anonymous);
  pages("Inactive(anon):", used.shared);
  nothing({"Active(file):"});
  pages("Inactive(file):", used.files);
  pages("Unevictable:", mapped.locked + mapped.kept);
  pages("Mlocked:", mapped.locked);
  nothing({"SwapTotal:", "SwapFree:", "Zswap:", "Zswapped:", "Dirty:", "Writeback:"});
  pages("AnonPages:", used.anonymous);
  pages("Mapped:", mapped.objects);
  pages("Shmem:", used.shared);
  nothing({"KReclaimable:"});
  pages("Slab:", kernel);
  nothing({"SReclaimable:"});
  pages("SUnreclaim:", kernel);
  pages("KernelStack:", stacks);
  pages("PageTables:", used.tables);
  nothing({"SecPageTables:", "NFS_Unstable:", "Bounce:", "WritebackTmp:"});
  pages("CommitLimit:", commitment.limit().value());
  pages("Committed_AS:", commitment.committed().value());
  kilobytes(sink, "VmallocTotal:", 34359738367);
  kilobytes(sink, "VmallocUsed:", 0);
  kilobytes(sink, "VmallocChunk:", 0);
  kilobytes(sink, "Percpu:", 0);
  sink.text("HardwareCorrupted:     0 kB\n");
  const EventCounts& events = files.virtual_memory().nodes.events();
  const std::uint64_t large_dropped = events.total(MemoryEvent::large_dropped);
  pages("AnonHugePages:", (events.total(MemoryEvent::large_made) - large_dropped) * entry_span<Format>(2).value());
  nothing({"ShmemHugePages:", "ShmemPmdMapped:", "FileHugePages:", "FilePmdMapped:"});
  sink.text("HugePages_Total:       0\nHugePages_Free:        0\nHugePages_Rsvd:        0\nHugePages_Surp:        0\n");
  kilobytes(sink, "Hugepagesize:", 2048);
  kilobytes(sink, "Hugetlb:", 0);
  kilobytes(sink, "DirectMap4k:", 0);
  pages("DirectMap2M:", total);
  kilobytes(sink, "DirectMap1G:", 0);
  return {};
}

void hundredths(TextSink& sink, std::uint64_t value) {
  sink.decimal(value / 100).text(".").decimal(value % 100, 2, '0');
}

SystemFigures::CpuTimes sum(const SystemFigures& figures) {
  SystemFigures::CpuTimes sum;
  for (const SystemFigures::CpuTimes& cpu : std::span(figures.cpus).first(figures.cpu_count)) {
    sum.user += cpu.user;
    sum.system += cpu.system;
    sum.idle += cpu.idle;
  }
  return sum;
}

Result<void> write_uptime(Files& /*files*/, const ProcSubject& /*subject*/, TextSink& sink) {
  hundredths(sink, ticks(monotonic_now()));
  sink.text(" ");
  hundredths(sink, ticks(sum(system_figures()).idle));
  sink.text("\n");
  return {};
}

Result<void> write_loadavg(Files& /*files*/, const ProcSubject& /*subject*/, TextSink& sink) {
  const SystemFigures figures = system_figures();
  for (const std::uint32_t load : figures.load_hundredths) {
    hundredths(sink, load);
    sink.text(" ");
  }
  sink.decimal(figures.running).text("/").decimal(figures.threads).text(" ");
  sink.signed_decimal(figures.last_made.value()).text("\n");
  return {};
}

void write_times(TextSink& sink, const SystemFigures::CpuTimes& times) {
  sink.text(" ").decimal(ticks(times.user)).text(" 0 ").decimal(ticks(times.system)).text(" ");
  sink.decimal(ticks(times.idle)).text(" 0 0 0 0 0 0\n");
}

Result<void> write_stat(Files& /*files*/, const ProcSubject& /*subject*/, TextSink& sink) {
  const SystemFigures figures = system_figures();
  const std::uint64_t boot = (realtime_now() - monotonic_now()).value() / 1'000'000'000;
  sink.text("cpu ");
  write_times(sink, sum(figures));
  for (unsigned i = 0; i < figures.cpu_count; ++i) {
    sink.text("cpu").decimal(i);
    write_times(sink, figures.cpus[i]);
  }
  std::uint64_t interrupts = 0;
  for (unsigned i = 0; i < figures.cpu_count; ++i) {
    interrupts += timer_interrupts(figures, i);
  }
  sink.text("intr ").decimal(interrupts).text("\nctxt ").decimal(figures.context_switches);
  sink.text("\nbtime ").decimal(boot);
  sink.text("\nprocesses ").decimal(figures.processes_made);
  sink.text("\nprocs_running ").decimal(figures.running);
  sink.text("\nprocs_blocked ").decimal(figures.blocked);
  sink.text("\nsoftirq 0 0 0 0 0 0 0 0 0 0 0\n");
  return {};
}

// Linux's names, of what is counted here too: pages in use, then events since boot. A frame is given out for a page
// that is filled, copied or read from a file, or for a table.
Result<void> write_vmstat(Files& files, const ProcSubject& /*subject*/, TextSink& sink) {
  const VirtualMemory<Format>& memory = files.virtual_memory();
  const FrameFigures used = count_frames(files.virtual_memory().memory);
  const SystemFigures figures = system_figures();
  const auto line = [&sink](std::string_view name, std::uint64_t value) {
    sink.text(name).text(" ").decimal(value).text("\n");
  };
  const auto count = [&memory](MemoryEvent event) { return memory.nodes.events().total(event); };
  line("nr_free_pages", memory.memory.free_count().value());
  line("nr_zone_inactive_anon", used.shared);
  line("nr_zone_active_anon", used.anonymous);
  line("nr_zone_inactive_file", used.files);
  line("nr_zone_active_file", 0);
  line("nr_inactive_anon", used.shared);
  line("nr_active_anon", used.anonymous);
  line("nr_inactive_file", used.files);
  line("nr_active_file", 0);
  line("nr_unevictable", 0);
  line("nr_anon_pages", used.anonymous);
  line("nr_file_pages", used.files + used.shared);
  line("nr_dirty", 0);
  line("nr_writeback", 0);
  line("nr_shmem", used.shared);
  line("nr_page_table_pages", used.tables);
  line("nr_swapcached", 0);
  line("pgpgin", 0);
  line("pgpgout", 0);
  line("pswpin", count(MemoryEvent::swapped_in));
  line("pswpout", 0);
  line("pgfault", figures.faults);
  line("pgmajfault", figures.major_faults);
  line("pgreuse", count(MemoryEvent::reused));
  std::uint64_t sent = 0;
  std::uint64_t received = 0;
  for (unsigned cpu = 0; cpu < figures.cpu_count; ++cpu) {
    sent += figures.flushes_sent[cpu];
    received += figures.flushes_received[cpu];
  }
  line("nr_tlb_remote_flush", sent);
  line("nr_tlb_remote_flush_received", received);
  return {};
}

Result<void> write_version(Files& /*files*/, const ProcSubject& /*subject*/, TextSink& sink) {
  sink.text("Linux version 6.1.0-vellum (vellum) #1 SMP\n");
  return {};
}

Result<void> write_filesystems(Files& /*files*/, const ProcSubject& /*subject*/, TextSink& sink) {
  for (const std::string_view type : {"sysfs", "tmpfs", "proc", "devtmpfs", "ramfs"}) {
    sink.text("nodev\t").text(type).text("\n");
  }
  return {};
}

Result<void> write_devices(Files& /*files*/, const ProcSubject& /*subject*/, TextSink& sink) {
  sink.text("Character devices:\n  1 mem\n  4 ttyS\n  5 /dev/tty\n  5 /dev/console\n\nBlock devices:\n");
  return {};
}

Result<void> write_command_line(Files& files, const ProcSubject& /*subject*/, TextSink& sink) {
  sink.text(files.command_line).text("\n");
  return {};
}

constexpr char kOne[] = "1\n";
constexpr char kZero[] = "0\n";
constexpr char kRelease[] = "6.1.0-vellum\n";
constexpr char kSystem[] = "Linux\n";
constexpr char kVersion[] = "#1 SMP\n";
constexpr char kHost[] = "vellum\n";
constexpr char kDomain[] = "(none)\n";
constexpr char kMostProcesses[] = "32768\n";
constexpr char kMostThreads[] = "16384\n";
constexpr char kCorePattern[] = "core\n";
constexpr char kMostGroups[] = "65536\n";
constexpr char kLastCapability[] = "40\n";
constexpr char kMostFiles[] = "1048576\n";
constexpr char kLargestSegment[] = "18446744073692774399\n";
constexpr char kMostSegments[] = "4096\n";

template <const char* kText>
Result<void> write_constant(Files& /*files*/, const ProcSubject& /*subject*/, TextSink& sink) {
  sink.text(kText);
  return {};
}

Result<void> write_random_id(Files& /*files*/, const ProcSubject& /*subject*/, TextSink& sink) {
  std::byte bytes[16];
  fill_random(bytes);
  bytes[6] = (bytes[6] & std::byte{0x0f}) | std::byte{0x40};
  bytes[8] = (bytes[8] & std::byte{0x3f}) | std::byte{0x80};
  for (unsigned i = 0; i < sizeof bytes; ++i) {
    sink.text(i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "").hexadecimal(std::to_integer<unsigned>(bytes[i]), 2);
  }
  sink.text("\n");
  return {};
}

Result<void> write_segments(Files& /*files*/, const ProcSubject& /*subject*/, TextSink& sink) {
  write_shared_segments(sink);
  return {};
}

constexpr ProcSpec kRandomTable[] = {
    {.name = "uuid", .write = write_random_id},
};
constexpr ProcSpec kKernelTable[] = {
    {.name = "osrelease", .write = write_constant<kRelease>},
    {.name = "ostype", .write = write_constant<kSystem>},
    {.name = "version", .write = write_constant<kVersion>},
    {.name = "hostname", .permissions = 0644, .write = write_constant<kHost>},
    {.name = "domainname", .permissions = 0644, .write = write_constant<kDomain>},
    {.name = "pid_max", .permissions = 0644, .write = write_constant<kMostProcesses>},
    {.name = "threads-max", .permissions = 0644, .write = write_constant<kMostThreads>},
    {.name = "core_pattern", .permissions = 0644, .write = write_constant<kCorePattern>},
    {.name = "ngroups_max", .write = write_constant<kMostGroups>},
    {.name = "cap_last_cap", .write = write_constant<kLastCapability>},
    {.name = "shmmax", .permissions = 0644, .write = write_constant<kLargestSegment>},
    {.name = "shmall", .permissions = 0644, .write = write_constant<kLargestSegment>},
    {.name = "shmmni", .permissions = 0644, .write = write_constant<kMostSegments>},
    {.name = "randomize_va_space", .permissions = 0644, .write = write_constant<kZero>},
    {.name = "random", .kind = NodeKind::directory, .permissions = 0555, .table = kRandomTable},
};
constexpr ProcSpec kFileTable[] = {
    {.name = "file-max", .permissions = 0644, .write = write_constant<kMostFiles>},
    {.name = "nr_open", .permissions = 0644, .write = write_constant<kMostFiles>},
    {.name = "protected_hardlinks", .permissions = 0600, .write = write_constant<kOne>},
    {.name = "protected_symlinks", .permissions = 0600, .write = write_constant<kZero>},
};
constexpr ProcSpec kSegmentsTable[] = {
    {.name = "shm", .write = write_segments},
};
constexpr ProcSpec kSystemControlTable[] = {
    {.name = "vm", .kind = NodeKind::directory, .permissions = 0555, .table = kMemorySettings},
    {.name = "kernel", .kind = NodeKind::directory, .permissions = 0555, .table = kKernelTable},
    {.name = "fs", .kind = NodeKind::directory, .permissions = 0555, .table = kFileTable},
};

Result<void> target_of_self(Files& /*files*/, const ProcSubject& /*subject*/, TextSink& sink) {
  sink.signed_decimal(calling_process().value());
  return {};
}
Result<void> target_of_thread_self(Files& /*files*/, const ProcSubject& /*subject*/, TextSink& sink) {
  sink.signed_decimal(calling_process().value()).text("/task/").signed_decimal(calling_thread().value());
  return {};
}
Result<void> target_of_mounts(Files& /*files*/, const ProcSubject& /*subject*/, TextSink& sink) {
  sink.text("self/mounts");
  return {};
}

constexpr ProcSpec kSystemTable[] = {
    {.name = "self", .kind = NodeKind::symlink, .permissions = 0777, .target = target_of_self},
    {.name = "thread-self", .kind = NodeKind::symlink, .permissions = 0777, .target = target_of_thread_self},
    {.name = "mounts", .kind = NodeKind::symlink, .permissions = 0777, .target = target_of_mounts},
    {.name = "meminfo", .write = write_meminfo},
    {.name = "uptime", .write = write_uptime},
    {.name = "loadavg", .write = write_loadavg},
    {.name = "stat", .write = write_stat},
    {.name = "vmstat", .write = write_vmstat},
    {.name = "version", .write = write_version},
    {.name = "cpuinfo", .write = write_cpuinfo},
    {.name = "interrupts", .write = write_interrupts},
    {.name = "filesystems", .write = write_filesystems},
    {.name = "devices", .write = write_devices},
    {.name = "cmdline", .write = write_command_line},
    {.name = "sysvipc", .kind = NodeKind::directory, .permissions = 0555, .table = kSegmentsTable},
    {.name = "sys", .kind = NodeKind::directory, .permissions = 0555, .table = kSystemControlTable},
};

// --- mounts

struct MountOption {
  std::uint32_t flag;
  std::string_view text;
};
constexpr MountOption kOptions[] = {{mount_flag::kNoSetUserId, ",nosuid"},
                                    {mount_flag::kNoDevices, ",nodev"},
                                    {mount_flag::kNoExecute, ",noexec"},
                                    {mount_flag::kNoAccessTime, ",noatime"}};

void write_options(const Mount& mount, TextSink& sink) {
  sink.text(mount.is_read_only() ? "ro" : "rw");
  for (const MountOption& option : kOptions) {
    sink.text((mount.flags() & option.flag) != 0 ? option.text : "");
  }
  sink.text((mount.flags() & mount_flag::kNoAccessTime) == 0 ? ",relatime" : "");
}

// Spaces and the like are shown as octal numbers.
void write_escaped(std::string_view text, TextSink& sink) {
  for (const char character : text) {
    if (character == ' ' || character == '\t' || character == '\n' || character == '\\') {
      sink.text("\\").octal(static_cast<std::uint8_t>(character), 3);
    } else {
      sink.character(character);
    }
  }
}

std::string_view source_of(const Mount& mount) { return mount.source().empty() ? "none" : mount.source(); }

// Calls write(mount, the path of its point) for each mount that is seen from a process's root.
template <class Write>
Result<void> for_each_mount(Files& files, const ProcSubject& subject, Write write) {
  const FileContext context = VELLUM_TRY(process_files(subject.process));
  if (!context.paths) {
    return Errno::invalid;
  }
  const Path root = context.paths->root();
  Scratch scratch(files.memory());
  VELLUM_TRY(scratch.allocate(ByteCount(kLongestPath)));
  for (unsigned i = 0; const Ref<Mount> mount = files.mount_at(i); ++i) {
    const Path top = {.mount = mount, .entry = mount->root()};
    const Result<std::string_view> path = files.write_path(top, root, scratch.characters());
    if (path.ok() && path.value().starts_with('/')) {
      write(*mount, path.value());
    }
  }
  return {};
}

}  // namespace

Result<void> write_mounts(Files& files, const ProcSubject& subject, TextSink& sink) {
  return for_each_mount(files, subject, [&](const Mount& mount, std::string_view path) {
    write_escaped(source_of(mount), sink);
    sink.text(" ");
    write_escaped(path, sink);
    sink.text(" ").text(mount.file_system().type()).text(" ");
    write_options(mount, sink);
    sink.text(" 0 0\n");
  });
}

Result<void> write_mount_info(Files& files, const ProcSubject& subject, TextSink& sink) {
  return for_each_mount(files, subject, [&](const Mount& mount, std::string_view path) {
    const std::optional<Path> point = files.point_of(mount);
    const DeviceNumber device = mount.file_system().device();
    sink.decimal(mount.id()).text(" ").decimal(point ? point->mount->id() : mount.id()).text(" ");
    sink.decimal(device.major).text(":").decimal(device.minor).text(" / ");
    write_escaped(path, sink);
    sink.text(" ");
    write_options(mount, sink);
    sink.text(" - ").text(mount.file_system().type()).text(" ");
    write_escaped(source_of(mount), sink);
    sink.text(mount.is_read_only() ? " ro\n" : " rw\n");
  });
}

std::span<const ProcSpec> proc_system_table() { return kSystemTable; }

}  // namespace vellum::unix
