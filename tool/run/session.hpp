// One run: carries bytes, signals and events between the host's streams and the kernel until the program has ended.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "run/control.hpp"
#include "run/descriptor.hpp"
#include "run/frame.hpp"
#include "run/kernel_log.hpp"
#include "run/options.hpp"
#include "run/output.hpp"
#include "run/questions.hpp"
#include "run/terminal.hpp"
#include "run/virtual_machine.hpp"

namespace vellum::tool {

using Clock = std::chrono::steady_clock;

enum class EndKind : std::uint8_t {
  exited,          // `wait_status` is the program's
  time_limit,      // --time was exceeded
  killed,          // the user insisted
  output_refused,  // nobody read its output and it went on
  machine_failed,  // the kernel or QEMU failed
};

struct RunEnd {
  EndKind kind;
  int status;  // that vellum ends with
  std::string reason = {};
  int wait_status = 0;
};

// What a run leaves besides its output.
struct RunRecord {
  RunEnd end{EndKind::machine_failed, kVellumFailed};
  std::vector<nlohmann::ordered_json> faults;
  std::vector<nlohmann::ordered_json> refusals;                        // by a budget; nobody died of them
  nlohmann::ordered_json counters = nlohmann::ordered_json::object();  // from the kernel
  std::vector<std::string> log;                                        // from the kernel
  Clock::time_point started;
  std::optional<Clock::time_point> first_output;
  Clock::time_point ended;
};

class Session {
 public:
  // `start` is the content of the start frame. `control`, which may be null, outlives this. From here on signals that
  // are to be forwarded wait for run().
  Session(const RunOptions& options, VirtualMachine& machine, std::string start, ControlSocket* control,
          Clock::time_point started);
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  [[nodiscard]] RunRecord run();

 private:
  // Events.
  void wait_and_handle();
  void receive();
  void handle(Frame& frame);
  void read_log(int descriptor);
  void read_stdin();
  void read_signals();
  void check_deadlines();
  // Acts.
  void send(std::string bytes);
  void send_some();
  void send_input();
  void write_output();
  void forward_signal(int signal);
  void watch_keys(std::string_view keys);
  void suspend();
  void resume();
  void explain(const std::string& text);
  [[nodiscard]] bool has_greeted(const Frame& frame);
  void answer(ControlSocket::ClientId client, const nlohmann::ordered_json& question);
  [[nodiscard]] nlohmann::ordered_json status() const;
  void tell_of_hold(std::uint32_t process);
  void go_on();
  void tell(std::string_view text) { output_.tell(text, terminal_.is_raw()); }
  void end(RunEnd end);
  void machine_ended();
  [[nodiscard]] bool wants_stdin() const;
  [[nodiscard]] int poll_timeout() const;

  const RunOptions& options_;
  VirtualMachine& machine_;
  Terminal terminal_;
  Descriptor signals_;
  RunRecord record_;
  KernelLog log_;
  FrameReader frames_;
  OutputQueue output_;
  ControlSocket* const control_;
  std::optional<Questions> questions_;  // where there is a control socket
  std::string to_send_;
  std::string input_;  // read from stdin, without credit yet
  std::uint64_t input_credit_ = 0;
  bool stdin_ended_ = false;
  bool was_greeted_ = false;  // by a kernel that speaks the same protocol
  std::optional<Clock::time_point> greeting_due_;
  std::optional<std::uint32_t> held_;  // the process that waits to be let go
  bool has_gone_on_ = false;
  bool is_finished_ = false;  // record_.end holds; output may still wait
  bool machine_is_gone_ = false;
  std::optional<Clock::time_point> interrupted_;  // the last SIGINT
  std::optional<Clock::time_point> unanswered_;   // when patience ends with a kernel that was signalled and is silent
  int unanswered_signal_ = 0;
  std::optional<Clock::time_point> time_limit_;
  bool is_out_of_time_ = false;
  std::optional<Clock::time_point> kill_at_;  // time limit or panic: when waiting for a proper end is over
};

}  // namespace vellum::tool
