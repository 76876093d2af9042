// The host as the kernel sees it in `run` mode: what it asked for, and what it sends while the program runs.
#pragma once

#include <atomic>
#include <optional>
#include <span>

#include <vellum/run/channel.hpp>
#include <vellum/run/start_request.hpp>
#include <vellum/unix/wait_queue.hpp>

namespace vellum::kernel {

// Who uses the bytes of stdin, when it is not who reads the channel: a terminal.
class InputUser {
 public:
  // Bytes came, or their end did. From interrupts too.
  virtual void on_input() = 0;
  virtual void on_window_size(std::uint32_t rows, std::uint32_t columns) = 0;

 protected:
  ~InputUser() = default;
};

class RunHost final : public run::Listener {
 public:
  // Where the request is put together; one that is longer is refused.
  void set_room(std::span<char> room) { room_ = room; }
  [[nodiscard]] bool has_started() const { return started_; }
  // Once it has started. Error: invalid.
  [[nodiscard]] Result<run::StartRequest> request() const;

  // Woken when bytes of stdin, or their end, came.
  [[nodiscard]] unix::WaitQueue& input_queue() { return input_queue_; }
  void set_input_user(InputUser& user) { user_ = &user; }
  // Signals that the host sends go to these processes.
  void set_signal_handler(void (*handler)(unix::Signal)) { on_signal_ = handler; }

  // What the host asks about the kernel: the question that waits longest, until done_with_question().
  [[nodiscard]] std::optional<run::InspectRequest> question() const VELLUM_EXCLUDES(question_lock_);
  void done_with_question() VELLUM_EXCLUDES(question_lock_);
  // Woken when one came.
  [[nodiscard]] unix::WaitQueue& question_queue() { return question_queue_; }

  // What was held goes on, or need not be held any more.
  [[nodiscard]] bool may_go_on() const { return may_go_on_.load(std::memory_order_acquire); }
  // Woken when that becomes true.
  [[nodiscard]] unix::WaitQueue& go_on_queue() { return go_on_queue_; }

  void on_start(std::span<const std::byte> texts, Part part) override;
  void on_input() override;
  void on_output_closed() override {}
  void on_signal(unix::Signal signal) override;
  void on_window_size(std::uint32_t rows, std::uint32_t columns) override;
  bool on_inspect(const run::InspectRequest& request) override VELLUM_EXCLUDES(question_lock_);
  void on_go_on() override;
  // Nobody is there for whom to go on: ends the machine.
  void on_failure() override;

 private:
  std::span<char> room_;
  std::size_t size_ = 0;
  bool too_long_ = false;
  bool started_ = false;
  unix::WaitQueue input_queue_;
  InputUser* user_ = nullptr;
  void (*on_signal_)(unix::Signal) = nullptr;
  mutable Spinlock question_lock_{LockRank::leaf};
  run::InspectRequest questions_[run::kMostQuestions] VELLUM_GUARDED_BY(question_lock_) = {};
  std::size_t first_question_ VELLUM_GUARDED_BY(question_lock_) = 0;
  std::size_t question_count_ VELLUM_GUARDED_BY(question_lock_) = 0;
  unix::WaitQueue question_queue_;
  std::atomic<bool> may_go_on_{false};
  unix::WaitQueue go_on_queue_;
};

}  // namespace vellum::kernel
