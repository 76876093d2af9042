// What goes to stdout and stderr, in the order in which it came, as fast as its readers take it.
#pragma once

#include <cstddef>
#include <deque>
#include <optional>
#include <string>
#include <string_view>

namespace vellum::tool {

class OutputQueue {
 public:
  // A program's bytes, untouched.
  void add(int descriptor, std::string bytes);
  // Our own words, for stderr; on a raw terminal each line goes back to the first column by itself.
  void tell(std::string_view text, bool is_raw);

  [[nodiscard]] bool is_empty() const { return pieces_.empty(); }
  // As much is waiting as should: until some is written, no more should be asked for.
  [[nodiscard]] bool is_full() const;
  // The descriptor to wait for; only where not empty.
  [[nodiscard]] int next_descriptor() const { return pieces_.front().descriptor; }
  // Writes to the next descriptor what it takes without waiting; it has said that it takes some. Returns the descriptor
  // if this showed that nobody reads it any longer: all for it is dropped, now and later.
  [[nodiscard]] std::optional<int> write_some();
  // Bytes that were dropped because nobody reads them.
  [[nodiscard]] std::size_t dropped() const { return dropped_; }
  // Why a descriptor could not be written, where it was not for want of a reader.
  [[nodiscard]] const std::string& error() const { return error_; }
  void clear();

 private:
  struct Piece {
    int descriptor;
    std::string bytes;
    std::size_t written = 0;
  };

  void drop(int descriptor);

  std::deque<Piece> pieces_;
  std::size_t waiting_ = 0;
  std::size_t dropped_ = 0;
  bool is_closed_[3] = {};
  std::string error_;
};

}  // namespace vellum::tool
