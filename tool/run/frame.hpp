// Frames of the run protocol, put together and taken apart.
#pragma once

#include <cstdint>
#include <expected>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>

#include <vellum/run/protocol.hpp>

namespace vellum::tool {

struct Frame {
  run::ToHost kind;
  std::string content;
};

// The bytes of a frame. `content` is at most run::kMostFrameBytes long.
[[nodiscard]] std::string make_frame(run::ToKernel kind, std::string_view content);
[[nodiscard]] std::string make_frame(run::ToKernel kind, std::initializer_list<std::uint32_t> numbers);
// A `start`, in as many frames as it takes.
[[nodiscard]] std::string make_start(std::string_view texts);

[[nodiscard]] std::string make_inspect(const run::InspectRequest& request);

// The number that a frame holds; nothing if its content is no number.
[[nodiscard]] std::optional<std::uint32_t> number_in(const Frame& frame);

// An answer's head, and its text from there on; nothing if the frame is too short.
struct AnswerPiece {
  run::AnswerHead head;
  std::string_view text;  // into the frame
};
[[nodiscard]] std::optional<AnswerPiece> answer_in(const Frame& frame);

// Takes bytes as they come and gives frames.
class FrameReader {
 public:
  void append(std::string_view bytes) { bytes_.append(bytes); }
  // Nothing yet; or, if these bytes are no frame, the reason.
  [[nodiscard]] std::expected<std::optional<Frame>, std::string> next();

 private:
  std::string bytes_;
  std::size_t taken_ = 0;
};

}  // namespace vellum::tool
