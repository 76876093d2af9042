// From a number to a handler and back to the program; tracing; calls that there are not.

#include <vellum/unix/lifecycle.hpp>
#include <vellum/unix/memory_pressure.hpp>
#include <vellum/unix/process_system.hpp>
#include <vellum/unix/system_call.hpp>
#include <vellum/unix/system_lock.hpp>
#include <vellum/unix/text_sink.hpp>

#include "names.hpp"
#include "trace.hpp"

namespace vellum::unix {

namespace {

constexpr unsigned kMostCalls = 512;

// The handlers by number.
struct CallTable {
  const SystemCall* calls[kMostCalls] = {};
  std::atomic<bool> reported[kMostCalls + 1] = {};  // unknown calls; the last for all numbers beyond
  bool is_filled = false;
};
constinit CallTable table;

void fill_table() {
  for_each_system_call([](const SystemCall& call) {
    VELLUM_CHECK(call.number < kMostCalls && table.calls[call.number] == nullptr);
    table.calls[call.number] = &call;
  });
  table.is_filled = true;
}

void report_unknown(ProcessSystem& system, std::uint64_t number) {
  const std::uint64_t slot = number < kMostCalls ? number : kMostCalls;
  if (table.reported[slot].exchange(true, std::memory_order_relaxed)) {
    return;
  }
  char line[96];
  FixedText text(line);
  text.text("system call not implemented: ");
  if (const char* const name = linux_call_name(number); name != nullptr) {
    text.text(name);
  } else {
    text.text("number ").decimal(number);
  }
  text.text(" (");
  for (const char character : std::string_view(this_process().name)) {
    text.character(character >= ' ' && character <= '~' ? character : '?');
  }
  text.character(')');
  system.reporter.log(text.view());
}

// Which calls go on after a signal, and how; Linux's choice for each.
Restart restart_of(std::uint64_t number) {
  switch (number) {
    case 7:    // poll
    case 23:   // select
    case 34:   // pause
    case 35:   // nanosleep
    case 130:  // rt_sigsuspend
    case 230:  // clock_nanosleep
    case 270:  // pselect6
    case 271:  // ppoll
      return Restart::unhandled;
    case 59:   // execve
    case 128:  // rt_sigtimedwait
    case 232:  // epoll_wait
    case 281:  // epoll_pwait
      return Restart::never;
    default:
      return Restart::if_asked;
  }
}

using Serve = std::uint64_t (*)(const SystemCall& call, const Arguments& arguments);

std::uint64_t serve(const SystemCall& call, const Arguments& arguments) {
  const Result<std::uint64_t> result = call.handler(arguments);
  if (result.ok()) [[likely]] {
    return result.value();
  }
  report_refusal();
  return encoded(result.error());
}

std::uint64_t serve_in_its_place(const SystemCall& call, const Arguments& arguments) {
  if (call.served == Served::beside_system) {
    return serve(call, arguments);
  }
  const InSystem in_system;
  return serve(call, arguments);
}

template <Serve kServe>
void dispatch(UserRegisters& registers) {
  if (!table.is_filled) [[unlikely]] {
    fill_table();
  }
  const std::uint64_t number = registers.error_code;
  const Arguments arguments = {
      {registers.rdi, registers.rsi, registers.rdx, registers.r10, registers.r8, registers.r9}};
  const SystemCall* const call = number < kMostCalls ? table.calls[number] : nullptr;
  Thread& thread = this_thread();
  thread.restart = Restart::none;
  if (thread.system.trace) [[unlikely]] {
    registers.rax = traced_call(thread, number, call, arguments);
  } else if (call != nullptr) [[likely]] {
    registers.rax = kServe(*call, arguments);
  } else {
    registers.rax = encoded(Errno::no_call);
  }
  if (call == nullptr) [[unlikely]] {
    const InSystem in_system;
    report_unknown(thread.system, number);
  } else if (registers.rax == encoded(Errno::interrupted)) {
    thread.restart = restart_of(number);
  }
}

}  // namespace

void on_system_call(UserRegisters& registers) { dispatch<serve>(registers); }
void on_system_call_of_several(UserRegisters& registers) { dispatch<serve_in_its_place>(registers); }

}  // namespace vellum::unix
