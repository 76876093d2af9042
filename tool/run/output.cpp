#include "run/output.hpp"

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>

#include <sys/stat.h>
#include <unistd.h>

namespace vellum::tool {

namespace {

constexpr std::size_t kFull = 256 * 1024;

bool is_regular_file(int descriptor) {
  struct stat status;
  return fstat(descriptor, &status) == 0 && S_ISREG(status.st_mode);
}

}  // namespace

bool OutputQueue::is_full() const { return waiting_ >= kFull; }

void OutputQueue::add(int descriptor, std::string bytes) {
  if (bytes.empty()) {
    return;
  }
  if (is_closed_[descriptor]) {
    dropped_ += bytes.size();
    return;
  }
  waiting_ += bytes.size();
  pieces_.push_back({descriptor, std::move(bytes)});
}

void OutputQueue::tell(std::string_view text, bool is_raw) {
  std::string bytes;
  for (const char c : text) {
    if (c == '\n' && is_raw) {
      bytes += '\r';
    }
    bytes += c;
  }
  add(STDERR_FILENO, std::move(bytes));
}

std::optional<int> OutputQueue::write_some() {
  Piece& piece = pieces_.front();
  const int descriptor = piece.descriptor;
  // A pipe that is ready takes this much without waiting for its reader; the descriptor may be shared, so its mode is
  // not ours to change.
  const std::size_t rest = piece.bytes.size() - piece.written;
  const std::size_t wanted = is_regular_file(descriptor) ? rest : std::min<std::size_t>(rest, PIPE_BUF);
  const ssize_t written = write(descriptor, piece.bytes.data() + piece.written, wanted);
  if (written < 0) {
    if (errno == EINTR || errno == EAGAIN) {
      return std::nullopt;
    }
    if (errno != EPIPE) {
      error_ = std::strerror(errno);
    }
    is_closed_[descriptor] = true;
    drop(descriptor);
    return descriptor;
  }
  piece.written += static_cast<std::size_t>(written);
  waiting_ -= static_cast<std::size_t>(written);
  if (piece.written == piece.bytes.size()) {
    pieces_.pop_front();
  }
  return std::nullopt;
}

void OutputQueue::drop(int descriptor) {
  std::erase_if(pieces_, [this, descriptor](const Piece& piece) {
    const bool is_dropped = piece.descriptor == descriptor;
    const std::size_t rest = is_dropped ? piece.bytes.size() - piece.written : 0;
    dropped_ += rest;
    waiting_ -= rest;
    return is_dropped;
  });
}

void OutputQueue::clear() {
  pieces_.clear();
  waiting_ = 0;
}

}  // namespace vellum::tool
