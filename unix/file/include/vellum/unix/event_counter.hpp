// Event counters (eventfd): a number that writes add to and reads take away.
#pragma once

#include <vellum/unix/files.hpp>

namespace vellum::unix {

enum class EventCounting : bool { all_at_once, one_by_one };  // EFD_SEMAPHORE

// `flags`: non-blocking. Error: no_memory.
[[nodiscard]] Result<Ref<OpenFile>> create_event_counter(Files& files, std::uint64_t initial, EventCounting counting,
                                                         std::uint32_t flags);

}  // namespace vellum::unix
