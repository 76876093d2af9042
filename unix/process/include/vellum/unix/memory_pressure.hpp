// When memory, or the number of threads, is used up: somebody has to end, and the rest goes on.
#pragma once

#include <vellum/unix/process_system.hpp>

namespace vellum::unix {

// What /proc/PID/oom_score_adj says of a process that is not to be ended while there is any other.
inline constexpr std::int16_t kNeverForMemory = -1000;
// By how much a process that holds so many pages is to be ended rather than others: these, and `adjustment` thousandths
// of all memory. The least there is for kNeverForMemory.
[[nodiscard]] std::int64_t oom_badness(PageCount held, std::int16_t adjustment, PageCount total);
// Memory is lacking for an access of the calling thread's program. Ends the process of the highest oom_badness, unless
// one is ending already, and lets others run; afterwards the access is to be tried again, if the thread is not to end
// itself.
void relieve_memory();
// There cannot be more threads. Ends the processes that have taken them, if there are such.
void relieve_threads(ProcessSystem& system);

// The budget of promises (Commitment::set_budget) refused pages to the calling thread. Any lock may be held.
void note_refusal(PageCount pages);
// Tells, once, who holds what, if such a refusal was noted. To be called where its error goes to the program.
void report_refusal();

}  // namespace vellum::unix
