// The host's terminal, lent to the program: keys go to it untouched, and its own line discipline does the rest.
#pragma once

#include <cstdint>

namespace vellum::tool {

enum class StreamKind : std::uint8_t { terminal, pipe, file, null };

// As the protocol spells them.
[[nodiscard]] const char* name_of(StreamKind kind);

// What a descriptor is; null also where it is closed.
[[nodiscard]] StreamKind kind_of_stream(int descriptor);

struct WindowSize {
  std::uint32_t rows;
  std::uint32_t columns;
};

// Of the first of the three standard streams that is a terminal; 24 x 80 without one.
[[nodiscard]] WindowSize window_size();

// Raw mode while it lives and the process is in the foreground. The terminal gets back the mode that it had at the end,
// before this process stops, and when it crashes.
class Terminal {
 public:
  Terminal() = default;
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;
  ~Terminal() { restore(); }

  // Whether stdin and stdout are both terminals: then the program gets the keys raw. With a filter behind stdout the
  // terminal may be in use by that, so it is left alone.
  [[nodiscard]] bool is_lent() const { return is_lent_; }
  void lend();
  // Where the process is in the foreground.
  void enter_raw();
  void restore();
  [[nodiscard]] bool is_raw() const;

 private:
  bool is_lent_ = false;
};

// Whether stdin may be read: not where it is a terminal and this process is in the background.
[[nodiscard]] bool may_read_stdin();

}  // namespace vellum::tool
