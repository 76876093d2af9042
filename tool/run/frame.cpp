#include "run/frame.hpp"

#include <bit>
#include <cstring>

#include <fmt/core.h>

namespace vellum::tool {

static_assert(std::endian::native == std::endian::little, "the protocol's numbers are little-endian");

std::string make_frame(run::ToKernel kind, std::string_view content) {
  const run::FrameHeader header{static_cast<std::uint32_t>(content.size()), static_cast<std::uint8_t>(kind), {}};
  std::string bytes(sizeof(header), '\0');
  std::memcpy(bytes.data(), &header, sizeof(header));
  return bytes.append(content);
}

std::string make_frame(run::ToKernel kind, std::initializer_list<std::uint32_t> numbers) {
  std::string content;
  for (const std::uint32_t number : numbers) {
    char bytes[sizeof(number)];
    std::memcpy(bytes, &number, sizeof(number));
    content.append(bytes, sizeof(bytes));
  }
  return make_frame(kind, content);
}

std::string make_start(std::string_view texts) {
  std::string bytes;
  while (texts.size() > run::kMostFrameBytes) {
    bytes += make_frame(run::ToKernel::start_part, texts.substr(0, run::kMostFrameBytes));
    texts.remove_prefix(run::kMostFrameBytes);
  }
  return bytes + make_frame(run::ToKernel::start, texts);
}

std::optional<std::uint32_t> number_in(const Frame& frame) {
  std::uint32_t number = 0;
  if (frame.content.size() != sizeof(number)) {
    return std::nullopt;
  }
  std::memcpy(&number, frame.content.data(), sizeof(number));
  return number;
}

std::string make_inspect(const run::InspectRequest& request) {
  std::string content(sizeof(request), '\0');
  std::memcpy(content.data(), &request, sizeof(request));
  return make_frame(run::ToKernel::inspect, content);
}

std::optional<AnswerPiece> answer_in(const Frame& frame) {
  AnswerPiece piece{};
  if (frame.content.size() < sizeof(piece.head)) {
    return std::nullopt;
  }
  std::memcpy(&piece.head, frame.content.data(), sizeof(piece.head));
  piece.text = std::string_view(frame.content).substr(sizeof(piece.head));
  return piece;
}

std::expected<std::optional<Frame>, std::string> FrameReader::next() {
  const std::string_view rest = std::string_view(bytes_).substr(taken_);
  run::FrameHeader header;
  if (rest.size() >= sizeof(header)) {
    std::memcpy(&header, rest.data(), sizeof(header));
    if (header.size > run::kMostFrameBytes || header.zero[0] != 0 || header.zero[1] != 0 || header.zero[2] != 0) {
      return std::unexpected(fmt::format("a frame of kind {} and {} bytes is none", header.kind, header.size));
    }
    if (rest.size() >= sizeof(header) + header.size) {
      taken_ += sizeof(header) + header.size;
      return Frame{static_cast<run::ToHost>(header.kind), std::string(rest.substr(sizeof(header), header.size))};
    }
  }
  bytes_.erase(0, taken_);
  taken_ = 0;
  return std::nullopt;
}

}  // namespace vellum::tool
