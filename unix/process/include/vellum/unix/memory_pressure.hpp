// When memory, or the number of threads, is used up: somebody has to end, and the rest goes on.
#pragma once

#include <vellum/unix/process_system.hpp>

namespace vellum::unix {

// Memory is lacking for an access of the calling thread's program. Ends the process that holds the most, unless one is
// ending already, and lets others run; afterwards the access is to be tried again, if the thread is not to end itself.
void relieve_memory();
// There cannot be more threads. Ends the processes that have taken them, if there are such.
void relieve_threads(ProcessSystem& system);

}  // namespace vellum::unix
