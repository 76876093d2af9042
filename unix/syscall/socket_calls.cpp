// Sockets: there are none. The calls say so as Linux does where it knows no family of addresses, so that programs which
// try (a shell that asks whether its input is a connection) go on without.

#include <vellum/unix/system_call.hpp>

#include "paths.hpp"

namespace vellum::unix {

namespace {

// Errors: invalid (flags, type), no_address_family.
Result<std::uint64_t> refuse_family(const Arguments& arguments) {
  constexpr std::uint32_t kTypeMask = 0xf;
  constexpr std::uint32_t kTypes = 11;
  constexpr std::uint32_t kFamilies = 46;
  const auto type = static_cast<std::uint32_t>(arguments.value[1]);
  if ((type & ~(kTypeMask | open_flag::kCloseOnExec | open_flag::kNonBlocking)) != 0) {
    return Errno::invalid;
  }
  const bool is_family = static_cast<std::uint32_t>(arguments.value[0]) < kFamilies;
  return is_family && (type & kTypeMask) >= kTypes ? Errno::invalid : Errno::no_address_family;
}

// Errors: bad_descriptor, not_socket.
Result<std::uint64_t> refuse_file(const Arguments& arguments) {
  (void)VELLUM_TRY(usable_file(arguments.integer(0)));
  return Errno::not_socket;
}

// As refuse_file(); invalid first, where the length of the option is negative.
Result<std::uint64_t> sys_setsockopt(const Arguments& arguments) {
  return arguments.integer(4) < 0 ? Result<std::uint64_t>(Errno::invalid) : refuse_file(arguments);
}

constexpr Shown kFd = Shown::descriptor;
constexpr Shown kDecimal = Shown::decimal;
constexpr Shown kHex = Shown::hexadecimal;
constexpr Shown kFlags = Shown::flags;

constexpr SystemCall kCalls[] = {
    {41, "socket", refuse_family, 3, {kDecimal, kFlags, kDecimal}},
    {42, "connect", refuse_file, 3, {kFd, kHex, kDecimal}},
    {43, "accept", refuse_file, 3, {kFd, kHex, kHex}},
    {44, "sendto", refuse_file, 6, {kFd, Shown::bytes, kDecimal, kFlags, kHex, kDecimal}},
    {45, "recvfrom", refuse_file, 6, {kFd, kHex, kDecimal, kFlags, kHex, kHex}},
    {46, "sendmsg", refuse_file, 3, {kFd, kHex, kFlags}},
    {47, "recvmsg", refuse_file, 3, {kFd, kHex, kFlags}},
    {48, "shutdown", refuse_file, 2, {kFd, kDecimal}},
    {49, "bind", refuse_file, 3, {kFd, kHex, kDecimal}},
    {50, "listen", refuse_file, 2, {kFd, kDecimal}},
    {51, "getsockname", refuse_file, 3, {kFd, kHex, kHex}},
    {52, "getpeername", refuse_file, 3, {kFd, kHex, kHex}},
    {53, "socketpair", refuse_family, 4, {kDecimal, kFlags, kDecimal, kHex}},
    {54, "setsockopt", sys_setsockopt, 5, {kFd, kDecimal, kDecimal, kHex, kDecimal}},
    {55, "getsockopt", refuse_file, 5, {kFd, kDecimal, kDecimal, kHex, kHex}},
    {288, "accept4", refuse_file, 4, {kFd, kHex, kHex, kFlags}},
    {299, "recvmmsg", refuse_file, 5, {kFd, kHex, kDecimal, kFlags, kHex}},
    {307, "sendmmsg", refuse_file, 4, {kFd, kHex, kDecimal, kFlags}},
};

}  // namespace

std::span<const SystemCall> socket_calls() { return kCalls; }

}  // namespace vellum::unix
