// Where the text of a file in /proc goes, and the ways in which Linux formats it.
#pragma once

#include <cstdint>
#include <string_view>

#include <vellum/unix/file_memory.hpp>

namespace vellum::unix {

// A sink that is full or out of memory drops what follows; its owner notices.
class TextSink {
 public:
  TextSink(const TextSink&) = delete;
  TextSink& operator=(const TextSink&) = delete;

  TextSink& text(std::string_view text) {
    for (std::size_t i = text.size(); i > 0; --i) {
      if (text[i - 1] == '\n') {
        column_ = text.size() - i;
        put(text);
        return *this;
      }
    }
    column_ += text.size();
    put(text);
    return *this;
  }
  TextSink& character(char character) { return text({&character, 1}); }
  // Spaces up to a column of the line, from 0.
  TextSink& pad_to(std::size_t column) { return fill(' ', column > column_ ? column - column_ : 0); }
  // printf's %*llu, %-*llu, %0*llx, %lld.
  TextSink& decimal(std::uint64_t value, unsigned width = 0, char filler = ' ');
  TextSink& decimal_left(std::uint64_t value, unsigned width);
  TextSink& signed_decimal(std::int64_t value);
  TextSink& hexadecimal(std::uint64_t value, unsigned width = 0);
  TextSink& octal(std::uint64_t value, unsigned width = 0);
  // printf's %-*s and %*s.
  TextSink& left(std::string_view shown, unsigned width);
  TextSink& right(std::string_view shown, unsigned width, char filler = ' ');

 protected:
  TextSink() = default;
  ~TextSink() = default;
  virtual void put(std::string_view text) = 0;

 private:
  TextSink& fill(char filler, std::size_t count);

  std::size_t column_ = 0;
};

// Keeps the text.
class TextBuffer final : public TextSink {
 public:
  explicit TextBuffer(FileMemory& memory) : memory_(memory) {}
  ~TextBuffer();

  [[nodiscard]] std::string_view view() const { return {data_, size_}; }
  // Whether memory was lacking, or the text longer than FileMemory gives, so that its end is missing.
  [[nodiscard]] bool is_cut() const { return cut_; }
  void clear() { size_ = 0; }

 private:
  void put(std::string_view text) override;
  [[nodiscard]] bool grow_to(std::size_t size);

  FileMemory& memory_;
  char* data_ = nullptr;
  std::size_t size_ = 0;
  std::size_t capacity_ = 0;
  bool cut_ = false;
};

// Writes into bytes that the caller has.
class FixedText final : public TextSink {
 public:
  explicit FixedText(std::span<char> into) : into_(into) {}
  [[nodiscard]] std::string_view view() const { return {into_.data(), size_}; }
  [[nodiscard]] bool is_cut() const { return cut_; }

 private:
  void put(std::string_view text) override;

  std::span<char> into_;
  std::size_t size_ = 0;
  bool cut_ = false;
};

}  // namespace vellum::unix
