// libvellum: Vellum's virtual memory system on a simulated machine, in a host program.
//
// A Machine has memory and CPUs, all simulated. On it are Spaces, which programs would live in: what they map, touch
// and fork is done by the code that the kernel runs, on real page tables in the simulated memory, through a software
// MMU whose TLBs forget nothing by themselves. Objects are what several spaces can map: shared memory, and files whose
// contents a function gives. A Snapshot keeps what a space is at a moment; restoring it costs what changed since.
//
//   auto machine = libvellum::Machine::create({.memory = 64 << 20}).value();
//   auto space = machine.create_space().value();
//   const std::uint64_t at = space.map(16 << 10).value();
//   space.store<std::uint32_t>(at, 42).value();
//
// Handles. Machine, Space, Object, Snapshot and Cpu own what they name and can be moved, not copied. The order in which
// they end does not matter: a machine lives as long as anything on it, an object as long as it is mapped. A handle that
// was moved from or closed answers empty_handle.
//
// Errors are values. Nothing that a caller passes ends the process: a wrong argument gives the error that Linux's call
// would, an access that is refused says why, misuse of the library has codes of its own. (A broken invariant of Vellum
// itself ends it, with a report on stderr.)
//
// Threads. All functions may be called from several threads at once. A thread that drives a simulated CPU
// (Machine::drive) does everything on that one; those that drive none share a CPU that the machine keeps for them, and
// wait for each other. A handle itself is like any object: it must not be used while another thread moves or ends it.
//
// Documentation: docs/library.md.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace libvellum {

namespace detail {
class Machine;
class Space;
class Object;
class Driver;
}  // namespace detail

inline constexpr std::uint64_t kPageSize = 4096;

// --- errors --------------------------------------------------------------------------------------------------------

enum class Errc : std::uint8_t {
  // An access that the space does not permit.
  no_mapping = 1,  // SIGSEGV, SEGV_MAPERR: nothing is mapped there
  access_denied,   // SIGSEGV, SEGV_ACCERR: what is mapped there does not permit it
  non_canonical,   // SIGSEGV: the processor has no such address
  bus_error,       // SIGBUS: beyond the end of the object, or its contents cannot be read
  out_of_memory,   // the machine has no page for it

  // A call that Linux would refuse.
  invalid,        // EINVAL
  no_memory,      // ENOMEM: too large, no room, a hole in the range, or no page for its tables
  not_permitted,  // EPERM
  exists,         // EEXIST
  rights,         // EACCES: more rights than the maximum
  overflow,       // EOVERFLOW
  out_of_range,   // ERANGE: beyond the end of the object
  io_error,       // EIO: the object's function failed
  bad_address,    // EFAULT: not one mapping
  try_again,      // EAGAIN: no page for it now

  // Misuse of the library.
  empty_handle,     // moved from, or closed
  other_machine,    // two things that are on different machines
  other_space,      // a snapshot of a space that is not related by fork
  no_such_cpu,      // a number beyond the machine's CPUs
  cpu_busy,         // that CPU is driven already
  bad_memory_size,  // no multiple of the page size, less than kMinMemory, or more than the format can address
  bad_cpu_count,    // none, or more than kMaxCpus
  no_such_layout,   // the format has no such user layout
};

enum class Access : std::uint8_t { read, write, execute };

struct Error {
  Errc code;
  // Of a refused access: where, how, and the error code that a processor gives with the fault (0: none).
  std::uint64_t address = 0;
  Access access = Access::read;
  std::uint32_t fault_code = 0;

  // A sentence.
  [[nodiscard]] std::string message() const;
  // What Linux's system call would give, or 0.
  [[nodiscard]] int linux_errno() const;
  // The signal that a program would get (SIGSEGV, SIGBUS), or 0.
  [[nodiscard]] int linux_signal() const;
  constexpr bool operator==(Errc other) const { return code == other; }
};

template <class T>
using Result = std::expected<T, Error>;

// --- what calls take and give --------------------------------------------------------------------------------------

// The page tables' format, and so the processor.
enum class Format : std::uint8_t {
  amd64,     // 64-bit, four levels
  i386_pae,  // 32-bit with physical address extension and NX
};

// How the user half of a space is divided.
enum class UserLayout : std::uint8_t {
  illumos,    // amd64: stack and shared objects above the hole; i386: the stack below the text
  linux_low,  // amd64: everything below 2^47, as on Linux
  program32,  // amd64: a 32-bit program on the 64-bit kernel
};

inline constexpr std::uint64_t kMinMemory = std::uint64_t{1} << 20;
inline constexpr unsigned kMaxCpus = 255;

struct MachineOptions {
  std::uint64_t memory = std::uint64_t{64} << 20;  // bytes; the host gives only what is touched
  unsigned cpus = 1;
  Format format = Format::amd64;
};

struct Rights {
  bool read = false;
  bool write = false;
  bool execute = false;

  [[nodiscard]] static constexpr Rights all() { return {.read = true, .write = true, .execute = true}; }
  constexpr bool operator==(const Rights&) const = default;
};
inline constexpr Rights kNoRights{};
inline constexpr Rights kRead{.read = true};
inline constexpr Rights kReadWrite{.read = true, .write = true};
inline constexpr Rights kReadExecute{.read = true, .execute = true};

enum class Placement : std::uint8_t {
  anywhere,          // `address` is a hint
  fixed,             // exactly there, in place of what was there (MAP_FIXED)
  fixed_no_replace,  // exactly there, or not at all (MAP_FIXED_NOREPLACE)
};

class Object;

struct MapOptions {
  std::uint64_t address = 0;
  Placement placement = Placement::anywhere;
  Rights rights = kReadWrite;
  Rights maximum = Rights::all();  // the most that protect() may give later
  bool shared = false;             // writes are seen by all who map the object (MAP_SHARED)
  bool grows_down = false;         // a stack (MAP_GROWSDOWN)
  bool no_reserve = false;         // may be larger than memory (MAP_NORESERVE)
  bool populate = false;           // bring the pages in at once (MAP_POPULATE)
  const Object* object = nullptr;  // null: anonymous memory
  std::uint64_t offset = 0;        // into the object, a multiple of the page size
};

struct RemapOptions {
  bool may_move = false;                  // MREMAP_MAYMOVE
  std::optional<std::uint64_t> target{};  // MREMAP_FIXED: exactly there, in place of what was there
  bool keep_source = false;               // MREMAP_DONTUNMAP: its pages go, and it stays mapped
};

// What madvise(2) can say of memory so that it makes a difference here.
enum class Advice : std::uint8_t {
  discard,             // MADV_DONTNEED: private memory is what it was when it was mapped
  discard_locked_too,  // MADV_DONTNEED_LOCKED
  free,                // MADV_FREE, done at once: private anonymous memory only
  leave_out_of_forks,  // MADV_DONTFORK
  keep_in_forks,       // MADV_DOFORK
  wipe_in_forks,       // MADV_WIPEONFORK: private anonymous memory only
  copy_to_forks,       // MADV_KEEPONFORK
};

enum class Lock : std::uint8_t {
  now,       // mlock: brought in at once
  on_fault,  // MLOCK_ONFAULT
};

// What a stretch of addresses is for, whether or not anything is there yet.
struct Meaning {
  Rights rights{};
  Rights maximum{};
  bool shared = false;
  bool grows_down = false;
  bool has_object = false;   // false: anonymous private memory
  std::uint64_t object = 0;  // Object::id(); 0: one that no handle names (any more)
  std::uint64_t offset = 0;  // into the object, of the first byte

  bool operator==(const Meaning&) const = default;
};

// A line of /proc/PID/maps.
struct Region {
  std::uint64_t start = 0;
  std::uint64_t end = 0;  // one past the last byte
  Meaning meaning{};

  bool operator==(const Region&) const = default;
};

enum class EntryKind : std::uint8_t { empty, page, table, swapped };

// An entry of a page table, on the way to an address.
struct WalkLevel {
  unsigned level = 0;         // 1: the entries that map pages
  unsigned index = 0;         // of the entry in its table
  std::uint64_t table = 0;    // physical address of the table
  unsigned table_users = 0;   // entries that name this table; more than 1: it is shared
  bool object_table = false;  // the table belongs to an object and is linked into this space
  std::uint64_t entry = 0;    // as it stands in memory
  EntryKind kind = EntryKind::empty;
  bool present = false;  // the processor follows it
  // What a present entry of this level permits; a format's level that cannot deny permits everything.
  Rights rights{};
  bool user = false;
  bool accessed = false;
  bool dirty = false;
  std::uint64_t target = 0;          // physical address of the page or table that it names
  std::optional<Meaning> meaning{};  // where this entry's table says it (it holds for all that is below)
};

// How an address is translated, from the root down to where it ends.
struct Walk {
  std::uint64_t address = 0;
  std::vector<WalkLevel> levels{};
  std::optional<Meaning> meaning{};         // nothing: not mapped
  Rights granted{};                         // what the entries permit now, all together; a fault may add to it
  std::optional<std::uint64_t> physical{};  // of the byte, where a page is there
  unsigned page_users = 0;                  // entries that name that page; 0 for the page of zeros that reads share

  // A line for each level, and what it comes to.
  [[nodiscard]] std::string to_string() const;
};

// A region of the layout: of the kernel's half or the user's.
struct LayoutRegion {
  std::string_view name{};
  std::uint64_t start = 0;
  std::uint64_t last = 0;  // inclusive
  Rights most{};           // that a page of it ever has
  bool user = false;       // who has business there
  bool kernel = false;
  bool floating = false;       // its place depends on the size of memory
  std::string_view purpose{};  // a sentence
};

struct Explanation {
  std::uint64_t address = 0;
  LayoutRegion layout{};
  std::string clue{};          // what the number itself gives away ("a null pointer plus 8"), or empty
  std::string_view on_read{};  // what an access by a program leads to, by the layout
  std::string_view on_write{};
  std::string_view on_execute{};
  std::optional<Region> region{};  // what is mapped there
  std::optional<Region> below{};   // the nearest regions
  std::optional<Region> above{};

  [[nodiscard]] std::string to_string() const;
};

// What happened on a machine since it was made, on all its CPUs.
struct Counters {
  std::uint64_t tlb_hits = 0;
  std::uint64_t tlb_misses = 0;
  std::uint64_t entries_walked = 0;  // page-table entries read by the MMU
  std::uint64_t faults = 0;          // taken by the MMU, resolved or not
  std::uint64_t local_flushes = 0;
  std::uint64_t shootdowns = 0;    // interrupts to other CPUs
  std::uint64_t pages_zeroed = 0;  // anonymous pages written for the first time
  std::uint64_t pages_copied = 0;  // copies made because a page was shared (copy on write)
  std::uint64_t pages_reused = 0;  // writes to a page that nobody shared any more, without a copy
  std::uint64_t object_pages = 0;  // pages of objects that were put into tables
  std::uint64_t tables_made = 0;   // page tables
  std::uint64_t tables_dropped = 0;
  std::uint64_t tables_restored = 0;  // compared with a snapshot's, entry by entry
};

struct MemoryUse {
  std::uint64_t total_pages = 0;  // that the machine has to give
  std::uint64_t free_pages = 0;
};

struct SpaceUse {
  std::uint64_t mapped_pages = 0;    // that mean something
  std::uint64_t resident_pages = 0;  // in memory; shared ones count fully
  std::uint64_t tables = 0;          // that the space reaches, shared ones too
  std::uint64_t locked_pages = 0;    // that are to stay in memory
};

// --- handles -------------------------------------------------------------------------------------------------------

// A thread's hold on a CPU: as long as it lives, what the thread that made it does on the machine is done by that CPU.
class Cpu {
 public:
  Cpu() = default;
  Cpu(Cpu&&) = default;
  Cpu& operator=(Cpu&&) = default;

  void close() { driver_.reset(); }
  [[nodiscard]] bool is_open() const { return driver_ != nullptr; }

 private:
  friend class Machine;
  explicit Cpu(detail::Driver* driver) : driver_(driver) {}

  struct End {
    void operator()(detail::Driver* driver) const;
  };
  std::unique_ptr<detail::Driver, End> driver_;
};

// Fills the bytes of an object from `offset` on, which is a multiple of the page size; what it leaves alone is zeros.
// False: they cannot be read, and whoever touches them gets bus_error. Called with nothing locked, by the thread that
// touches, possibly by several at once.
using Reader = std::function<bool(std::uint64_t offset, std::span<std::byte> page)>;
// Keeps a page that was written (Object::write_back). False: it could not.
using Writer = std::function<bool(std::uint64_t offset, std::span<const std::byte> page)>;

// What several spaces can map: shared memory, or a file.
class Object {
 public:
  Object() = default;
  Object(Object&&) = default;
  Object& operator=(Object&&) = default;

  // Names it among the objects of its machine, in Meaning::object; never 0. 0 where the handle is empty.
  [[nodiscard]] std::uint64_t id() const;
  // Bytes. Error: empty_handle.
  [[nodiscard]] Result<std::uint64_t> size() const;
  // Makes it smaller (mapped pages behind the end go, and give bus_error) or larger. One at a time.
  // Errors: empty_handle, invalid (beyond 2^62).
  [[nodiscard]] Result<void> resize(std::uint64_t size);
  // Copies from or to the object, without any space. Both stop at the end of the object, and give the bytes copied.
  // Errors, with nothing copied: empty_handle, no_memory, io_error.
  [[nodiscard]] Result<std::uint64_t> read(std::uint64_t offset, std::span<std::byte> into) const;
  [[nodiscard]] Result<std::uint64_t> write(std::uint64_t offset, std::span<const std::byte> from);
  // Hands the pages that were written since to the Writer. Errors: empty_handle, io_error.
  [[nodiscard]] Result<void> write_back();
  // Pages in memory. Error: empty_handle.
  [[nodiscard]] Result<std::uint64_t> resident_pages() const;

  void close() { object_.reset(); }
  [[nodiscard]] bool is_open() const { return object_ != nullptr; }

 private:
  friend class Machine;
  friend class Space;
  explicit Object(std::shared_ptr<detail::Object> object) : object_(std::move(object)) {}

  std::shared_ptr<detail::Object> object_;
};

// What a space was when it was taken. Costs memory only for what the space writes afterwards.
class Snapshot {
 public:
  Snapshot() = default;
  Snapshot(Snapshot&&) = default;
  Snapshot& operator=(Snapshot&&) = default;

  void close() { snapshot_.reset(); }
  [[nodiscard]] bool is_open() const { return snapshot_ != nullptr; }

 private:
  friend class Space;
  explicit Snapshot(std::shared_ptr<detail::Space> snapshot) : snapshot_(std::move(snapshot)) {}

  std::shared_ptr<detail::Space> snapshot_;
};

// What a load or a store moves at once.
template <class T>
concept AccessUnit = std::same_as<T, std::uint8_t> || std::same_as<T, std::uint16_t> ||
                     std::same_as<T, std::uint32_t> || std::same_as<T, std::uint64_t>;

// An address space. Any function gives empty_handle where the handle is empty; that is not repeated below.
class Space {
 public:
  Space() = default;
  Space(Space&&) = default;
  Space& operator=(Space&&) = default;

  // --- what a program asks of its kernel, with Linux's results

  // mmap(2): returns where. Errors: invalid, no_memory, not_permitted, exists, rights, overflow; other_machine.
  [[nodiscard]] Result<std::uint64_t> map(std::uint64_t length, const MapOptions& options = {});
  // munmap(2). Errors: invalid, no_memory.
  [[nodiscard]] Result<void> unmap(std::uint64_t address, std::uint64_t length);
  // mprotect(2). Errors: invalid, no_memory, rights.
  [[nodiscard]] Result<void> protect(std::uint64_t address, std::uint64_t length, Rights rights);
  // mremap(2): returns where. Pages move without being copied. Errors: invalid, no_memory, not_permitted, bad_address.
  [[nodiscard]] Result<std::uint64_t> remap(std::uint64_t address, std::uint64_t old_length, std::uint64_t new_length,
                                            const RemapOptions& options = {});
  // madvise(2). Errors: invalid, no_memory (a hole in the range; the rest is done), try_again (no page for its tables).
  [[nodiscard]] Result<void> advise(std::uint64_t address, std::uint64_t length, Advice advice);
  // mlock2(2), munlock(2), without a limit: what is locked advice does not discard. Errors: invalid, no_memory,
  // try_again (no page to bring in).
  [[nodiscard]] Result<void> lock(std::uint64_t address, std::uint64_t length, Lock how = Lock::now);
  [[nodiscard]] Result<void> unlock(std::uint64_t address, std::uint64_t length);
  // fork(2)'s part: a space that is a copy of this one, at no cost for each page. Error: no_memory.
  [[nodiscard]] Result<Space> fork();

  // --- what a program does: accesses by the simulated CPU, through its TLB, with faults resolved as the kernel would

  // Errors: no_mapping, access_denied, non_canonical, bus_error, out_of_memory; nothing was stored then.
  template <AccessUnit T>
  [[nodiscard]] Result<T> load(std::uint64_t address) {
    const Result<std::uint64_t> value = load_unit(address, sizeof(T));
    if (!value) {
      return std::unexpected(value.error());
    }
    return static_cast<T>(*value);
  }
  // The type is to be named: store<std::uint32_t>(address, 1).
  template <AccessUnit T>
  [[nodiscard]] Result<void> store(std::uint64_t address, std::type_identity_t<T> value) {
    return store_unit(address, value, sizeof(T));
  }
  // The instruction byte at an address, as far as it may be executed.
  [[nodiscard]] Result<std::uint8_t> fetch(std::uint64_t address);
  // Any number of bytes, page by page. After an error, which names the address, what lies before its page is copied.
  [[nodiscard]] Result<void> read(std::uint64_t address, std::span<std::byte> into);
  [[nodiscard]] Result<void> write(std::uint64_t address, std::span<const std::byte> from);

  // --- snapshots

  // What the space is now, with its advice and locks. Costs nothing for each page. Shared mappings are part of it, what
  // their objects contain is not. Error: no_memory.
  [[nodiscard]] Result<Snapshot> snapshot();
  // Makes mappings and private memory again what they were: at the cost of what was changed since, whatever the space's
  // size. Any number of times, in any order of snapshots; also while other threads use the space, each of whose calls
  // is then before or after it. Errors: other_space, other_machine, no_memory, with nothing changed.
  [[nodiscard]] Result<void> restore(const Snapshot& snapshot);

  // --- looking: nothing of this changes the space

  // All regions, ascending, as /proc/PID/maps shows them.
  [[nodiscard]] Result<std::vector<Region>> regions() const;
  [[nodiscard]] Result<std::optional<Region>> region_at(std::uint64_t address) const;
  // The entries that a processor would read on its way to an address. Error: non_canonical.
  [[nodiscard]] Result<Walk> walk(std::uint64_t address) const;
  // What lies at an address and what an access to it means. Error: non_canonical (beyond 4 GB on i386).
  [[nodiscard]] Result<Explanation> explain(std::uint64_t address) const;
  // The whole address space, from high to low.
  [[nodiscard]] Result<std::vector<LayoutRegion>> layout() const;
  [[nodiscard]] Result<SpaceUse> use() const;

  void close() { space_.reset(); }
  [[nodiscard]] bool is_open() const { return space_ != nullptr; }

 private:
  friend class Machine;
  explicit Space(std::shared_ptr<detail::Space> space) : space_(std::move(space)) {}

  [[nodiscard]] Result<std::uint64_t> load_unit(std::uint64_t address, unsigned size);
  [[nodiscard]] Result<void> store_unit(std::uint64_t address, std::uint64_t value, unsigned size);

  std::shared_ptr<detail::Space> space_;
};

class Machine {
 public:
  Machine() = default;
  Machine(Machine&&) = default;
  Machine& operator=(Machine&&) = default;

  // Errors: bad_memory_size, bad_cpu_count, no_memory.
  [[nodiscard]] static Result<Machine> create(const MachineOptions& options = {});

  // An empty space. Errors: no_such_layout, no_memory; empty_handle.
  [[nodiscard]] Result<Space> create_space(UserLayout layout = UserLayout::illumos);
  // Shared memory of zeros. Errors: invalid (beyond 2^62), no_memory; empty_handle.
  [[nodiscard]] Result<Object> create_shared(std::uint64_t size);
  // A file of so many bytes. Without a writer what is written to it stays in memory. Errors: invalid (beyond 2^62, no
  // reader), no_memory; empty_handle.
  [[nodiscard]] Result<Object> create_file(std::uint64_t size, Reader reader, Writer writer = {});

  // Makes the calling thread drive a CPU. A thread that drives several uses the one of the lowest number.
  // Errors: no_such_cpu, cpu_busy; empty_handle.
  [[nodiscard]] Result<Cpu> drive(unsigned cpu);

  // Exact while no other thread uses the machine. Error: empty_handle.
  [[nodiscard]] Result<Counters> counters() const;
  // Pages that caches hold count as free. No other thread may be using the machine. Error: empty_handle.
  [[nodiscard]] Result<MemoryUse> memory_use();
  // What it was made with; the defaults where the handle is empty.
  [[nodiscard]] MachineOptions options() const;

  // What it holds ends with the last handle of what is on it.
  void close() { machine_.reset(); }
  [[nodiscard]] bool is_open() const { return machine_ != nullptr; }

 private:
  explicit Machine(std::shared_ptr<detail::Machine> machine) : machine_(std::move(machine)) {}

  std::shared_ptr<detail::Machine> machine_;
};

}  // namespace libvellum
