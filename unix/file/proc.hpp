// /proc and /sys: nodes that are made for whoever asks, from tables that say what there is.
#pragma once

#include <vellum/unix/files.hpp>
#include <vellum/unix/process_view.hpp>

namespace vellum::unix {

// What a node of /proc is about.
struct ProcSubject {
  ProcessId process;    // 0: the system
  ProcessId thread;     // of the process; the process itself but below task/
  int descriptor = -1;  // or, in /sys, a CPU
};

// What a directory holds besides the entries of its table.
enum class ProcChildren : std::uint8_t { none, processes, threads, descriptors, descriptor_infos, cpus };

// An entry of /proc. Tables of them are constant.
struct ProcSpec {
  std::string_view name;
  NodeKind kind = NodeKind::file;
  std::uint16_t permissions = 0444;
  // A file's text. Error: no_process, access_denied.
  Result<void> (*write)(Files& files, const ProcSubject& subject, TextSink& sink) = nullptr;
  // Takes what is written to a file; without it nothing may be. Errors: invalid, access_denied.
  Result<void> (*store)(Files& files, const ProcSubject& subject, std::string_view text) = nullptr;
  // A file's bytes, instead of a text; nothing at its end. Errors: invalid, and as above.
  Result<void> (*read)(Files& files, const ProcSubject& subject, ByteCount position, Transfer& to) = nullptr;
  // A symlink's: where it leads, or the text that is followed.
  Result<Path> (*place)(Files& files, const ProcSubject& subject) = nullptr;
  Result<void> (*target)(Files& files, const ProcSubject& subject, TextSink& sink) = nullptr;
  // A directory's.
  std::span<const ProcSpec> table{};
  ProcChildren children = ProcChildren::none;
};

[[nodiscard]] Result<Ref<FileSystem>> create_proc(Files& files);
[[nodiscard]] Result<Ref<FileSystem>> create_sys(Files& files);

// Tables: of /proc itself, of a process (or thread), and what a descriptor's entries are.
[[nodiscard]] std::span<const ProcSpec> proc_system_table();
[[nodiscard]] std::span<const ProcSpec> proc_process_table();
[[nodiscard]] std::span<const ProcSpec> proc_thread_table();
// An int of C in what was written to a file. Error: invalid.
[[nodiscard]] Result<std::int32_t> integer_in(std::string_view text);
inline constexpr std::size_t kMemorySettingCount = 7;
extern const ProcSpec kMemorySettings[kMemorySettingCount];  // /proc/sys/vm
[[nodiscard]] const ProcSpec& proc_descriptor_link();
[[nodiscard]] const ProcSpec& proc_descriptor_info();
// Those of /sys, and of the directory of a CPU there.
[[nodiscard]] std::span<const ProcSpec> sys_table();
[[nodiscard]] const ProcSpec& sys_cpu();

// Of /proc.
[[nodiscard]] Result<void> write_cpuinfo(Files& files, const ProcSubject& subject, TextSink& sink);
[[nodiscard]] std::uint64_t timer_interrupts(const SystemFigures& figures, unsigned cpu);
[[nodiscard]] Result<void> write_interrupts(Files& files, const ProcSubject& subject, TextSink& sink);

// mounts and mountinfo, as seen from a process's root.
[[nodiscard]] Result<void> write_mounts(Files& files, const ProcSubject& subject, TextSink& sink);
[[nodiscard]] Result<void> write_mount_info(Files& files, const ProcSubject& subject, TextSink& sink);

}  // namespace vellum::unix
