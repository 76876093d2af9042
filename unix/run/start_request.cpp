#include <vellum/run/start_request.hpp>

namespace vellum::run {

namespace {

constexpr std::string_view kStreams[] = {"stdin", "stdout", "stderr"};
constexpr std::string_view kStreamKinds[] = {"terminal", "pipe", "file", "null"};
constexpr std::string_view kNumbers[] = {"rows", "columns", "time", "strace", "uid", "gid"};

Result<std::uint64_t> parse_number(std::string_view text) {
  std::uint64_t number = 0;
  for (const char character : text) {
    if (character < '0' || character > '9' || __builtin_mul_overflow(number, 10U, &number) ||
        __builtin_add_overflow(number, static_cast<std::uint64_t>(character - '0'), &number)) {
      return Errno::invalid;
    }
  }
  if (text.empty()) {
    return Errno::invalid;
  }
  return number;
}

Result<StreamKind> parse_stream(std::string_view text) {
  for (unsigned i = 0; i < std::size(kStreamKinds); ++i) {
    if (kStreamKinds[i] == text) {
      return StreamKind{static_cast<std::uint8_t>(i)};
    }
  }
  return Errno::invalid;
}

Result<void> check_texts(std::string_view texts) {
  if (texts.empty() || texts.back() != '\0') {
    return Errno::invalid;
  }
  while (!texts.empty()) {
    const std::string_view text(texts.data(), texts.find('\0'));
    texts.remove_prefix(text.size() + 1);
    if (text.find('=') == std::string_view::npos) {
      return Errno::invalid;
    }
  }
  return {};
}

}  // namespace

Result<StartRequest> StartRequest::parse(std::span<const char> bytes) {
  const std::string_view texts(bytes.data(), bytes.size());
  VELLUM_TRY(check_texts(texts));
  StartRequest request(texts);
  if (!request.find("argument")) {
    return Errno::invalid;
  }
  for (unsigned i = 0; i < std::size(kStreams); ++i) {
    request.streams_[i] = VELLUM_TRY(parse_stream(request.find(kStreams[i]).value_or("null")));
  }
  for (const std::string_view key : kNumbers) {
    if (const std::optional<std::string_view> value = request.find(key)) {
      (void)VELLUM_TRY(parse_number(*value));
    }
  }
  return request;
}

std::optional<std::string_view> StartRequest::find(std::string_view key) const {
  std::optional<std::string_view> found;
  for_each(key, [&](std::string_view value) {
    if (!found) {
      found = value;
    }
  });
  return found;
}

std::uint64_t StartRequest::number(std::string_view key, std::uint64_t otherwise) const {
  const std::optional<std::string_view> text = find(key);
  return text ? parse_number(*text).value() : otherwise;
}

}  // namespace vellum::run
