// /proc/sys/vm: what an administrator may choose.
#include "proc.hpp"

namespace vellum::unix {

namespace {

constexpr bool is_space(char character) {
  return character == ' ' || character == '\t' || character == '\n' || character == '\0';
}

// The first number of what was written: decimal, octal or hexadecimal, as Linux takes it. Error: invalid.
struct Number {
  bool negative = false;
  std::uint64_t value = 0;
};
Result<Number> number_in(std::string_view text) {
  while (!text.empty() && is_space(text.front()) && text.front() != '\0') {
    text.remove_prefix(1);
  }
  Number number;
  number.negative = text.starts_with('-');
  text.remove_prefix(number.negative ? 1 : 0);
  unsigned base = 10;
  if (text.starts_with("0x") || text.starts_with("0X")) {
    base = 16;
    text.remove_prefix(2);
  } else if (text.starts_with('0')) {
    base = 8;
  }
  std::size_t digits = 0;
  for (; digits < text.size(); ++digits) {
    const char character = text[digits];
    const auto letter = static_cast<unsigned>(character | 0x20);
    const unsigned digit = character >= '0' && character <= '9' ? static_cast<unsigned>(character - '0')
                           : letter >= 'a' && letter <= 'f'     ? letter - 'a' + 10
                                                                : base;
    if (digit >= base) {
      break;
    }
    if (__builtin_mul_overflow(number.value, std::uint64_t{base}, &number.value) ||
        __builtin_add_overflow(number.value, std::uint64_t{digit}, &number.value)) {
      return Errno::invalid;
    }
  }
  return digits > 0 && (digits == text.size() || is_space(text[digits])) ? Result<Number>(number) : Errno::invalid;
}

}  // namespace

Result<std::int32_t> integer_in(std::string_view text) {
  const Number number = VELLUM_TRY(number_in(text));
  const std::uint64_t most = std::uint64_t{INT32_MAX} + (number.negative ? 1 : 0);
  if (number.value > most) {
    return Errno::invalid;
  }
  const auto value = static_cast<std::int64_t>(number.value);
  return static_cast<std::int32_t>(number.negative ? -value : value);
}

namespace {

// An unsigned long of C. A negative number means nothing at all: it is taken, and not kept.
Result<std::optional<std::uint64_t>> unsigned_in(std::string_view text) {
  const Number number = VELLUM_TRY(number_in(text));
  return number.negative ? std::optional<std::uint64_t>() : std::optional(number.value);
}

Commitment& commitment_of(Files& files) { return files.virtual_memory().objects.commitment(); }

Result<void> line(TextSink& sink, std::int64_t value) {
  sink.signed_decimal(value).text("\n");
  return {};
}

Result<void> write_mode(Files& files, const ProcSubject& /*subject*/, TextSink& sink) {
  return line(sink, static_cast<std::int64_t>(commitment_of(files).mode()));
}
Result<void> store_mode(Files& files, const ProcSubject& /*subject*/, std::string_view text) {
  const std::int32_t mode = VELLUM_TRY(integer_in(text));
  if (mode < 0 || mode > static_cast<std::int32_t>(Overcommit::never)) {
    return Errno::invalid;
  }
  commitment_of(files).set_mode(static_cast<Overcommit>(mode));
  return {};
}

Result<void> write_ratio(Files& files, const ProcSubject& /*subject*/, TextSink& sink) {
  return line(sink, commitment_of(files).ratio());
}
Result<void> store_ratio(Files& files, const ProcSubject& /*subject*/, std::string_view text) {
  commitment_of(files).set_ratio(VELLUM_TRY(integer_in(text)));
  return {};
}

Result<void> write_kilobytes(Files& files, const ProcSubject& /*subject*/, TextSink& sink) {
  sink.decimal(commitment_of(files).kilobytes()).text("\n");
  return {};
}
Result<void> store_kilobytes(Files& files, const ProcSubject& /*subject*/, std::string_view text) {
  const std::optional<std::uint64_t> kilobytes = VELLUM_TRY(unsigned_in(text));
  Commitment& commitment = commitment_of(files);
  commitment.set_kilobytes(kilobytes.value_or(commitment.kilobytes()));
  return {};
}

template <std::atomic<std::uint64_t> Commitment::* kReserve>
Result<void> write_reserve(Files& files, const ProcSubject& /*subject*/, TextSink& sink) {
  sink.decimal((commitment_of(files).*kReserve).load(std::memory_order_relaxed)).text("\n");
  return {};
}
template <std::atomic<std::uint64_t> Commitment::* kReserve>
Result<void> store_reserve(Files& files, const ProcSubject& /*subject*/, std::string_view text) {
  if (const std::optional<std::uint64_t> kilobytes = VELLUM_TRY(unsigned_in(text))) {
    (commitment_of(files).*kReserve).store(*kilobytes, std::memory_order_relaxed);
  }
  return {};
}

Result<void> write_lowest_address(Files& /*files*/, const ProcSubject& /*subject*/, TextSink& sink) {
  return line(sink, 65536);
}
Result<void> write_most_mappings(Files& /*files*/, const ProcSubject& /*subject*/, TextSink& sink) {
  return line(sink, 65530);
}

}  // namespace

constexpr ProcSpec kMemorySettings[kMemorySettingCount] = {
    {.name = "overcommit_memory", .permissions = 0644, .write = write_mode, .store = store_mode},
    {.name = "overcommit_ratio", .permissions = 0644, .write = write_ratio, .store = store_ratio},
    {.name = "overcommit_kbytes", .permissions = 0644, .write = write_kilobytes, .store = store_kilobytes},
    {.name = "admin_reserve_kbytes",
     .permissions = 0644,
     .write = write_reserve<&Commitment::administrator_reserve>,
     .store = store_reserve<&Commitment::administrator_reserve>},
    {.name = "user_reserve_kbytes",
     .permissions = 0644,
     .write = write_reserve<&Commitment::user_reserve>,
     .store = store_reserve<&Commitment::user_reserve>},
    {.name = "mmap_min_addr", .permissions = 0644, .write = write_lowest_address},
    {.name = "max_map_count", .permissions = 0644, .write = write_most_mappings},
};

}  // namespace vellum::unix
