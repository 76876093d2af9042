// The way to an address through the tables, for who looks at a space from outside.

#include <vellum/pagetable/instantiate.hpp>
#include <vellum/space/path.hpp>

namespace vellum {

namespace {

template <PageTableFormat F>
void describe_meaning(PathStep<F>& step, const Node& node) VELLUM_REQUIRES(node.lock) {
  const unsigned index = node.first_run_from(step.slot);
  if (index == node.runs() || node.run(index).first() > step.slot) {
    return;
  }
  const RunValue run = node.run(index).value();
  const Meaning meaning = run.meaning();
  const Vpn start = Tables<F>::page_of(node, run.first());
  step.meaning = {.pages = VpnRange::must(start, Tables<F>::span(node) * (run.last() - run.first() + 1)),
                  .prot = meaning.prot,
                  .maximum = meaning.maximum,
                  .traits = meaning.traits};
  if (meaning.backing != nullptr) {
    step.meaning->of_object = true;
    step.meaning->first = static_cast<const Mapping<F>&>(*meaning.backing).index_of(start);
  }
}

}  // namespace

template <PageTableFormat F>
SpacePath<F> path_to(AddressSpace<F>& space, VirtAddr address) {
  SpacePath<F> path;
  const Vpn page = vpn_of<F>(address);
  const Tables<F> tables(space.system().nodes);
  const TreeSection section(space.tree);
  for (Node* node = space.tree.root; node != nullptr;) {
    const LockGuard guard(node->lock);
    const unsigned slot = tables.slot_of(*node, page);
    PathStep<F>& step = path.steps[path.count++];
    step = {.level = node->level,
            .table = node->table,
            .slot = slot,
            .entry = tables.load(*node, slot),
            .paths = node->share.load(std::memory_order_relaxed),
            .of_object = node->object_owned,
            .owning = node->owning.load(std::memory_order_relaxed),
            .meaning = {}};
    describe_meaning(step, *node);
    const bool leads_on = slot < node->slot_count && tables.state(step.entry, *node) == EntryState::table;
    node = leads_on ? &tables.child(step.entry, *node) : nullptr;
  }
  const PathStep<F>& last = path.steps[path.count - 1];
  if (EntryCodec<F>::state(last.entry, last.level) == EntryState::page) {
    PhysicalMemory& memory = space.system().memory;
    const PageCount offset(page.value() & (entry_span<F>(last.level).value() - 1));
    const Pfn frame = EntryCodec<F>::frame(last.entry, last.level) + offset;
    if (memory.is_managed(frame)) {
      path.frame_kind = memory.frame(frame).kind();
      path.frame_share = memory.frame(frame).share();
    }
  }
  return path;
}

#define VELLUM_COMPILE(F) template SpacePath<F> path_to(AddressSpace<F>&, VirtAddr);
VELLUM_FOR_EACH_FORMAT(VELLUM_COMPILE)
#undef VELLUM_COMPILE

}  // namespace vellum
