#include <vellum/unix/credentials.hpp>

namespace vellum::unix {

Limits Limits::initial(std::uint64_t most_processes) {
  Limits limits;
  limits[Resource::stack].soft = 8U << 20;
  limits[Resource::core].soft = 0;
  limits[Resource::processes] = {.soft = most_processes, .hard = most_processes};
  limits[Resource::files] = {.soft = 1024, .hard = 4096};
  limits[Resource::locked_memory] = {.soft = 8U << 20, .hard = 8U << 20};
  limits[Resource::pending_signals] = {.soft = most_processes, .hard = most_processes};
  limits[Resource::message_queues] = {.soft = 819200, .hard = 819200};
  limits[Resource::nice] = {.soft = 0, .hard = 0};
  limits[Resource::realtime_priority] = {.soft = 0, .hard = 0};
  return limits;
}

}  // namespace vellum::unix
