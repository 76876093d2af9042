#include <vellum/run/frame_reader.hpp>

#include <bit>

namespace vellum::run {

std::optional<Frame> FrameReader::next(ByteChannel& channel) {
  if (broken_) {
    return {};
  }
  if (got_ < sizeof(FrameHeader)) {
    got_ += channel.receive(std::span(head_).subspan(got_));
    if (got_ < sizeof(FrameHeader)) {
      return {};
    }
  }
  const auto header = std::bit_cast<FrameHeader>(head_);
  if (header.size > room_.size() || header.zero[0] != 0 || header.zero[1] != 0 || header.zero[2] != 0) {
    broken_ = true;
    return {};
  }
  const std::size_t of_body = got_ - sizeof(FrameHeader);
  got_ += channel.receive(room_.subspan(of_body, header.size - of_body));
  if (got_ < sizeof(FrameHeader) + header.size) {
    return {};
  }
  got_ = 0;
  return Frame{.kind = ToKernel{header.kind}, .body = room_.first(header.size)};
}

}  // namespace vellum::run
