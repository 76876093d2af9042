#include <vellum/unix/text_sink.hpp>

#include <algorithm>

namespace vellum::unix {

namespace {

// The digits of a number, at the end of a buffer.
struct Digits {
  Digits(std::uint64_t value, unsigned base) {
    do {
      const auto digit = static_cast<unsigned>(value % base);
      bytes[--first] = static_cast<char>(digit < 10 ? '0' + digit : 'a' + (digit - 10));
      value /= base;
    } while (value != 0);
  }
  [[nodiscard]] std::string_view view() const { return {bytes + first, sizeof bytes - first}; }

  char bytes[24];
  unsigned first = sizeof bytes;
};

}  // namespace

TextSink& TextSink::fill(char filler, std::size_t count) {
  constexpr std::string_view kSpaces = "                                ";
  constexpr std::string_view kZeros = "00000000000000000000000000000000";
  while (count > 0) {
    const std::size_t now = std::min(count, kSpaces.size());
    text((filler == '0' ? kZeros : kSpaces).substr(0, now));
    count -= now;
  }
  return *this;
}

TextSink& TextSink::right(std::string_view shown, unsigned width, char filler) {
  return fill(filler, width > shown.size() ? width - shown.size() : 0).text(shown);
}

TextSink& TextSink::left(std::string_view shown, unsigned width) {
  return text(shown).fill(' ', width > shown.size() ? width - shown.size() : 0);
}

TextSink& TextSink::decimal(std::uint64_t value, unsigned width, char filler) {
  return right(Digits(value, 10).view(), width, filler);
}

TextSink& TextSink::decimal_left(std::uint64_t value, unsigned width) { return left(Digits(value, 10).view(), width); }

TextSink& TextSink::signed_decimal(std::int64_t value) {
  if (value < 0) {
    return character('-').decimal(0 - static_cast<std::uint64_t>(value));
  }
  return decimal(static_cast<std::uint64_t>(value));
}

TextSink& TextSink::hexadecimal(std::uint64_t value, unsigned width) {
  return right(Digits(value, 16).view(), width, '0');
}

TextSink& TextSink::octal(std::uint64_t value, unsigned width) { return right(Digits(value, 8).view(), width, '0'); }

TextBuffer::~TextBuffer() {
  if (data_ != nullptr) {
    memory_.free(data_, ByteCount(capacity_));
  }
}

bool TextBuffer::grow_to(std::size_t size) {
  std::size_t capacity = std::max<std::size_t>(capacity_, 1024);
  while (capacity < size) {
    capacity *= 2;
  }
  const Result<void*> grown = memory_.allocate(ByteCount(capacity));
  if (!grown.ok()) {
    return false;
  }
  if (data_ != nullptr) {
    __builtin_memcpy(grown.value(), data_, size_);
    memory_.free(data_, ByteCount(capacity_));
  }
  data_ = static_cast<char*>(grown.value());
  capacity_ = capacity;
  return true;
}

void TextBuffer::put(std::string_view text) {
  if (cut_ || (size_ + text.size() > capacity_ && !grow_to(size_ + text.size()))) {
    cut_ = true;
    return;
  }
  __builtin_memcpy(data_ + size_, text.data(), text.size());
  size_ += text.size();
}

void FixedText::put(std::string_view text) {
  const std::size_t room = into_.size() - size_;
  cut_ = cut_ || text.size() > room;
  const std::size_t taken = std::min(room, text.size());
  __builtin_memcpy(into_.data() + size_, text.data(), taken);
  size_ += taken;
}

}  // namespace vellum::unix
