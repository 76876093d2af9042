// Answers what the host asks about the running kernel and its processes (run::Inspect): a thread of the kernel's own,
// so that questions are answered also while programs compute or sleep, and that reads the tables which the processor
// runs. Nothing that it does changes what it looks at.
#pragma once

#include <span>

#include <vellum/layout/region.hpp>
#include <vellum/run/channel.hpp>
#include <vellum/unix/text_sink.hpp>

#include "kernel.hpp"
#include "run_host.hpp"

namespace vellum::kernel {

class JsonText;

class RunInspector {
 public:
  RunInspector(Kernel& kernel, RunHost& host, run::Channel& channel, UserModel model)
      : kernel_(kernel), host_(host), channel_(channel), model_(model) {}
  RunInspector(const RunInspector&) = delete;
  RunInspector& operator=(const RunInspector&) = delete;

  // Starts its thread; processes run. Errors: no_memory, try_again.
  [[nodiscard]] Result<void> start();

 private:
  void serve();
  void answer(const run::InspectRequest& request);
  [[nodiscard]] static Result<void> write_maps(const run::InspectRequest& request, unix::TextSink& sink);
  [[nodiscard]] Result<void> write_answer(const run::InspectRequest& request, JsonText& json);
  void write_machine(JsonText& json) const;
  void send_text(std::uint32_t number, std::string_view text);
  void send_piece(run::ToHost kind, const run::AnswerHead& head, std::string_view piece);

  Kernel& kernel_;
  RunHost& host_;
  run::Channel& channel_;
  const UserModel model_;
  std::span<char> room_;   // of a JSON text
  std::span<char> piece_;  // of a frame
};

}  // namespace vellum::kernel
