// Questions of a run's control socket on their way to the kernel, and the answers back.
#pragma once

#include <deque>
#include <functional>
#include <string>

#include <nlohmann/json.hpp>

#include "run/control.hpp"
#include "run/frame.hpp"

namespace vellum::tool {

class Questions {
 public:
  // `control` outlives this; `send` takes a frame to the kernel.
  Questions(ControlSocket& control, std::function<void(std::string)> send)
      : control_(control), send_(std::move(send)) {}

  // A question for the kernel. One that makes no sense is answered at once.
  void ask(ControlSocket::ClientId client, const nlohmann::ordered_json& question);
  // A frame `answer` or `answer_part`. False where it answers nothing that was asked.
  [[nodiscard]] bool take(const Frame& frame);

 private:
  struct Question {
    ControlSocket::ClientId client;
    run::InspectRequest request;
  };
  void send_some();
  void finish(std::uint32_t error);

  ControlSocket& control_;
  std::function<void(std::string)> send_;
  std::deque<Question> waiting_;  // in order; the first `sent_` were sent
  std::size_t sent_ = 0;
  std::string text_;  // of the first one's answer, so far
  std::uint32_t last_number_ = 0;
};

}  // namespace vellum::tool
