#include "run_host.hpp"

#include <algorithm>

#include <vellum/pc/console.hpp>
#include <vellum/pc/power.hpp>

namespace vellum::kernel {

Result<run::StartRequest> RunHost::request() const {
  if (too_long_) {
    return Errno::argument_list_too_long;
  }
  return run::StartRequest::parse(room_.first(size_));
}

void RunHost::on_start(std::span<const std::byte> texts, Part part) {
  if (started_) {
    return;
  }
  const std::size_t size = std::min(texts.size(), room_.size() - size_);
  __builtin_memcpy(room_.data() + size_, texts.data(), size);
  size_ += size;
  too_long_ = too_long_ || size < texts.size();
  started_ = part == Part::last;
}

void RunHost::on_input() {
  input_queue_.wake_all();
  if (user_ != nullptr) {
    user_->on_input();
  }
}

void RunHost::on_signal(unix::Signal signal) {
  if (on_signal_ != nullptr) {
    on_signal_(signal);
  }
}

void RunHost::on_window_size(std::uint32_t rows, std::uint32_t columns) {
  if (user_ != nullptr) {
    user_->on_window_size(rows, columns);
  }
}

bool RunHost::on_inspect(const run::InspectRequest& request) {
  {
    const LockGuard guard(question_lock_);
    if (question_count_ == run::kMostQuestions) {
      return false;
    }
    questions_[(first_question_ + question_count_++) % run::kMostQuestions] = request;
  }
  question_queue_.wake_all();
  return true;
}

std::optional<run::InspectRequest> RunHost::question() const {
  const LockGuard guard(question_lock_);
  return question_count_ != 0 ? std::optional(questions_[first_question_]) : std::nullopt;
}

void RunHost::done_with_question() {
  const LockGuard guard(question_lock_);
  first_question_ = (first_question_ + 1) % run::kMostQuestions;
  --question_count_;
}

void RunHost::on_go_on() {
  may_go_on_.store(true, std::memory_order_release);
  go_on_queue_.wake_all();
}

void RunHost::on_failure() {
  pc::print_line("run: the host broke the protocol or is gone");
  pc::stop(pc::Outcome::failure);
}

}  // namespace vellum::kernel
