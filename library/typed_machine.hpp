// A machine whose page tables are of format F: the simulated PC, its physical memory, and the core on top.
#pragma once

#include <mutex>
#include <unordered_map>

#include <vellum/arena/physical_page_source.hpp>
#include <vellum/hosted/machine.hpp>
#include <vellum/pagetable/formats.hpp>
#include <vellum/phys/physical_memory.hpp>
#include <vellum/space/space.hpp>

#include "convert.hpp"
#include "state.hpp"

namespace libvellum::detail {

template <class F>
class TypedMachine final : public Machine, public std::enable_shared_from_this<TypedMachine<F>> {
 public:
  using CoreSpace = vellum::AddressSpace<F>;
  using CoreObject = vellum::MemoryObject<F>;

  [[nodiscard]] static Result<std::shared_ptr<Machine>> create(const MachineOptions& options);
  ~TypedMachine() override;

  [[nodiscard]] Result<std::shared_ptr<Space>> create_space(UserLayout layout) override;
  [[nodiscard]] Result<std::shared_ptr<Object>> create_object(std::uint64_t size, Reader reader,
                                                              Writer writer) override;
  [[nodiscard]] Counters counters() const override;
  [[nodiscard]] MemoryUse memory_use() override;

  // The calling thread does what follows as a CPU of the machine.
  class OnCpu {
   public:
    explicit OnCpu(TypedMachine& machine)
        : hold_(machine.drivers), scope_(*machine.host_, vellum::CpuIndex(hold_.cpu())) {}
    [[nodiscard]] vellum::CpuIndex cpu() const { return scope_.cpu(); }

   private:
    Drivers::Hold hold_;
    vellum::hosted::CpuScope scope_;
  };

  [[nodiscard]] vellum::hosted::Machine& host() { return *host_; }
  [[nodiscard]] vellum::VirtualMemory<F>& vm() { return *vm_; }
  // Makes the calling CPU run a space.
  void run(CoreSpace& space, const OnCpu& on) {
    if (running_[on.cpu().value()].load(std::memory_order_relaxed) != &space) {
      switch_to(space, on.cpu());
    }
  }
  // No CPU runs the space any more, and it ends.
  void end(CoreSpace& space);

  void name_object(const CoreObject& object, std::uint64_t id);
  void forget_object(const CoreObject& object);
  // 0: it has no handle.
  [[nodiscard]] std::uint64_t id_of(const CoreObject& object) const;

 private:
  TypedMachine(const MachineOptions& options, std::unique_ptr<vellum::hosted::Machine> host, vellum::MemoryMap map,
               vellum::hosted::HostArea area);
  [[nodiscard]] bool start();
  void switch_to(CoreSpace& space, vellum::CpuIndex cpu);

  const std::unique_ptr<vellum::hosted::Machine> host_;
  const vellum::MemoryMap map_;
  const vellum::hosted::HostArea area_;
  vellum::PhysicalMemory* memory_ = nullptr;
  std::optional<vellum::PhysicalPageSource> source_;
  std::unique_ptr<vellum::VirtualMemory<F>> vm_;

  // What each CPU runs, or null: written by its driver, or by who ends the space, under the mutex.
  std::mutex switching_;
  const std::unique_ptr<std::atomic<CoreSpace*>[]> running_;

  mutable std::mutex naming_;
  std::unordered_map<const CoreObject*, std::uint64_t> ids_;
  std::atomic<std::uint64_t> objects_made_{0};
};

extern template class TypedMachine<vellum::Amd64>;
extern template class TypedMachine<vellum::I386Pae>;

}  // namespace libvellum::detail
