// The kernel's voice: lines of text on the first serial port (a 16550 [ns/pc16550d]), for people and for the tests.
#pragma once

#include <concepts>
#include <cstdint>
#include <optional>
#include <string_view>

#include <vellum/base/types.hpp>

namespace vellum::pc {

// A number to be written in base 16, with the prefix 0x.
struct Hex {
  std::uint64_t value;
};

// Writes text. Usable from the first instruction of C++ on, by one CPU at a time; needs no memory.
class Console {
 public:
  // Sets the port to 115200 baud, 8 data bits, no parity, no interrupts.
  void initialise();

  void write(const char* text);
  void write(std::string_view text);
  void write(Hex number);
  void write(std::unsigned_integral auto number) { write_decimal(number); }
  // One byte as it is.
  void write_byte(std::uint8_t byte);

  // Makes the port interrupt when a byte arrives; and such a byte, or nothing.
  void enable_input();
  [[nodiscard]] std::optional<std::uint8_t> read_byte();

  template <class Space>
  void write(Address<Space> address) {
    write(Hex{address.value()});
  }
  template <class Unit>
  void write(Amount<Unit> amount) {
    write_decimal(amount.value());
  }

 private:
  void write_character(char character);
  void write_decimal(std::uint64_t number);
};

[[nodiscard]] Console& console();

// print_line("paging: root ", root, ", ", count, " pages")
template <class... Parts>
void print_line(const Parts&... parts) {
  Console& out = console();
  (out.write(parts), ...);
  out.write("\n");
}

}  // namespace vellum::pc
