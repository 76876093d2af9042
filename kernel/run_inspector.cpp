#include "run_inspector.hpp"

#include <algorithm>

#include <vellum/layout/text.hpp>
#include <vellum/unix/process_view.hpp>

#include "devices.hpp"
#include "inspection.hpp"
#include "layout.hpp"

namespace vellum::kernel {

namespace {

constexpr Order kRoom{5};  // a JSON text, and a frame's piece of an answer
constexpr std::size_t kPiece = 4096;

}  // namespace

Result<void> RunInspector::start() {
  const virtio::SharedMemory memory = VELLUM_TRY(allocate_shared_memory(kRoom));
  const std::span<char> bytes(reinterpret_cast<char*>(memory.bytes.data()), memory.bytes.size());
  piece_ = bytes.first(kPiece);
  room_ = bytes.subspan(kPiece);
  (void)VELLUM_TRY(unix::process_system().start_kernel_thread(
      [](unix::Thread& thread) { static_cast<RunInspector*>(thread.body_argument)->serve(); }, this));
  return {};
}

void RunInspector::serve() {
  unix::Sleep sleep(unix::Interruptible::no);
  const unix::Sleep::In in(sleep, host_.question_queue());
  for (;;) {
    if (const std::optional<run::InspectRequest> request = host_.question()) {
      answer(*request);
    } else {
      (void)sleep.until();
    }
  }
}

// Done with the question before the last piece goes, after which the next may come.
void RunInspector::answer(const run::InspectRequest& request) {
  JsonText json(room_);
  unix::TextBuffer maps(unix::process_system().files.memory());
  Result<void> written;
  if (request.what == run::Inspect::maps) {
    written = write_maps(request, maps);
    if (written.ok() && maps.is_cut()) {
      written = Errno::no_memory;
    }
  } else {
    json.open_object();
    write_machine(json);
    written = write_answer(request, json);
    json.close_object();
    if (written.ok() && json.is_cut()) {
      written = Errno::no_memory;
    }
  }
  host_.done_with_question();
  if (!written.ok()) {
    const auto error = static_cast<std::uint32_t>(written.error());
    return send_piece(run::ToHost::answer, {.number = request.number, .error = error}, "");
  }
  send_text(request.number, request.what == run::Inspect::maps ? maps.view() : json.view());
}

Result<void> RunInspector::write_maps(const run::InspectRequest& request, unix::TextSink& sink) {
  unix::ProcessId process(request.process);
  if (request.process == run::InspectRequest::kFirstProcess) {
    const unix::Process* const first = unix::process_system().first_process();
    if (first == nullptr) {
      return Errno::bad_address;  // it has not started
    }
    process = first->id;
  }
  return unix::write_process_text(process, unix::ProcessText::maps, sink);
}

Result<void> RunInspector::write_answer(const run::InspectRequest& request, JsonText& json) {
  if (request.what == run::Inspect::processes) {
    write_processes(json);
    return {};
  }
  unix::ProcessSystem& system = unix::process_system();
  unix::process_lock.lock();
  unix::Process* process = nullptr;
  if (request.process == run::InspectRequest::kFirstProcess) {
    process = system.first_process();
  } else if (request.process != 0) {
    process = system.find_process(unix::ProcessId(request.process));
  }
  const unix::HeldProgram program(process != nullptr ? process->program : nullptr);
  const std::int32_t id = process != nullptr ? process->id.value() : 0;
  char name[sizeof(unix::Process::name)] = {};
  if (process != nullptr) {
    std::copy(std::begin(process->name), std::end(process->name), name);
  }
  unix::process_lock.unlock();
  const bool is_first = request.process == run::InspectRequest::kFirstProcess;
  if (request.process != 0 && !is_first && process == nullptr) {
    return Errno::no_process;
  }
  if (request.process != 0 && program.get() == nullptr) {
    return Errno::bad_address;  // it has ended, or the first has not started
  }
  json.key("process").signed_number(id);
  json.key("name").text(id == 0 ? "kernel" : std::string_view(name));
  const InspectedTables tables{.kernel = kernel_, .program = program.get()};
  if (request.what == run::Inspect::walk) {
    json.key("address").hexadecimal(request.address);
    write_walk(json, tables, VirtAddr(request.address));
  } else {
    write_layout(json, tables);
  }
  return {};
}

// What the layout was computed from, so that the host computes the same one.
void RunInspector::write_machine(JsonText& json) const {
  const KernelInputs& inputs = layout_inputs();
  json.key("machine").open_object();
  json.key("physical_top").number(inputs.physical_top.value());
  json.key("usable_pages").number(inputs.usable_pages.value());
  json.key("tables_size").number(inputs.tables_size.value_or(ByteCount(0)).value());
  json.key("user").text(name_of(model_));
  json.close_object();
}

void RunInspector::send_text(std::uint32_t number, std::string_view text) {
  const run::AnswerHead head{.number = number, .error = 0};
  const std::size_t most = piece_.size() - sizeof(head);
  while (text.size() > most) {
    send_piece(run::ToHost::answer_part, head, std::string_view(text.data(), most));
    text.remove_prefix(most);
  }
  send_piece(run::ToHost::answer, head, text);
}

// Waits asleep where the host takes nothing: programs go on.
void RunInspector::send_piece(run::ToHost kind, const run::AnswerHead& head, std::string_view piece) {
  __builtin_memcpy(piece_.data(), &head, sizeof(head));
  __builtin_memcpy(piece_.data() + sizeof(head), piece.data(), piece.size());
  const std::span<const char> body = piece_.first(sizeof(head) + piece.size());
  unix::Sleep sleep(unix::Interruptible::no);
  const unix::Sleep::In in(sleep, channel_.room_queue());
  while (!channel_.is_broken() && !channel_.try_send(kind, std::as_bytes(body))) {
    if (channel_.room() == 0) {
      (void)sleep.until();
    }
  }
}

}  // namespace vellum::kernel
