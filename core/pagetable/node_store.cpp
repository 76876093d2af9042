#include <vellum/pagetable/node_store.hpp>

#include <new>

namespace vellum {

namespace {

constexpr std::uint64_t kClassBytes[] = {128, 512, 2048};
constexpr std::uint32_t kFromSource = 3;
constexpr unsigned kSourceOrder = 2;
constexpr std::uint64_t kSourceBytes = kPageSize << kSourceOrder;

constexpr unsigned capacity_of(std::uint64_t bytes) {
  return static_cast<unsigned>((bytes - sizeof(RunBlock)) / sizeof(Run));
}
// The most runs that a node of 512 slots can need, with the room that the functions that change them ask for.
static_assert(capacity_of(kSourceBytes) >= 512 + 8);

void reclaim_node(EpochEntry& entry) {
  auto& node = static_cast<Node&>(entry);
  node.store->destroy(node);
}

void reclaim_run_block(EpochEntry& entry) {
  auto& block = static_cast<RunBlock&>(entry);
  block.store->destroy_run_block(block);
}

}  // namespace

NodeStore::NodeStore(PhysicalMemory& memory, PageSource& source, EpochDomain& epochs)
    : memory_(memory),
      source_(source),
      epochs_(epochs),
      nodes_({.name = "node", .object_size = ByteCount(sizeof(Node)), .alignment = ByteCount(alignof(Node))}, source,
             memory.machine()),
      run_blocks_{{{.name = "runs 128", .object_size = ByteCount(kClassBytes[0])}, source, memory.machine()},
                  {{.name = "runs 512", .object_size = ByteCount(kClassBytes[1])}, source, memory.machine()},
                  {{.name = "runs 2048", .object_size = ByteCount(kClassBytes[2])}, source, memory.machine()}} {}

Result<Node*> NodeStore::create(unsigned level, unsigned slots, Vpn base, LockRank rank) {
  void* const room = VELLUM_TRY(nodes_.allocate());
  const Result<Pfn> table = memory_.allocate(Contents::zeroed);
  if (!table.ok()) {
    nodes_.free(room);
    return table.error();
  }
  Node* const node = ::new (room) Node(*this, level, slots, base, table.value(), rank);
  node->reclaim = reclaim_node;
  memory_.frame(table.value()).assign(FrameKind::page_table, node, 0);
  count(MemoryEvent::table_made);
  return node;
}

Result<Node*> NodeStore::create_large(unsigned slots, Vpn base, Pfn block) {
  void* const room = VELLUM_TRY(nodes_.allocate());
  Node* const node = ::new (room) Node(*this, 1, slots, base, block, LockRank::node);
  node->reclaim = reclaim_node;
  node->large = true;
  Frame& first = memory_.frame(block);
  const Order order = first.order();
  first.assign(FrameKind::anonymous, nullptr, 0);
  memory_.split_block(block, order);
  first.assign(FrameKind::anonymous, node, 0);
  count(MemoryEvent::large_made);
  return node;
}

void NodeStore::destroy(Node& node) {
  VELLUM_ASSERT(node.runs() == 0);
  RunBlock* block = node.spill.load(std::memory_order_relaxed);
  if (block != nullptr) {
    destroy_run_block(*block);
  }
  // Entries are cleared as what they held is released, so the page is zero again, but for a root's kernel half.
  if (node.large) {
    // Its frames went before it.
  } else if (node.slot_count * sizeof(Entry) == kPageSize) {
    memory_.free_zeroed(node.table);
  } else {
    memory_.free(node.table);
  }
  node.~Node();
  nodes_.free(&node);
}

void NodeStore::retire(Node& node, CpuIndex cpu) {
  node.stale.store(true, std::memory_order_release);
  count(cpu, node.large ? MemoryEvent::large_dropped : MemoryEvent::table_dropped);
  epochs_.retire(cpu, node);
}

Result<RunBlock*> NodeStore::create_run_block(unsigned capacity) {
  std::uint32_t size_class = 0;
  while (size_class < kRunClasses && capacity_of(kClassBytes[size_class]) < capacity) {
    ++size_class;
  }
  void* room = nullptr;
  std::uint64_t bytes = kSourceBytes;
  if (size_class < kRunClasses) {
    room = VELLUM_TRY(run_blocks_[size_class].allocate());
    bytes = kClassBytes[size_class];
  } else {
    room = VELLUM_TRY(source_.allocate(kSourceOrder));
  }
  auto* const block = ::new (room) RunBlock;
  block->reclaim = reclaim_run_block;
  block->store = this;
  block->capacity = capacity_of(bytes);
  block->size_class = size_class;
  for (unsigned i = 0; i < block->capacity; ++i) {
    ::new (static_cast<void*>(block->runs() + i)) Run;
  }
  return block;
}

void NodeStore::destroy_run_block(RunBlock& block) {
  const std::uint32_t size_class = block.size_class;
  block.~RunBlock();
  if (size_class == kFromSource) {
    source_.free(reinterpret_cast<std::byte*>(&block), kSourceOrder);
  } else {
    run_blocks_[size_class].free(&block);
  }
}

void NodeStore::reap() {
  nodes_.reap();
  for (ObjectCache& cache : run_blocks_) {
    cache.reap();
  }
}

}  // namespace vellum
