// Beginning and end of spaces, and of the system that they share.

#include <vellum/space/space.hpp>

#include <new>

#include <vellum/pagetable/instantiate.hpp>

namespace vellum {

template <PageTableFormat F>
Result<void> VirtualMemory<F>::start() {
  zero_frame_ = VELLUM_TRY(memory.allocate(Contents::zeroed));
  memory.frame(zero_frame_).assign(FrameKind::zero_page, nullptr, 0);
  return {};
}

template <PageTableFormat F>
void VirtualMemory<F>::stop() {
  reap();
  memory.free_zeroed(zero_frame_);
}

template <PageTableFormat F>
void VirtualMemory<F>::reap() {
  epochs.drain();
  spaces_.reap();
  families_.reap();
  per_cpu_.reap();
  objects.reap();
  nodes.reap();
}

template <PageTableFormat F>
AddressSpace<F>::AddressSpace(VirtualMemory<F>& system, const SpaceLayout& layout, Family<F>& family, void* per_cpu)
    : FamilyMember<F>(system.nodes),
      system_(system),
      layout_(layout),
      tables_(system.nodes),
      family_(&family),
      per_cpu_(static_cast<PerCpu*>(per_cpu)),
      place_below_(vpn_of<F>(layout.placement_top).value()),
      stack_limit_(layout.stack_limit.value()),
      size_limit_(layout.size_limit.value()),
      data_limit_(layout.data_limit.value()) {
  static_assert(sizeof(PerCpu) == VirtualMemory<F>::kSlotSize.value());  // as VirtualMemory has them allocated
  for (unsigned i = 0; i < system.slot_count(); ++i) {
    ::new (static_cast<void*>(per_cpu_ + i)) PerCpu;
  }
}

template <PageTableFormat F>
Result<AddressSpace<F>*> AddressSpace<F>::create(VirtualMemory<F>& system, const SpaceLayout& layout, Node* kernel) {
  Family<F>* const family = VELLUM_TRY(system.families_.create(system));
  Result<AddressSpace*> created = create_in(system, layout, *family);
  family->release();
  if (!created.ok() || kernel == nullptr) {
    return created;
  }
  AddressSpace& space = *created.value();
  const Result<void> shared = space.share_kernel(*space.tree.root, *kernel);
  if (!shared.ok()) {
    space.destroy();
    return shared.error();
  }
  return &space;
}

// Enters the kernel's half: what lies above the user half at each level. Where the bound between them falls inside an
// entry (PAE: the last gigabyte holds both), the space has a table of its own there, of which the kernel's part is a
// copy.
template <PageTableFormat F>
Result<void> AddressSpace<F>::share_kernel(Node& node, Node& kernel) {
  const LockGuard guard(node.lock);
  for (unsigned slot = node.slot_count; slot < entry_count<F>(node.level); ++slot) {
    tables_.set(node, slot, tables_.load(kernel, slot));
  }
  const unsigned last = node.slot_count - 1U;
  const Entry entry = tables_.load(kernel, last);
  if (tables_.state(entry, kernel) != EntryState::table) {
    return {};
  }
  const unsigned level = node.level - 1U;
  const unsigned slots = entry_index<F>(vpn_of<F>(layout_.end() - ByteCount(1)), level) + 1;
  Node* const below = VELLUM_TRY(system_.nodes.create(level, slots, tables_.page_of(node, last), LockRank::node));
  below->owning.store(true, std::memory_order_relaxed);
  tables_.link(node, last, *below, EntryRights::everything(), true);
  return share_kernel(*below, tables_.child(entry, kernel));
}

template <PageTableFormat F>
Result<AddressSpace<F>*> AddressSpace<F>::create_in(VirtualMemory<F>& system, const SpaceLayout& layout,
                                                    Family<F>& family) {
  const unsigned root_slots = entry_index<F>(vpn_of<F>(layout.end() - ByteCount(1)), F::kLevels) + 1;
  Node* const root = VELLUM_TRY(system.nodes.create(F::kLevels, root_slots, Vpn(0), LockRank::node));
  root->owning.store(true, std::memory_order_relaxed);
  const Result<void*> per_cpu = system.per_cpu_.allocate();
  if (!per_cpu.ok()) {
    system.nodes.destroy(*root);
    return per_cpu.error();
  }
  const Result<AddressSpace*> space = system.spaces_.create(system, layout, family, per_cpu.value());
  if (!space.ok()) {
    system.per_cpu_.free(per_cpu.value());
    system.nodes.destroy(*root);
    return space.error();
  }
  space.value()->tree.root = root;
  family.retain();
  const LockGuard guard(family.lock);
  family.add(*space.value());
  return space.value();
}

template <PageTableFormat F>
void AddressSpace<F>::destroy() {
  VELLUM_CHECK(tree.cpus.snapshot().empty());
  family_->remove(*this);
  {
    TreeOperation<F> operation(tree);
    TlbGather<F>& gather = operation.gather();
    gather.release_table(*tree.root);
    gather.finish();
  }
  family_->release();
  commitment().uncharge(system_.memory.machine().current_cpu(), reserved());
  system_.per_cpu_.free(per_cpu_);
  VirtualMemory<F>& system = system_;
  system.spaces_.destroy(this);
  system.settle();
}

template <PageTableFormat F>
PageCount AddressSpace<F>::mapped() const {
  std::int64_t pages = 0;
  for (unsigned i = 0; i < system_.slot_count(); ++i) {
    pages += per_cpu_[i].mapped.load(std::memory_order_relaxed);
  }
  return PageCount(static_cast<std::uint64_t>(pages));
}

template <PageTableFormat F>
PageCount AddressSpace<F>::reserved() const {
  std::int64_t pages = 0;
  for (unsigned i = 0; i < system_.slot_count(); ++i) {
    pages += per_cpu_[i].reserved.load(std::memory_order_relaxed);
  }
  return PageCount(static_cast<std::uint64_t>(pages));
}

#define VELLUM_COMPILE(F)                                                                                          \
  template Result<void> VirtualMemory<F>::start();                                                                 \
  template void VirtualMemory<F>::stop();                                                                          \
  template void VirtualMemory<F>::reap();                                                                          \
  template Result<AddressSpace<F>*> AddressSpace<F>::create(VirtualMemory<F>&, const SpaceLayout&, Node*);         \
  template Result<void> AddressSpace<F>::share_kernel(Node&, Node&);                                               \
  template Result<AddressSpace<F>*> AddressSpace<F>::create_in(VirtualMemory<F>&, const SpaceLayout&, Family<F>&); \
  template void AddressSpace<F>::destroy();                                                                        \
  template PageCount AddressSpace<F>::mapped() const;                                                              \
  template PageCount AddressSpace<F>::reserved() const;
VELLUM_FOR_EACH_FORMAT(VELLUM_COMPILE)
#undef VELLUM_COMPILE

}  // namespace vellum
