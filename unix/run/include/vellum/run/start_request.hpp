// What `vellum run` asks for: the body of the frame `start`.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include <vellum/base/result.hpp>

namespace vellum::run {

// Where a standard stream of the program leads on the host.
enum class StreamKind : std::uint8_t { terminal, pipe, file, null };

// A view of the frame's zero-terminated texts KEY=VALUE; the bytes outlive it.
class StartRequest {
 public:
  StartRequest() = default;
  // Errors: invalid: bytes behind the last zero, a text without `=`, no argument, or a number or word that is not one.
  [[nodiscard]] static Result<StartRequest> parse(std::span<const char> texts);

  // Calls visit(std::string_view value) for each text with the key, in order. Values are zero-terminated.
  template <class Visitor>
  void for_each(std::string_view key, Visitor visit) const {
    std::string_view rest = texts_;
    while (!rest.empty()) {
      std::string_view value(rest.data(), rest.find('\0'));
      rest.remove_prefix(value.size() + 1);
      const std::string_view name(value.data(), value.find('='));
      value.remove_prefix(name.size() + 1);
      if (name == key) {
        visit(value);
      }
    }
  }
  // The first value with the key.
  [[nodiscard]] std::optional<std::string_view> find(std::string_view key) const;

  // Of stdin, stdout, stderr (0 to 2).
  [[nodiscard]] StreamKind stream(unsigned number) const { return streams_[number]; }
  // A number, or what it is where the host said nothing.
  [[nodiscard]] std::uint64_t number(std::string_view key, std::uint64_t otherwise) const;

 private:
  explicit StartRequest(std::string_view texts) : texts_(texts) {}

  std::string_view texts_;
  StreamKind streams_[3] = {};
};

}  // namespace vellum::run
