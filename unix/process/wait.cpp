// wait4, waitid; what processes used.

#include <algorithm>

#include <vellum/unix/lifecycle.hpp>
#include <vellum/unix/signals.hpp>

namespace vellum::unix {

namespace {

bool is_meant(const Process& child, const WaitRequest& request) VELLUM_REQUIRES(process_lock) {
  if (child.adopted) {
    return false;
  }
  const bool is_clone = child.exit_signal != signal::kChild;
  if (is_clone != request.clones_only && !request.all_kinds) {
    return false;
  }
  switch (request.which) {
    case WaitRequest::Which::any:
      return true;
    case WaitRequest::Which::process:
      return child.id == request.id;
    case WaitRequest::Which::group:
      return child.group == request.id;
  }
  return false;
}

WaitResult result_of(Process& child, WaitStatus status, WaitResult::Event event) VELLUM_REQUIRES(process_lock) {
  return {.process = child.id,
          .status = status,
          .user = child.credentials.user.real,
          .usage = usage_of(child),
          .event = event};
}

// What a child has to tell; it is told once, but for request.keep.
std::optional<WaitResult> look_at(Process& child, const WaitRequest& request) VELLUM_REQUIRES(process_lock) {
  if (child.state == ProcessState::zombie) {
    return request.exited ? std::optional(result_of(child, child.status, WaitResult::Event::exited)) : std::nullopt;
  }
  if (request.stopped && child.stop_unreported && child.stopped) {
    child.stop_unreported = request.keep;
    return result_of(child, WaitStatus::stopped(child.stop_signal), WaitResult::Event::stopped);
  }
  if (request.continued && child.continue_unreported) {
    child.continue_unreported = request.keep;
    return result_of(child, WaitStatus::continued(), WaitResult::Event::continued);
  }
  return std::nullopt;
}

struct Look {
  bool any = false;  // a child is meant
  std::optional<WaitResult> result;
  Process* ended = nullptr;  // to be destroyed
};

Look look(Process& parent, const WaitRequest& request) {
  const LockGuard guard(process_lock);
  Look look;
  for (Process* child = parent.children.front(); child != nullptr; child = parent.children.next(*child)) {
    if (!is_meant(*child, request)) {
      continue;
    }
    look.any = true;
    look.result = look_at(*child, request);
    if (look.result) {
      if (look.result->event == WaitResult::Event::exited && !request.keep) {
        parent.children_usage.add(look.result->usage);
        parent.children_usage.add(child->children_usage);
        parent.system.leave(*child);
        look.ended = child;
      }
      break;
    }
  }
  return look;
}

}  // namespace

Result<WaitResult> wait_for_child(const WaitRequest& request) {
  Process& self = this_process();
  Sleep sleep;
  const Sleep::In in(sleep, self.child_events);
  for (;;) {
    const Look found = look(self, request);
    if (found.ended != nullptr) {
      self.system.destroy_process(*found.ended);
    }
    if (found.result) {
      return *found.result;
    }
    if (!found.any) {
      return Errno::no_child;
    }
    if (request.no_hang) {
      return WaitResult{};
    }
    if (sleep.until() == Wakeup::signal) {
      return Errno::interrupted;
    }
  }
}

void note_residence(Process& process) {
  if (Program* const program = process.program; program != nullptr) {
    const std::uint64_t now = program->space.residence().pages.value();
    if (now > program->peak_resident.load(std::memory_order_relaxed)) {
      program->peak_resident.store(now, std::memory_order_relaxed);
    }
  }
}

Usage usage_of(Process& process) {
  std::uint64_t ran = process.ended_threads_ran.load(std::memory_order_relaxed);
  process.threads.for_each([&](Thread& thread) {
    ran += thread.ran.load(std::memory_order_relaxed);
    if (&thread == current_thread()) {
      ran += (monotonic_now() - thread.ran_since).value();
    }
  });
  const std::uint64_t user = process.user_ticks.load(std::memory_order_relaxed) * kTickLength.value();
  Usage usage;
  usage.user_nanoseconds = std::min(user, ran);
  usage.system_nanoseconds = ran - usage.user_nanoseconds;
  usage.minor_faults = process.minor_faults.load(std::memory_order_relaxed);
  usage.major_faults = process.major_faults.load(std::memory_order_relaxed);
  if (process.program != nullptr) {
    usage.most_resident = process.program->peak_resident.load(std::memory_order_relaxed);
  } else {
    usage.most_resident = process.most_resident;
  }
  return usage;
}

}  // namespace vellum::unix
