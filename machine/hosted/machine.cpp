#include <vellum/hosted/machine.hpp>

namespace vellum::hosted {

namespace {

// A number that no other living thread has.
std::uintptr_t thread_token() {
  static constinit thread_local char token = 0;
  return reinterpret_cast<std::uintptr_t>(&token);
}

struct RamRanges {
  PhysRange ranges[Machine::kMaxRamRanges];
  std::size_t count = 0;

  // Takes `size` bytes of `rest` for a range that starts at `start`.
  void add(PhysAddr start, ByteCount size, ByteCount& rest) {
    const ByteCount taken = size < rest ? size : rest;
    if (!taken.is_zero()) {
      ranges[count++] = PhysRange::must(start, taken);
      rest -= taken;
    }
  }
};

RamRanges pc_ranges(ByteCount memory) {
  using namespace literals;
  RamRanges result;
  ByteCount rest = memory;
  result.add(PhysAddr(0), 640_KiB, rest);
  result.add(PhysAddr((1_MiB).value()), 3_GiB - 1_MiB, rest);
  result.add(PhysAddr((4_GiB).value()), rest, rest);
  return result;
}

Result<RamRanges> ranges_of(const MachineConfig& config) {
  RamRanges result;
  if (config.ranges.empty()) {
    if (config.memory.is_zero() || config.memory.value() % kPageSize != 0) {
      return Errno::invalid;
    }
    if (config.layout == RamLayout::pc) {
      return pc_ranges(config.memory);
    }
    result.ranges[result.count++] = PhysRange::must(PhysAddr(0), config.memory);
    return result;
  }
  if (config.ranges.size() > Machine::kMaxRamRanges) {
    return Errno::invalid;
  }
  PhysAddr end(0);
  for (const PhysRange& range : config.ranges) {
    if (range.empty() || range.start() < end || !range.start().is_page_aligned() || !range.end().is_page_aligned()) {
      return Errno::invalid;
    }
    end = range.end();
    result.ranges[result.count++] = range;
  }
  return result;
}

}  // namespace

bool Cpu::is_driven_by_caller() const { return driver_.load(std::memory_order_relaxed) == thread_token(); }

bool FailureInjector::decide() {
  const std::uint64_t ask = asks_.fetch_add(1, std::memory_order_relaxed) + 1;
  bool fails = false;
  switch (mode_.load(std::memory_order_acquire)) {
    case Mode::off:
    case Mode::count:
      break;
    case Mode::nth:
      fails = ask == nth_;
      break;
    case Mode::random: {
      // The finaliser of splitmix64 [Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014].
      std::uint64_t mixed = seed_ + ask * 0x9E37'79B9'7F4A'7C15;
      mixed = (mixed ^ (mixed >> 30)) * 0xBF58'476D'1CE4'E5B9;
      mixed = (mixed ^ (mixed >> 27)) * 0x94D0'49BB'1331'11EB;
      mixed ^= mixed >> 31;
      fails = mixed % denominator_ < numerator_;
      break;
    }
  }
  if (fails) {
    failures_.fetch_add(1, std::memory_order_relaxed);
  }
  return !fails;
}

Result<std::unique_ptr<Machine>> Machine::create(const MachineConfig& config) {
  if (config.cpus == 0 || config.cpus > kMaxCpus) {
    return Errno::invalid;
  }
  const RamRanges ram = VELLUM_TRY(ranges_of(config));
  HostArea area = VELLUM_TRY(HostArea::create(ram.ranges[ram.count - 1].end() - PhysAddr(0)));
  PhysAddr end(0);
  for (std::size_t i = 0; i < ram.count; ++i) {
    if (end < ram.ranges[i].start()) {
      area.forbid(end - PhysAddr(0), ram.ranges[i].start() - end);
    }
    end = ram.ranges[i].end();
  }
  return std::unique_ptr<Machine>(new Machine(std::move(area), {ram.ranges, ram.count}, config.cpus));
}

Machine::Machine(HostArea ram, std::span<const PhysRange> ranges, unsigned cpu_count)
    : ram_(std::move(ram)),
      cpus_(std::make_unique<Cpu[]>(cpu_count)),
      cpu_count_(cpu_count),
      range_count_(ranges.size()) {
  for (std::size_t i = 0; i < ranges.size(); ++i) {
    ranges_[i] = ranges[i];
  }
}

Machine::~Machine() {
  for (unsigned i = 0; i < cpu_count_; ++i) {
    VELLUM_CHECK(cpus_[i].driver_.load() == 0);
  }
}

void Machine::set_root(PhysAddr root) {
  VELLUM_CHECK(root.is_page_aligned() && root < ram_end());
  Cpu& cpu = current();
  cpu.gate_.enter();
  cpu.root_.store(root.value(), std::memory_order_relaxed);
  cpu.tlb_.flush_everything();
  load_root_entries(cpu);
  cpu.root_loads_.add(1);
  cpu.gate_.leave();
}

void Machine::load_root_entries(Cpu& cpu) const {
  auto* entries = reinterpret_cast<std::uint64_t*>(ram() + cpu.root().value());
  for (std::uint64_t& entry : cpu.root_entries_) {
    entry = std::atomic_ref(*entries++).load(std::memory_order_acquire);
  }
}

void Machine::apply(Cpu& cpu, const TlbFlush& flush) const {
  cpu.tlb_.flush(flush);
  if (flush.everything && cpu.has_root()) {
    load_root_entries(cpu);  // it is done by loading CR3 again
  }
}

void Machine::flush_local(const TlbFlush& flush) {
  Cpu& cpu = current();
  cpu.gate_.enter();
  apply(cpu, flush);
  cpu.local_flushes_.add(1);
  cpu.gate_.leave();
}

template <class Predicate>
void Machine::flush_others(const CpuSet& cpus, const TlbFlush& flush, Predicate concerns) {
  const CpuIndex self = current_cpu();
  VELLUM_ASSERT(!cpus.contains(self));
  const std::uintptr_t me = thread_token();
  bool others_drive = false;
  cpus.for_each([&](CpuIndex index) {
    Cpu& target = cpu(index);
    target.gate_.shut();
    // A thread that begins to drive the CPU after this sees that the gate is shut (CpuScope).
    const std::uintptr_t driver = target.driver_.load(std::memory_order_seq_cst);
    others_drive = others_drive || (driver != 0 && driver != me);
  });
  if (others_drive) {
    asymmetric_barrier();
  }
  cpus.for_each([&](CpuIndex index) {
    Cpu& target = cpu(index);
    target.gate_.wait_until_outside();
    if (concerns(target)) {
      apply(target, flush);
      target.shootdowns_served_.add(1);
    }
    target.gate_.open();
  });
  cpu(self).shootdowns_sent_.add(cpus.count());
}

void Machine::flush_remote(const CpuSet& cpus, PhysAddr root, const TlbFlush& flush) {
  flush_others(cpus, flush, [root](const Cpu& target) { return target.root() == root; });
}

void Machine::flush_everywhere(const TlbFlush& flush) {
  flush_local(flush);
  const CpuIndex self = current_cpu();
  CpuSet others;
  for (unsigned i = 0; i < cpu_count_; ++i) {
    if (CpuIndex(i) != self && cpu(CpuIndex(i)).has_root()) {
      others.add(CpuIndex(i));
    }
  }
  if (!others.empty()) {
    flush_others(others, flush, [](const Cpu& target) { return target.has_root(); });
  }
}

Statistics Machine::statistics() const {
  Statistics total;
  for (unsigned i = 0; i < cpu_count_; ++i) {
    total += cpus_[i].statistics();
  }
  return total;
}

CpuScope::CpuScope(Machine& machine, CpuIndex cpu)
    : machine_(&machine),
      cpu_(cpu),
      outer_(innermost_),
      became_driver_(machine.cpu(cpu).driver_.load(std::memory_order_relaxed) != thread_token()) {
  if (became_driver_) {
    Cpu& driven = machine.cpu(cpu);
    std::uintptr_t nobody = 0;
    VELLUM_CHECK(driven.driver_.compare_exchange_strong(nobody, thread_token(), std::memory_order_seq_cst));
    driven.gate_.wait_while_shut();
  }
  innermost_ = this;
}

CpuScope::~CpuScope() {
  VELLUM_CHECK(innermost_ == this);
  innermost_ = outer_;
  if (became_driver_) {
    Cpu& driven = machine_->cpu(cpu_);
    VELLUM_CHECK(driven.section_depth_ == 0);
    driven.driver_.store(0, std::memory_order_release);
  }
}

}  // namespace vellum::hosted
