// Signals: their numbers, sets of them, what is told about one, and what waits for a thread or process. All values and
// layouts are Linux's for x86-64, so that they are copied to programs as they are.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include <vellum/arena/object_cache.hpp>
#include <vellum/base/intrusive_list.hpp>
#include <vellum/unix/types.hpp>

namespace vellum::unix {

namespace signal {
inline constexpr Signal kHangup{1};
inline constexpr Signal kInterrupt{2};
inline constexpr Signal kQuit{3};
inline constexpr Signal kIllegal{4};
inline constexpr Signal kTrap{5};
inline constexpr Signal kAbort{6};
inline constexpr Signal kBus{7};
inline constexpr Signal kFloatingPoint{8};
inline constexpr Signal kKill{9};
inline constexpr Signal kSegmentation{11};
inline constexpr Signal kPipe{13};
inline constexpr Signal kAlarm{14};
inline constexpr Signal kChild{17};
inline constexpr Signal kContinue{18};
inline constexpr Signal kStop{19};
inline constexpr Signal kTerminalStop{20};
inline constexpr Signal kTerminalInput{21};
inline constexpr Signal kTerminalOutput{22};
inline constexpr Signal kUrgent{23};
inline constexpr Signal kCpuLimit{24};
inline constexpr Signal kFileSizeLimit{25};
inline constexpr Signal kVirtualAlarm{26};
inline constexpr Signal kProfiling{27};
inline constexpr Signal kWindowChange{28};
inline constexpr Signal kBadCall{31};
inline constexpr std::uint8_t kFirstRealtime = 32;
inline constexpr std::uint8_t kLast = 64;
}  // namespace signal

class SignalSet {
 public:
  constexpr SignalSet() = default;
  constexpr explicit SignalSet(std::uint64_t bits) : bits_(bits) {}
  template <class... Signals>
  [[nodiscard]] static constexpr SignalSet of(Signals... signals) {
    return SignalSet((bit(signals) | ...));
  }

  [[nodiscard]] constexpr std::uint64_t bits() const { return bits_; }
  [[nodiscard]] constexpr bool empty() const { return bits_ == 0; }
  [[nodiscard]] constexpr bool has(Signal signal) const { return (bits_ & bit(signal)) != 0; }
  constexpr void add(Signal signal) { bits_ |= bit(signal); }
  constexpr void remove(Signal signal) { bits_ &= ~bit(signal); }
  // The lowest number; the set must not be empty.
  [[nodiscard]] constexpr Signal first() const { return Signal(static_cast<std::uint8_t>(__builtin_ctzll(bits_) + 1)); }
  [[nodiscard]] constexpr SignalSet without(SignalSet other) const { return SignalSet(bits_ & ~other.bits_); }
  constexpr SignalSet operator|(SignalSet other) const { return SignalSet(bits_ | other.bits_); }
  constexpr SignalSet operator&(SignalSet other) const { return SignalSet(bits_ & other.bits_); }
  constexpr bool operator==(const SignalSet&) const = default;

 private:
  [[nodiscard]] static constexpr std::uint64_t bit(Signal signal) { return std::uint64_t{1} << (signal.value() - 1); }

  std::uint64_t bits_ = 0;
};

inline constexpr SignalSet kUnblockable = SignalSet::of(signal::kKill, signal::kStop);
inline constexpr SignalSet kStopSignals =
    SignalSet::of(signal::kStop, signal::kTerminalStop, signal::kTerminalInput, signal::kTerminalOutput);
// Caused by the program's own instructions: these come first.
inline constexpr SignalSet kSynchronous = SignalSet::of(signal::kSegmentation, signal::kBus, signal::kIllegal,
                                                        signal::kTrap, signal::kFloatingPoint, signal::kBadCall);

// si_code.
enum class SignalCode : std::int32_t {
  from_user = 0,         // SI_USER
  from_kernel = 0x80,    // SI_KERNEL
  from_queue = -1,       // SI_QUEUE
  from_timer = -2,       // SI_TIMER
  from_thread = -6,      // SI_TKILL
  not_mapped = 1,        // SEGV_MAPERR
  access_denied = 2,     // SEGV_ACCERR
  alignment = 1,         // BUS_ADRALN
  no_such_address = 2,   // BUS_ADRERR
  integer_division = 1,  // FPE_INTDIV
  float_division = 3,    // FPE_FLTDIV
  float_overflow = 4,    // FPE_FLTOVF
  float_underflow = 5,   // FPE_FLTUND
  float_inexact = 6,     // FPE_FLTRES
  float_invalid = 7,     // FPE_FLTINV
  illegal_operand = 2,   // ILL_ILLOPN
  breakpoint = 1,        // TRAP_BRKPT
  trace = 2,             // TRAP_TRACE
  child_exited = 1,      // CLD_EXITED
  child_killed = 2,      // CLD_KILLED
  child_dumped = 3,      // CLD_DUMPED
  child_stopped = 5,     // CLD_STOPPED
  child_continued = 6,   // CLD_CONTINUED
};

// siginfo_t.
struct SignalInfo {
  std::int32_t number = 0;
  std::int32_t error = 0;
  std::int32_t code = 0;
  std::int32_t zero = 0;
  union Payload {
    struct {
      std::int32_t process;
      std::uint32_t user;
      std::uint64_t value;
    } sender;
    struct {
      std::uint64_t address;
    } fault;
    struct {
      std::int32_t process;
      std::uint32_t user;
      std::int32_t status;
      std::int32_t zero;
      std::int64_t user_time;  // in clock ticks of 10 ms
      std::int64_t system_time;
    } child;
    std::byte bytes[112];
  } payload = {.bytes = {}};

  [[nodiscard]] static SignalInfo make(Signal signal, SignalCode code) {
    SignalInfo info;
    info.number = signal.value();
    info.code = static_cast<std::int32_t>(code);
    return info;
  }
  [[nodiscard]] static SignalInfo from(Signal signal, SignalCode code, ProcessId sender, UserId user) {
    SignalInfo info = make(signal, code);
    info.payload.sender.process = sender.value();
    info.payload.sender.user = user.value();
    return info;
  }
  [[nodiscard]] static SignalInfo fault(Signal signal, SignalCode code, VirtAddr address) {
    SignalInfo info = make(signal, code);
    info.payload.fault.address = address.value();
    return info;
  }
  [[nodiscard]] Signal signal() const { return Signal(static_cast<std::uint8_t>(number)); }
};
static_assert(sizeof(SignalInfo) == 128);

// What the kernel keeps of the most recent sigaction(2); Linux's struct kernel_sigaction.
struct SignalAction {
  std::uint64_t handler = kDefault;
  std::uint64_t flags = 0;
  std::uint64_t restorer = 0;
  SignalSet mask;

  static constexpr std::uint64_t kDefault = 0;
  static constexpr std::uint64_t kIgnore = 1;
  // SA_*
  static constexpr std::uint64_t kNoChildStop = 1;
  static constexpr std::uint64_t kNoChildWait = 2;
  static constexpr std::uint64_t kWithInfo = 4;
  static constexpr std::uint64_t kRestorer = 0x04000000;
  static constexpr std::uint64_t kOnStack = 0x08000000;
  static constexpr std::uint64_t kRestart = 0x10000000;
  static constexpr std::uint64_t kNoDefer = 0x40000000;
  static constexpr std::uint64_t kResetHandler = 0x80000000;

  [[nodiscard]] bool has(std::uint64_t flag) const { return (flags & flag) != 0; }
};
static_assert(sizeof(SignalAction) == 32);

enum class DefaultAction : std::uint8_t { terminate, dump, ignore, stop, resume };
[[nodiscard]] DefaultAction default_action(Signal signal);

// Who has a queued signal of its own, and lends it: a timer, which must not allocate when it runs out.
struct SignalLender {
  bool is_lent = false;
  std::uint32_t missed = 0;   // times that there was more to tell since then
  std::uint32_t overrun = 0;  // the same of the signal that was taken last
};

struct QueuedSignal {
  SignalInfo info;
  ListLink link;
  SignalLender* lender = nullptr;  // null: its own, to be freed by who took it
};

// Signals that wait for one thread, or for any thread of a process. The owner locks.
class PendingSignals {
 public:
  using Cache = TypedCache<QueuedSignal>;

  [[nodiscard]] SignalSet set() const { return set_; }
  // A signal below kFirstRealtime waits once. Takes `queued` where it keeps it; otherwise the caller still has it.
  [[nodiscard]] bool add(Signal signal, QueuedSignal* queued);
  // Takes the first of `wanted`, which must wait; sets `spent` to what the caller then frees, or null. What was lent
  // goes back.
  [[nodiscard]] SignalInfo take(Signal signal, QueuedSignal*& spent);
  // Forgets all of `unwanted`; the queued ones are handed to the caller's list, or back to who lent them.
  using List = IntrusiveList<QueuedSignal, &QueuedSignal::link>;
  void discard(SignalSet unwanted, List& spent);

 private:
  SignalSet set_;
  List queue_;
};

}  // namespace vellum::unix
