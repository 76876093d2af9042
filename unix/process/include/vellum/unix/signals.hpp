// Sending signals, and what becomes of them before a thread goes on in user mode.
#pragma once

#include <vellum/unix/process_system.hpp>

namespace vellum::unix {

// --- sending (send_signal.cpp)

// Sends a signal to a process, or to one thread of it. Where memory lacks for what is told about it, it comes without.
// From interrupts too. What is ignored is forgotten.
void send_signal(Process& process, const SignalInfo& info) VELLUM_REQUIRES(process_lock);
void send_thread_signal(Thread& thread, const SignalInfo& info) VELLUM_REQUIRES(process_lock);
// Of a thread, or of any; queues what the lender lends, if it can. Without allocating.
void send_lent_signal(Process& process, Thread* only, QueuedSignal& lent) VELLUM_REQUIRES(process_lock);
// Without allocating: for callbacks of timers.
void send_plain_signal(Process& process, Signal signal) VELLUM_REQUIRES(process_lock);
// Ends a process whatever it does.
void kill_process(Process& process) VELLUM_REQUIRES(process_lock);
void signal_group_locked(ProcessSystem& system, ProcessId group, const SignalInfo& info) VELLUM_REQUIRES(process_lock);
// kill(2)'s rule.
[[nodiscard]] bool may_signal(const Process& sender, const Process& target, Signal signal)
    VELLUM_REQUIRES(process_lock);
// A signal that its own instruction causes: cannot be blocked or ignored.
void force_signal(Thread& thread, const SignalInfo& info);
// Whether nobody in the group has a parent outside of the group and inside of the session.
[[nodiscard]] bool is_orphaned(ProcessSystem& system, ProcessId group, const Process* leaving = nullptr)
    VELLUM_REQUIRES(process_lock);

// Sets `interrupted` to whether there is something to do before user mode.
void reconsider(Thread& thread) VELLUM_REQUIRES(process_lock);
void set_blocked(Thread& thread, SignalSet blocked) VELLUM_REQUIRES(process_lock);
// The signals that wait for a thread, blocked or not.
[[nodiscard]] SignalSet waiting_for(Thread& thread) VELLUM_REQUIRES(process_lock);
// Whether the thread is to end as soon as it can: it was told to, or a signal waits for it that ends its process.
[[nodiscard]] bool must_end(Thread& thread) VELLUM_EXCLUDES(process_lock);
// Takes one of `wanted`, if one waits.
[[nodiscard]] std::optional<SignalInfo> take_signal(Thread& thread, SignalSet wanted) VELLUM_EXCLUDES(process_lock);
// Frees what waits for nobody any more.
void free_signals(ProcessSystem& system, PendingSignals::List& spent);

// For the time of a system call like sigsuspend or ppoll: afterwards, and in a handler's frame, the mask is what it
// was. A call that ends without being interrupted calls end_temporary_mask.
void begin_temporary_mask(Thread& thread, SignalSet blocked) VELLUM_EXCLUDES(process_lock);
void end_temporary_mask(Thread& thread) VELLUM_EXCLUDES(process_lock);

// --- frames (signal_frame.cpp)

// Makes the thread enter a handler. False: there is no room on its stack.
[[nodiscard]] bool enter_handler(Thread& thread, UserRegisters& registers, const SignalAction& action,
                                 const SignalInfo& info, SignalSet saved_mask);
// sigreturn: what the frame on the stack says. False: there is none.
[[nodiscard]] bool leave_handler(Thread& thread, UserRegisters& registers);

}  // namespace vellum::unix
