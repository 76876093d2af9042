#include "run/questions.hpp"

#include <cerrno>
#include <cstdlib>

#include <fmt/core.h>

namespace vellum::tool {

namespace {

using Json = nlohmann::ordered_json;

std::optional<run::Inspect> what_is_asked(const Json& question) {
  const Json ask = question.value("ask", Json());
  for (const auto& [name, what] : {std::pair{"processes", run::Inspect::processes},
                                   {"walk", run::Inspect::walk},
                                   {"maps", run::Inspect::maps},
                                   {"layout", run::Inspect::layout}}) {
    if (ask == name) {
      return what;
    }
  }
  return std::nullopt;
}

std::optional<std::uint64_t> address_in(const Json& question) {
  const Json address = question.value("address", Json());
  if (!address.is_string()) {
    return std::nullopt;
  }
  const std::string text = address.get<std::string>();
  char* end = nullptr;
  errno = 0;
  const std::uint64_t value = std::strtoull(text.c_str(), &end, 16);
  return text.starts_with("0x") && *end == '\0' && errno == 0 ? std::optional(value) : std::nullopt;
}

std::string words_for(std::uint32_t error, const run::InspectRequest& request) {
  switch (error) {
    case ESRCH:
      return fmt::format("there is no process {}", request.process);
    case EFAULT:
      return request.process == run::InspectRequest::kFirstProcess
                 ? "the program has not started yet, or has ended"
                 : fmt::format("process {} has ended: it has no address space any more", request.process);
    case ENOMEM:
      return "the machine has no memory left for the answer";
    default:
      return fmt::format("error {} of the kernel", error);
  }
}

}  // namespace

void Questions::ask(ControlSocket::ClientId client, const Json& question) {
  const auto what = what_is_asked(question);
  const Json process = question.value("process", Json(run::InspectRequest::kFirstProcess));
  const auto address = address_in(question);
  if (!what.has_value() || !process.is_number_integer() || (what == run::Inspect::walk && !address.has_value())) {
    return control_.answer(client, {{"error", "that is no question"}});
  }
  waiting_.push_back({client,
                      {.number = ++last_number_,
                       .what = *what,
                       .process = process.get<std::int32_t>(),
                       .zero = 0,
                       .address = address.value_or(0)}});
  send_some();
}

void Questions::send_some() {
  while (sent_ < waiting_.size() && sent_ < run::kMostQuestions) {
    send_(make_inspect(waiting_[sent_++].request));
  }
}

bool Questions::take(const Frame& frame) {
  const auto piece = answer_in(frame);
  if (!piece.has_value() || sent_ == 0 || piece->head.number != waiting_.front().request.number) {
    return false;
  }
  text_ += piece->text;
  if (frame.kind == run::ToHost::answer) {
    finish(piece->head.error);
  }
  return true;
}

void Questions::finish(std::uint32_t error) {
  const Question& question = waiting_.front();
  Json answer;
  if (error != 0) {
    answer["error"] = words_for(error, question.request);
  } else if (question.request.what == run::Inspect::maps) {
    answer["answer"] = text_;
  } else if (Json parsed = Json::parse(text_, nullptr, false); parsed.is_object()) {
    answer["answer"] = std::move(parsed);
  } else {
    answer["error"] = "the kernel's answer is no JSON";
  }
  control_.answer(question.client, answer);
  waiting_.pop_front();
  --sent_;
  text_.clear();
  send_some();
}

}  // namespace vellum::tool
