#include "trace.hpp"

#include <algorithm>

#include <vellum/unix/memory_pressure.hpp>
#include <vellum/unix/process_system.hpp>
#include <vellum/unix/system_lock.hpp>
#include <vellum/unix/text_sink.hpp>
#include <vellum/unix/user_memory.hpp>

#include "names.hpp"

namespace vellum::unix {

namespace {

constexpr std::size_t kMostText = 48;
constexpr std::uint64_t kHighestError = 4095;

// A string of the program, or as many bytes as it passes.
void show_text(TextSink& text, VirtAddr at) {
  if (at.value() == 0) {
    text.text("NULL");
    return;
  }
  char characters[kMostText];
  std::size_t size = 0;
  bool ended = false;
  while (size < kMostText) {
    const Result<char> character = read_user<char>(at + ByteCount(size));
    if (!character.ok() || character.value() == '\0') {
      ended = true;
      break;
    }
    characters[size++] = character.value();
  }
  text.character('"');
  for (std::size_t i = 0; i < size; ++i) {
    const auto byte = static_cast<unsigned char>(characters[i]);
    if (byte == '\n') {
      text.text("\\n");
    } else if (byte == '"' || byte == '\\') {
      text.character('\\').character(characters[i]);
    } else if (byte < ' ' || byte > '~') {
      text.text("\\x").hexadecimal(byte, 2);
    } else {
      text.character(characters[i]);
    }
  }
  text.text(ended ? "\"" : "\"...");
}

// PROT_READ|PROT_WRITE, MADV_FREE, O_RDONLY|0x400000: names, and what has none in hexadecimal.
void show_named(TextSink& text, const ValueNames& names, std::uint64_t value) {
  std::uint64_t rest = value;
  bool is_first = true;
  const auto show = [&](const NamedValue& named) {
    text.text(is_first ? "" : "|").text(named.name);
    is_first = false;
  };
  for (const NamedValue& named : names.values) {
    const bool is_choice = (named.value & ~names.choice) == 0 && (names.choice != 0 || named.value == 0);
    if (is_choice && (value & names.choice) == named.value && (names.choice != 0 || value == 0)) {
      show(named);
      rest &= ~names.choice;
    } else if (!is_choice && (rest & named.value) == named.value) {
      show(named);
      rest &= ~named.value;
    }
  }
  if (rest != 0 || is_first) {
    text.text(is_first ? "" : "|").text(rest == 0 ? "" : "0x").hexadecimal(rest);
  }
}

void show_argument(TextSink& text, Shown shown, std::uint64_t value) {
  if (shown.names() != nullptr) {
    show_named(text, *shown.names(), value);
    return;
  }
  switch (shown.kind()) {
    case Shown::decimal:
      text.signed_decimal(static_cast<std::int64_t>(value));
      return;
    case Shown::descriptor:
      text.signed_decimal(static_cast<std::int32_t>(value));
      return;
    case Shown::text:
      show_text(text, VirtAddr(value));
      return;
    case Shown::hexadecimal:
    case Shown::bytes:
    case Shown::flags:
      if (value == 0) {
        text.text(shown.kind() == Shown::flags ? "0" : "NULL");
      } else {
        text.text("0x").hexadecimal(value);
      }
      return;
  }
}

bool does_not_return(std::uint64_t number) {
  constexpr std::uint64_t kExit = 60;
  constexpr std::uint64_t kExitGroup = 231;
  return number == kExit || number == kExitGroup;
}

void show_result(TextSink& text, std::uint64_t result) {
  text.text(" = ");
  if (result > ~kHighestError) {
    text.text("-1 ");
    text.text(errno_name(static_cast<unsigned>(-result)));
  } else if (result > 0xffffffff) {
    text.text("0x").hexadecimal(result);
  } else {
    text.decimal(result);
  }
}

std::uint64_t trace(Thread& thread, std::uint64_t number, const SystemCall* call, const Arguments& arguments) {
  char line[512];
  FixedText text(line);
  text.character('[').signed_decimal(thread.id.value()).text("] ");
  if (const char* const name = linux_call_name(number); name != nullptr) {
    text.text(name);
  } else {
    text.text("syscall_").decimal(number);
  }
  text.character('(');
  const unsigned count = call != nullptr ? call->argument_count : 0;
  for (unsigned i = 0; i < count; ++i) {
    text.text(i == 0 ? "" : ", ");
    show_argument(text, call->shown[i], arguments.value[i]);
  }
  text.character(')');
  if (does_not_return(number)) {
    text.text(" = ?");
    thread.system.reporter.trace(text.view());
  }
  std::uint64_t value = encoded(Errno::no_call);
  if (call != nullptr) {
    const Result<std::uint64_t> result = call->handler(arguments);
    value = result.ok() ? result.value() : encoded(result.error());
    report_refusal();
  }
  show_result(text, value);
  const InSystem in_system;
  thread.system.reporter.trace(text.view());
  return value;
}

}  // namespace

// What is served in the system is reported before the next call is made; what is served beside it, as soon as it can
// be.
std::uint64_t traced_call(Thread& thread, std::uint64_t number, const SystemCall* call, const Arguments& arguments) {
  if (call != nullptr && call->served == Served::beside_system) {
    return trace(thread, number, call, arguments);
  }
  const InSystem in_system;
  return trace(thread, number, call, arguments);
}

}  // namespace vellum::unix
