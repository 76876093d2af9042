// What handles name, without the format of the page tables: machines, spaces and objects as the public header's
// functions use them.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>

#include <vellum/vellum.hpp>

namespace libvellum::detail {

// Who drives which CPU. The last one, beyond those that the machine was asked for, is shared by the threads that drive
// none, one at a time.
class Drivers {
 public:
  explicit Drivers(unsigned cpus)
      : spare_(cpus), drivers_(std::make_unique<std::atomic<std::uintptr_t>[]>(std::size_t{cpus} + 1)) {}

  // False where it is driven already.
  [[nodiscard]] bool take(unsigned cpu);
  void give_back(unsigned cpu);

  // The calling thread's hold on a CPU for the length of a call; holds nest.
  class Hold {
   public:
    explicit Hold(Drivers& drivers);
    ~Hold();
    Hold(const Hold&) = delete;
    Hold& operator=(const Hold&) = delete;

    [[nodiscard]] unsigned cpu() const { return cpu_; }

   private:
    Drivers& drivers_;
    unsigned cpu_;
    bool took_spare_ = false;
  };

 private:
  [[nodiscard]] std::optional<unsigned> driven_by(std::uintptr_t thread) const;

  const unsigned spare_;
  std::atomic<unsigned> driven_{0};  // CPUs that take() gave out
  const std::unique_ptr<std::atomic<std::uintptr_t>[]> drivers_;
};

class Machine {
 public:
  explicit Machine(const MachineOptions& made_with) : options(made_with), drivers(made_with.cpus) {}
  virtual ~Machine() = default;
  Machine(const Machine&) = delete;
  Machine& operator=(const Machine&) = delete;

  [[nodiscard]] virtual Result<std::shared_ptr<Space>> create_space(UserLayout layout) = 0;
  // Without a reader: shared memory.
  [[nodiscard]] virtual Result<std::shared_ptr<Object>> create_object(std::uint64_t size, Reader reader,
                                                                      Writer writer) = 0;
  [[nodiscard]] virtual Counters counters() const = 0;
  [[nodiscard]] virtual MemoryUse memory_use() = 0;

  const MachineOptions options;
  Drivers drivers;
};

class Driver {
 public:
  Driver(std::shared_ptr<Machine> machine, unsigned cpu) : machine_(std::move(machine)), cpu_(cpu) {}
  ~Driver() { machine_->drivers.give_back(cpu_); }
  Driver(const Driver&) = delete;
  Driver& operator=(const Driver&) = delete;

 private:
  const std::shared_ptr<Machine> machine_;
  const unsigned cpu_;
};

class Object {
 public:
  Object(const Machine& on, std::uint64_t number) : machine(on), id(number) {}
  virtual ~Object() = default;
  Object(const Object&) = delete;
  Object& operator=(const Object&) = delete;

  [[nodiscard]] virtual std::uint64_t size() const = 0;
  [[nodiscard]] virtual Result<void> resize(std::uint64_t size) = 0;
  [[nodiscard]] virtual Result<std::uint64_t> read(std::uint64_t offset, std::span<std::byte> into) = 0;
  [[nodiscard]] virtual Result<std::uint64_t> write(std::uint64_t offset, std::span<const std::byte> from) = 0;
  [[nodiscard]] virtual Result<void> write_back() = 0;
  [[nodiscard]] virtual std::uint64_t resident_pages() = 0;

  const Machine& machine;
  const std::uint64_t id;
};

class Space {
 public:
  explicit Space(const Machine& on) : machine(on) {}
  virtual ~Space() = default;
  Space(const Space&) = delete;
  Space& operator=(const Space&) = delete;

  [[nodiscard]] virtual Result<std::uint64_t> map(std::uint64_t length, const MapOptions& options, Object* object) = 0;
  [[nodiscard]] virtual Result<void> unmap(std::uint64_t address, std::uint64_t length) = 0;
  [[nodiscard]] virtual Result<void> protect(std::uint64_t address, std::uint64_t length, Rights rights) = 0;
  [[nodiscard]] virtual Result<std::uint64_t> remap(std::uint64_t address, std::uint64_t old_length,
                                                    std::uint64_t new_length, const RemapOptions& options) = 0;
  [[nodiscard]] virtual Result<void> advise(std::uint64_t address, std::uint64_t length, Advice advice) = 0;
  // Nothing: unlocks.
  [[nodiscard]] virtual Result<void> lock(std::uint64_t address, std::uint64_t length, std::optional<Lock> how) = 0;
  [[nodiscard]] virtual Result<std::shared_ptr<Space>> fork() = 0;
  [[nodiscard]] virtual Result<std::shared_ptr<Space>> snapshot() = 0;
  [[nodiscard]] virtual Result<std::uint64_t> load(std::uint64_t address, unsigned size) = 0;
  [[nodiscard]] virtual Result<void> store(std::uint64_t address, std::uint64_t value, unsigned size) = 0;
  [[nodiscard]] virtual Result<std::uint8_t> fetch(std::uint64_t address) = 0;
  [[nodiscard]] virtual Result<void> read(std::uint64_t address, std::span<std::byte> into) = 0;
  [[nodiscard]] virtual Result<void> write(std::uint64_t address, std::span<const std::byte> from) = 0;
  // Of a space of the same machine.
  [[nodiscard]] virtual Result<void> restore(Space& snapshot) = 0;
  [[nodiscard]] virtual std::optional<Region> region_at_or_after(std::uint64_t address) = 0;
  [[nodiscard]] virtual Result<Walk> walk(std::uint64_t address) = 0;
  [[nodiscard]] virtual Result<Explanation> explain(std::uint64_t address) = 0;
  [[nodiscard]] virtual std::vector<LayoutRegion> layout() = 0;
  [[nodiscard]] virtual SpaceUse use() = 0;

  const Machine& machine;
};

// By format. Errors as Machine::create.
[[nodiscard]] Result<std::shared_ptr<Machine>> create_machine(const MachineOptions& options);

}  // namespace libvellum::detail
