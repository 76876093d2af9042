#include "run_reporter.hpp"

#include <algorithm>

#include <vellum/pc/cpus.hpp>
#include <vellum/unix/memory_account.hpp>
#include <vellum/unix/process_view.hpp>
#include <vellum/unix/processor.hpp>
#include <vellum/unix/user_memory.hpp>

#include "json_text.hpp"

namespace vellum::kernel {

namespace {

using unix::ProgramFault;

std::string_view verdict_name(const unix::FatalFault& fault) {
  switch (fault.kind) {
    case ProgramFault::Kind::page:
      if (fault.signal == unix::signal::kBus) {
        return "bus_error";
      }
      return fault.code == unix::SignalCode::access_denied ? "access_denied" : "no_mapping";
    case ProgramFault::Kind::non_canonical:
      return "non_canonical";
    case ProgramFault::Kind::divide:
      return "divide";
    case ProgramFault::Kind::floating_point:
      return "floating_point";
    case ProgramFault::Kind::illegal:
      return "illegal";
    case ProgramFault::Kind::breakpoint:
      return "breakpoint";
    case ProgramFault::Kind::single_step:
      return "single_step";
    case ProgramFault::Kind::stack_segment:
      return "stack_segment";
    case ProgramFault::Kind::alignment:
      return "alignment";
  }
  return "";
}

std::string_view access_name(Access access) {
  switch (access) {
    case Access::read:
      return "read";
    case Access::write:
      return "write";
    case Access::execute:
      return "execute";
  }
  return "";
}

void write_registers(JsonText& json, const unix::UserRegisters& registers) {
  const struct {
    std::string_view name;
    std::uint64_t value;
  } rows[] = {
      {"rax", registers.rax}, {"rbx", registers.rbx},       {"rcx", registers.rcx}, {"rdx", registers.rdx},
      {"rsi", registers.rsi}, {"rdi", registers.rdi},       {"rbp", registers.rbp}, {"rsp", registers.rsp},
      {"r8", registers.r8},   {"r9", registers.r9},         {"r10", registers.r10}, {"r11", registers.r11},
      {"r12", registers.r12}, {"r13", registers.r13},       {"r14", registers.r14}, {"r15", registers.r15},
      {"rip", registers.rip}, {"rflags", registers.rflags},
  };
  json.key("registers").open_object();
  for (const auto& row : rows) {
    json.key(row.name).hexadecimal(row.value);
  }
  json.close_object();
}

// As many of the bytes above the stack pointer as can be read.
void write_stack(JsonText& json, VirtAddr pointer) {
  constexpr std::size_t kShown = 64;
  std::byte bytes[kShown];
  std::size_t size = 0;
  while (size < kShown && unix::copy_in(std::span(bytes + size, 8), pointer + ByteCount(size)).ok()) {
    size += 8;
  }
  json.key("stack").bytes(std::span(bytes, size));
}

// The lines of /proc/PID/maps that there is room for.
void write_maps(JsonText& json, unix::ProcessId process) {
  constexpr std::size_t kReserve = 64;  // what stands behind it
  unix::TextBuffer maps(unix::process_system().files.memory());
  if (!unix::write_process_text(process, unix::ProcessText::maps, maps).ok()) {
    return;
  }
  // A newline takes two characters, and a line has at least 20: so 9 tenths of the room surely suffice.
  std::string_view text = maps.view();
  const std::size_t most = json.room() > kReserve ? (json.room() - kReserve) / 10 * 9 : 0;
  if (text.size() > most) {
    text.remove_suffix(text.size() - most);
    text.remove_suffix(text.size() - (text.rfind('\n') + 1));
  }
  json.key("maps").text(text);
}

std::uint64_t figure(const std::atomic<std::uint64_t>& counter) { return counter.load(std::memory_order_relaxed); }

// Faults by what resolved them, and what else happened in address spaces.
void write_events(JsonText& json, const unix::ProcessSystem& system) {
  const EventCounts& events = system.memory.nodes.events();
  const auto write = [&](std::string_view name, MemoryEvent event) { json.key(name).number(events.total(event)); };
  json.key("faults").open_object();
  json.key("minor").number(figure(system.minor_faults)).key("major").number(figure(system.major_faults));
  write("zero_filled", MemoryEvent::zero_filled);
  write("zero_shared", MemoryEvent::zero_shared);
  write("object_mapped", MemoryEvent::object_mapped);
  write("copied", MemoryEvent::copied);
  write("reused", MemoryEvent::reused);
  write("swapped_in", MemoryEvent::swapped_in);
  json.close_object();
  write("tables", MemoryEvent::table_made);
  write("flushes", MemoryEvent::flushed);
  write("shootdowns", MemoryEvent::shot_down);
  json.key("flush_interrupts").number(pc::flush_interrupts());
}

}  // namespace

void HostReporter::fatal_fault(const unix::FatalFault& fault) {
  send_fault(fault);
  wait_held(fault.process);
}

void HostReporter::send_fault(const unix::FatalFault& fault) {
  constexpr std::uint64_t kPageFault = 14;
  const bool is_page = fault.kind == ProgramFault::Kind::page;
  const unix::MutexGuard guard(lock_);
  JsonText json(room_);
  json.open_object().key("schema").text("vellum.fault/1");
  json.key("pid").signed_number(fault.process.id.value()).key("command").text(fault.process.name);
  json.key("signal").number(fault.signal.value()).key("code").signed_number(static_cast<std::int32_t>(fault.code));
  json.key("verdict").text(verdict_name(fault));
  if (is_page) {
    json.key("access").text(access_name(fault.access)).key("address").hexadecimal(fault.address.value());
  }
  if (fault.registers.vector == kPageFault) {
    json.key("error_code").number(fault.registers.error_code);
  }
  json.key("instruction").hexadecimal(fault.registers.rip).key("bytes").bytes(fault.instruction);
  write_registers(json, fault.registers);
  write_stack(json, VirtAddr(fault.registers.rsp));
  write_maps(json, fault.process.id);
  json.close_object();
  channel_.send(run::ToHost::fault, json.view());
}

namespace {

std::string_view reason_name(unix::Verdict::Reason reason) {
  switch (reason) {
    case unix::Verdict::Reason::out_of_memory:
      return "out_of_memory";
    case unix::Verdict::Reason::over_budget:
      return "over_budget";
    case unix::Verdict::Reason::too_many_processes:
      break;
  }
  return "too_many_processes";
}

void write_account(JsonText& json, const unix::MemoryAccount& account) {
  const auto bytes = [&json](std::string_view name, PageCount pages) {
    json.key(name).number(bytes_of(pages).value());
  };
  json.key("holders").open_array();
  for (const unix::MemoryAccount::Holder& holder : std::span(account.holders).first(account.holder_count)) {
    json.open_object().key("pid").signed_number(holder.process.value()).key("command").text(holder.name);
    bytes("resident", holder.resident);
    bytes("tables", holder.tables);
    bytes("reserved", holder.reserved);
    bytes("locked", holder.locked);
    json.close_object();
  }
  json.close_array().key("living").number(account.processes).key("objects").open_array();
  for (const unix::MemoryAccount::Held& object : std::span(account.objects).first(account.object_count)) {
    json.open_object().key("name").text(object.name);
    bytes("resident", object.resident);
    json.close_object();
  }
  json.close_array().key("machine").open_object();
  bytes("anonymous", account.anonymous);
  bytes("shared", account.shared);
  bytes("cache", account.cache);
  bytes("tables", account.tables);
  bytes("kernel", account.kernel);
  bytes("free", account.free);
  bytes("promised", account.promised);
  json.close_object();
}

}  // namespace

void HostReporter::verdict(const unix::Verdict& verdict) {
  const bool is_refusal = verdict.reason == unix::Verdict::Reason::over_budget;
  const unix::MutexGuard guard(lock_);
  JsonText json(room_);
  json.open_object().key("schema").text("vellum.fault/1");
  json.key("pid").signed_number(verdict.process.value()).key("command").text(verdict.name);
  if (!is_refusal) {
    json.key("signal").number(unix::signal::kKill.value());
    json.key("code").signed_number(static_cast<std::int32_t>(unix::SignalCode::from_kernel));
  }
  json.key("verdict").text(reason_name(verdict.reason));
  json.key("processes").number(verdict.processes);
  json.key("memory").open_object();
  json.key("limit").number(bytes_of(verdict.total).value());
  json.key(is_refusal ? "refused" : "resident").number(bytes_of(verdict.resident).value());
  json.close_object();
  if (verdict.account != nullptr) {
    write_account(json, *verdict.account);
  }
  json.close_object();
  channel_.send(run::ToHost::fault, json.view());
}

void HostReporter::send_line(run::ToHost kind, std::string_view line) {
  channel_.send(kind, std::string_view(line.data(), std::min(line.size(), run::Channel::kMostBody)));
}

void HostReporter::trace(std::string_view line) { send_line(run::ToHost::trace, line); }
void HostReporter::log(std::string_view line) { send_line(run::ToHost::log, line); }

void HostReporter::begin() {
  PhysicalMemory& memory = unix::process_system().memory.memory;
  memory.drain_caches();  // so that what the program takes is seen to go
  memory.forget_least_free();
  free_at_start_ = memory.least_free_count();
}

void HostReporter::send_report() {
  const unix::ProcessSystem& system = unix::process_system();
  const PhysicalMemory& memory = system.memory.memory;
  const PageCount least = std::min(memory.least_free_count(), free_at_start_);
  const unix::MutexGuard guard(lock_);
  JsonText json(room_);
  json.open_object();
  write_events(json, system);
  json.key("peak_resident").number(bytes_of(free_at_start_ - least).value());
  json.key("processes").number(figure(system.processes_made));
  json.key("context_switches").number(system.scheduler.switches());
  json.key("run_time_ns").number(unix::monotonic_now().value());
  json.key("memory_total").number(bytes_of(memory.total_count()).value());
  json.key("memory_free").number(bytes_of(memory.free_count()).value());
  json.close_object();
  channel_.send(run::ToHost::report, json.view());
}

void HostReporter::end(unix::WaitStatus status) {
  send_report();
  channel_.send(run::ToHost::exit, static_cast<std::uint32_t>(status.value()));
  channel_.flush();
  unix::power_off();
}

void HostReporter::wait_held(const unix::Process& process) {
  if (!hold_ || host_.may_go_on()) {
    return;
  }
  channel_.send(run::ToHost::held, static_cast<std::uint32_t>(process.id.value()));
  unix::Sleep sleep(unix::Interruptible::no);
  const unix::Sleep::In in(sleep, host_.go_on_queue());
  while (!host_.may_go_on()) {
    (void)sleep.until();
  }
}

void HostReporter::first_process_ends(const unix::Process& process) { wait_held(process); }

void HostReporter::first_process_ended(const unix::Process& /*process*/, unix::WaitStatus status) { end(status); }

}  // namespace vellum::kernel
