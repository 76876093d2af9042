// What this layer asks of the thread that calls it, and of processes: a port that unix/process implements (and the
// processor part, for clock and randomness); tests implement it too. The functions do not sleep.
#pragma once

#include <span>

#include <vellum/unix/file_table.hpp>
#include <vellum/unix/types.hpp>

namespace vellum::unix {

// --- the calling thread

// Its descriptors and directories: good for as long as the thread is in this system call.
[[nodiscard]] FileContext& calling_files();
// With the effective ids; the groups are good as long as calling_files().
[[nodiscard]] FileCredentials calling_credentials();
// With the real ids, for access(2).
[[nodiscard]] FileCredentials calling_real_credentials();
[[nodiscard]] std::uint64_t calling_open_file_limit();  // RLIMIT_NOFILE
[[nodiscard]] ByteCount calling_file_size_limit();      // RLIMIT_FSIZE; all ones where there is none
[[nodiscard]] ProcessId calling_process();
[[nodiscard]] ProcessId calling_thread();
// Sends the calling thread a signal (SIGPIPE, SIGXFSZ).
void raise_signal(Signal signal);

// --- job control, for terminals

[[nodiscard]] ProcessId calling_group();
[[nodiscard]] ProcessId calling_session();
[[nodiscard]] bool calling_leads_session();
// Whether the calling thread ignores or blocks it.
[[nodiscard]] bool calling_resists(Signal signal);
// Whether nobody outside of the calling process's group but inside its session looks after it.
[[nodiscard]] bool calling_group_is_orphaned();
[[nodiscard]] bool group_is_in_session(ProcessId group, ProcessId session);
// Signals a process group; from interrupts too.
void signal_group(ProcessId group, Signal signal);

// --- the processor part

[[nodiscard]] Nanoseconds realtime_now();  // since 1970
void fill_random(std::span<std::byte> bytes);

}  // namespace vellum::unix
