// The system as a whole: its name, its memory, randomness, power.

#include <algorithm>

#include <vellum/unix/checkpoint.hpp>
#include <vellum/unix/process_system.hpp>
#include <vellum/unix/system_call.hpp>
#include <vellum/unix/user_memory.hpp>

#include "linux_time.hpp"

namespace vellum::unix {

namespace {

bool may(Capability what) {
  const LockGuard guard(process_lock);
  return this_process().credentials.has(what);
}

struct SystemName {
  char fields[6][65];  // system, node, release, version, machine, domain
};

void put(char (&field)[65], std::string_view text) {
  const std::size_t size = std::min(text.size(), sizeof(field) - 1);
  std::copy_n(text.data(), size, field);
  field[size] = '\0';
}

Result<std::uint64_t> sys_uname(const Arguments& arguments) {
  SystemName name = {};
  const ProcessSystem& system = process_system();
  put(name.fields[0], "Linux");  // C libraries refuse what is no Linux, or too old a one
  put(name.fields[1], system.host_name);
  put(name.fields[2], "6.1.0-vellum");
  put(name.fields[3], "#1 SMP Vellum");
  put(name.fields[4], "x86_64");
  put(name.fields[5], system.domain_name);
  VELLUM_TRY(write_user(arguments.address(0), name));
  return 0;
}

Result<std::uint64_t> set_name(char (&name)[65], const Arguments& arguments) {
  if (!may(Capability::administer)) {
    return Errno::not_permitted;
  }
  const std::int32_t size = arguments.integer(1);
  if (size < 0 || size >= static_cast<std::int32_t>(sizeof(name))) {
    return Errno::invalid;
  }
  char text[65] = {};
  VELLUM_TRY(
      copy_in(std::as_writable_bytes(std::span(text)).first(static_cast<std::size_t>(size)), arguments.address(0)));
  std::copy(std::begin(text), std::end(text), name);
  return 0;
}

Result<std::uint64_t> sys_sethostname(const Arguments& arguments) {
  return set_name(process_system().host_name, arguments);
}
Result<std::uint64_t> sys_setdomainname(const Arguments& arguments) {
  return set_name(process_system().domain_name, arguments);
}

struct SystemInfo {
  std::int64_t uptime;
  std::uint64_t loads[3];
  std::uint64_t total, free, shared, buffers, total_swap, free_swap;
  std::uint16_t processes, pad;
  std::uint32_t pad2;
  std::uint64_t total_high, free_high;
  std::uint32_t unit;
  std::uint32_t pad3;
};
static_assert(sizeof(SystemInfo) == 112);

Result<std::uint64_t> sys_sysinfo(const Arguments& arguments) {
  constexpr unsigned kLoadShift = 16 - 11;
  ProcessSystem& system = process_system();
  SystemInfo info = {};
  info.uptime = to_timespec(monotonic_now()).seconds;
  for (unsigned i = 0; i < 3; ++i) {
    info.loads[i] = std::uint64_t{system.load[i]} << kLoadShift;
  }
  info.total = bytes_of(system.memory.memory.total_count()).value();
  info.free = bytes_of(system.memory.memory.free_count()).value();
  info.processes = static_cast<std::uint16_t>(system.thread_count.load(std::memory_order_relaxed));
  info.unit = 1;
  VELLUM_TRY(write_user(arguments.address(0), info));
  return 0;
}

Result<std::uint64_t> sys_getrandom(const Arguments& arguments) {
  constexpr std::uint64_t kNonBlocking = 1;
  constexpr std::uint64_t kRandom = 2;
  constexpr std::uint64_t kInsecure = 4;
  const std::uint64_t flags = arguments.value[2] & 0xffffffff;
  if ((flags & ~(kNonBlocking | kRandom | kInsecure)) != 0 ||
      (flags & (kRandom | kInsecure)) == (kRandom | kInsecure)) {
    return Errno::invalid;
  }
  const std::uint64_t size = std::min<std::uint64_t>(arguments.value[1], INT32_MAX);
  std::byte bytes[256];
  Pace pace;
  for (std::uint64_t done = 0; done < size;) {
    const std::span<std::byte> piece(bytes, std::min<std::uint64_t>(sizeof(bytes), size - done));
    fill_random(piece);
    if (const Result<void> copied = copy_out(arguments.address(0) + ByteCount(done), piece); !copied.ok()) {
      return done != 0 ? Result<std::uint64_t>(done) : copied.error();
    }
    done += piece.size();
    if (!pace.go_on(piece.size() * kRandomWeight)) {
      return done;
    }
  }
  return size;
}

Result<std::uint64_t> sys_reboot(const Arguments& arguments) {
  constexpr std::uint32_t kMagic1 = 0xfee1dead;
  constexpr std::uint32_t kMagic2[] = {672274793, 85072278, 369367448, 537993216};
  constexpr std::uint32_t kRestart = 0x01234567;
  constexpr std::uint32_t kHalt = 0xCDEF0123;
  constexpr std::uint32_t kPowerOff = 0x4321FEDC;
  constexpr std::uint32_t kRestartCommand = 0xA1B2C3D4;
  constexpr std::uint32_t kKeysOn = 0x89ABCDEF;
  constexpr std::uint32_t kKeysOff = 0;
  if (!may(Capability::boot)) {
    return Errno::not_permitted;
  }
  const auto second = static_cast<std::uint32_t>(arguments.value[1]);
  if (static_cast<std::uint32_t>(arguments.value[0]) != kMagic1 ||
      std::find(std::begin(kMagic2), std::end(kMagic2), second) == std::end(kMagic2)) {
    return Errno::invalid;
  }
  switch (static_cast<std::uint32_t>(arguments.value[2])) {
    case kRestart:
    case kHalt:
    case kPowerOff:
    case kRestartCommand:
      power_off();
    case kKeysOn:
    case kKeysOff:
      return 0;
    default:
      return Errno::invalid;
  }
}

// The kernel's messages go elsewhere; what remains is the console's level and an empty buffer.
Result<std::uint64_t> sys_syslog(const Arguments& arguments) {
  constexpr std::int32_t kMostAction = 10;
  constexpr std::int32_t kSizeBuffer = 10;
  constexpr std::uint64_t kBufferSize = 16384;
  const std::int32_t action = arguments.integer(0);
  if (action < 0 || action > kMostAction) {
    return Errno::invalid;
  }
  if (!may(Capability::read_log)) {
    return Errno::not_permitted;
  }
  return action == kSizeBuffer ? kBufferSize : 0;
}

constexpr auto kDecimal = Shown::decimal;
constexpr auto kHex = Shown::hexadecimal;

constexpr SystemCall kCalls[] = {
    {63, "uname", sys_uname, 1, {kHex}},
    {99, "sysinfo", sys_sysinfo, 1, {kHex}},
    {103, "syslog", sys_syslog, 3, {kDecimal, kHex, kDecimal}},
    {169, "reboot", sys_reboot, 4, {kHex, kHex, kHex, kHex}},
    {170, "sethostname", sys_sethostname, 2, {Shown::text, kDecimal}},
    {171, "setdomainname", sys_setdomainname, 2, {Shown::text, kDecimal}},
    {318, "getrandom", sys_getrandom, 3, {kHex, kDecimal, Shown::flags}},
};

}  // namespace

std::span<const SystemCall> system_calls() { return kCalls; }

}  // namespace vellum::unix
