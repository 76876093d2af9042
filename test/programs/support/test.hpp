// Test cases for programs that run inside a guest: as small as can be, because what it stands on (fork, a pipe, wait,
// a timer) is itself under test. Each case runs in a process of its own, so that a crash or a hang of one ends only
// that one.
//
// A case that fails says why and ends; the lines on stdout are `ok GROUP: NAME`, with ` (NOTE)` where the case has more
// to say, or `not ok GROUP: NAME: why`, and at the end `N passed, N failed`.
#pragma once

#include <cerrno>
#include <cstdint>
#include <functional>
#include <string>
#include <type_traits>

namespace guest {

// Registers a case. Called while static objects are made.
void add_case(const char* group, std::string name, std::function<void()> body);

struct Registration {
  Registration(const char* group, const char* name, void (*body)()) { add_case(group, name, body); }
  // For cases made in loops: `make` calls add_case().
  explicit Registration(void (*make)()) { make(); }
};

// Runs the registered cases and returns the exit status. Arguments: parts of names (`GROUP: NAME`), to run only what
// holds one of them; --list.
int run_cases(int count, char** arguments);

// Adds to what the case's line says when it passes.
void note(const std::string& text);

// Ends this process and its case as failed.
[[noreturn]] void fail(const char* file, int line, const std::string& why);

template <class T>
std::string shown(const T& value) {
  if constexpr (std::is_same_v<T, bool>) {
    return value ? "true" : "false";
  } else if constexpr (std::is_null_pointer_v<T>) {
    return "null";
  } else if constexpr (std::is_pointer_v<T>) {
    char text[32];
    std::snprintf(text, sizeof text, "%p", static_cast<const void*>(value));
    return text;
  } else if constexpr (std::is_enum_v<T>) {
    return std::to_string(static_cast<long>(value));
  } else if constexpr (std::is_integral_v<T>) {
    if (std::is_unsigned_v<T> && static_cast<std::uint64_t>(value) > 0xFFFFFFFF) {
      char text[32];
      std::snprintf(text, sizeof text, "0x%lx", static_cast<unsigned long>(value));
      return text;
    }
    return std::to_string(value);
  } else {
    return std::string("'") + std::string(value) + "'";
  }
}

template <class A, class B>
void expect_equal(const A& got, const B& wanted, const char* text, const char* file, int line) {
  bool equal = false;
  if constexpr (std::is_integral_v<A> && std::is_integral_v<B>) {
    equal = static_cast<std::int64_t>(got) == static_cast<std::int64_t>(wanted);
  } else {
    equal = got == wanted;
  }
  if (!equal) {
    fail(file, line, std::string(text) + " is " + shown(got) + ", not " + shown(wanted));
  }
}

void expect_error(long result, int error, int wanted, const char* text, const char* file, int line);
long expect_success(long result, const char* text, const char* file, int line);

}  // namespace guest

#define GUEST_JOIN_NOW(a, b) a##b
#define GUEST_JOIN(a, b) GUEST_JOIN_NOW(a, b)
#define GUEST_CASE(group, name, function)                                                      \
  static void function();                                                                      \
  static const guest::Registration GUEST_JOIN(registration_, function)(group, name, function); \
  static void function()

// CASE("group", "what holds") { ... }
#define CASE(group, name) GUEST_CASE(group, name, GUEST_JOIN(case_at_, __LINE__))

// Each of these ends the case where it does not hold.
#define EXPECT(condition)                          \
  do {                                             \
    if (!(condition)) {                            \
      guest::fail(__FILE__, __LINE__, #condition); \
    }                                              \
  } while (false)
#define EXPECT_EQ(got, wanted) guest::expect_equal((got), (wanted), #got, __FILE__, __LINE__)
// A call that returns -1 and leaves its error in errno.
#define EXPECT_ERRNO(call, wanted)                                                 \
  do {                                                                             \
    errno = 0;                                                                     \
    const long guest_result = guest::as_long(call);                                \
    guest::expect_error(guest_result, errno, (wanted), #call, __FILE__, __LINE__); \
  } while (false)
// A call that does not return -1; its value.
#define MUST(call) guest::expect_success(guest::as_long(call), #call, __FILE__, __LINE__)

namespace guest {
template <class T>
long as_long(T value) {
  if constexpr (std::is_pointer_v<T>) {
    return reinterpret_cast<long>(value);
  } else {
    return static_cast<long>(value);
  }
}
}  // namespace guest
