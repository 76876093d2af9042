#include <vellum/pc/console.hpp>
#include <vellum/pc/instructions.hpp>

namespace vellum::pc {

namespace {

constexpr std::uint16_t kFirstPort = 0x3F8;
constexpr std::uint16_t kData = kFirstPort;
constexpr std::uint16_t kInterruptEnable = kFirstPort + 1;
constexpr std::uint16_t kFifoControl = kFirstPort + 2;
constexpr std::uint16_t kLineControl = kFirstPort + 3;
constexpr std::uint16_t kModemControl = kFirstPort + 4;
constexpr std::uint16_t kLineStatus = kFirstPort + 5;

constexpr std::uint8_t kDivisorAccess = 0x80;
constexpr std::uint8_t kEightBits = 0x03;
constexpr std::uint8_t kEnableAndClearFifos = 0x07;
constexpr std::uint8_t kReady = 0x03;  // data terminal ready, request to send
constexpr std::uint8_t kTransmitterEmpty = 0x20;
constexpr std::uint8_t kDataArrived = 0x01;
constexpr std::uint8_t kInterruptOnData = 0x01;
constexpr std::uint8_t kInterruptsOut = 0x08;  // the line to the interrupt controller

constinit Console the_console;

}  // namespace

Console& console() { return the_console; }

void Console::initialise() {
  out8(kInterruptEnable, 0);
  out8(kLineControl, kDivisorAccess);
  out8(kData, 1);  // divisor 1: 115200 baud
  out8(kInterruptEnable, 0);
  out8(kLineControl, kEightBits);
  out8(kFifoControl, kEnableAndClearFifos);
  out8(kModemControl, kReady);
}

void Console::write_character(char character) { write_byte(static_cast<std::uint8_t>(character)); }

void Console::write_byte(std::uint8_t byte) {
  // A port that is not there reads as all ones, so this ends without one too.
  while ((in8(kLineStatus) & kTransmitterEmpty) == 0) {
    pause();
  }
  out8(kData, byte);
}

void Console::enable_input() {
  out8(kModemControl, kReady | kInterruptsOut);
  out8(kInterruptEnable, kInterruptOnData);
}

std::optional<std::uint8_t> Console::read_byte() {
  const std::uint8_t status = in8(kLineStatus);
  if (status == 0xFF || (status & kDataArrived) == 0) {
    return {};
  }
  return in8(kData);
}

void Console::write(std::string_view text) {
  for (const char character : text) {
    write_character(character);
  }
}

void Console::write(const char* text) {
  for (; *text != '\0'; ++text) {
    if (*text == '\n') {
      write_character('\r');
    }
    write_character(*text);
  }
}

void Console::write(Hex number) {
  write("0x");
  int shift = 60;
  while (shift > 0 && (number.value >> shift) == 0) {
    shift -= 4;
  }
  for (; shift >= 0; shift -= 4) {
    write_character("0123456789abcdef"[(number.value >> shift) & 15]);
  }
}

void Console::write_decimal(std::uint64_t number) {
  char digits[21];
  char* first = digits + sizeof(digits) - 1;
  *first = '\0';
  do {
    *--first = static_cast<char>('0' + number % 10);
    number /= 10;
  } while (number != 0);
  write(first);
}

}  // namespace vellum::pc
