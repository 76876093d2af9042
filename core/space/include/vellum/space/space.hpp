// Address spaces: what a process can touch.
//
// Concepts. A space is its page-table tree (pagetable/): what an address means stands in the tree, and nowhere else.
// The operations here are Linux's mmap, munmap, mprotect, mremap, madvise, mlock, brk, fork and page fault, with its
// results and errors; most are one transaction of the cursor, each in a file of its own. A fault fills what a meaning
// promises: zeros, an object's page, a private copy. fork shares the parent's whole tree with the child and denies both
// the right to write it; what is then written is copied node by node, page by page, along the path of the write only.
//
// Implementation. A fault goes down the tree without locks, locks the one node where something is missing, looks again,
// and does one step: enters a table, enters a page, copies a page. Where the way down is not exclusively this space's
// and the access is a write, open_path() first makes it so, from the top. A fault that finds no right to the access
// settles the question under the locks of the cursor before it says so, because what it saw without them may be half a
// change.
//
// Locks: lock_ (rank space): the program break, and what closes the tree one at a time; the family's; the nodes' (see
// cursor.hpp and tables.hpp). fork, mremap and restore close the tree: operations wait outside (TreeSection) until they
// are done.
//
// Never: sleeps inside a section; trusts an address, a length or a right that it was given; changes what an address
// means in a node that others reach too.
#pragma once

#include <algorithm>
#include <atomic>
#include <optional>
#include <span>

#include <vellum/base/lock.hpp>
#include <vellum/object/object.hpp>
#include <vellum/pagetable/cursor.hpp>
#include <vellum/pagetable/leaf_path.hpp>
#include <vellum/space/family.hpp>
#include <vellum/space/layout.hpp>
#include <vellum/space/system.hpp>

namespace vellum {

// What became of a fault.
enum class FaultVerdict : std::uint8_t {
  resolved,       // try the access again
  no_mapping,     // SIGSEGV, SEGV_MAPERR: nothing is mapped there
  access_denied,  // SIGSEGV, SEGV_ACCERR: what is mapped there does not permit it
  bus_error,      // SIGBUS: beyond the end of the file, or the file cannot be read
  out_of_memory,  // no page for it; nothing changed
  missing,        // the page is for somebody to supply (Traits::supplied)
};

enum class Placement : std::uint8_t {
  anywhere,         // `address` is a hint, used where it is free
  fixed,            // exactly there; what was there is unmapped
  fixed_no_replace  // exactly there, or not at all
};

enum class Populate : std::uint8_t { on_demand, now };

template <PageTableFormat F>
struct MapRequest {
  VirtAddr address;
  ByteCount length;
  Prot prot;
  Prot maximum = Prot::all();
  Traits traits{};  // shared; grows_down; no_reserve
  Placement placement = Placement::anywhere;
  Populate populate = Populate::on_demand;
  MemoryObject<F>* object = nullptr;  // null: anonymous; private where traits do not say shared
  ByteCount offset{0};                // into the object
};

// mremap(2).
struct Remap {
  enum class Move : std::uint8_t {
    forbidden,
    anywhere,   // MREMAP_MAYMOVE
    to_target,  // MREMAP_FIXED as well
  };
  VirtAddr address;
  ByteCount old_length;
  ByteCount new_length;
  Move move = Move::forbidden;
  bool keeps_source = false;  // MREMAP_DONTUNMAP: its pages go, and it stays mapped
  VirtAddr target{};          // a hint where only the source is kept
};

// What is to go, of what was written to memory.
enum class Discard : std::uint8_t {
  unlocked,    // MADV_DONTNEED: invalid where something is locked
  locked_too,  // MADV_DONTNEED_LOCKED
  own_memory,  // MADV_FREE: also invalid where anything but private anonymous memory is mapped. Done at once.
};

// What is to stay in memory.
enum class LockMemory : std::uint8_t { no, now, on_fault };

// How an operation takes it that a part of its range is not mapped: no_memory in the end, or at that place.
enum class Gaps : std::uint8_t { passed, obstacle };

// What is to be said of mappings from now on: traits of fork, and of locking.
struct Marking {
  Traits add;
  Traits drop;
  Gaps gaps = Gaps::passed;
  bool own_memory_only = false;  // invalid where anything but private anonymous memory is mapped
};

// A stretch of addresses that mean the same, as /proc/PID/maps shows it.
template <PageTableFormat F>
struct Region {
  VirtRange range;
  Prot prot;
  Prot maximum;
  Traits traits;
  MemoryObject<F>* object = nullptr;  // good for as long as the caller knows the region to stay mapped
  PageIndex first{0};                 // the object's page at the start of the range
};

template <PageTableFormat F>
class AddressSpace : public FamilyMember<F> {
 public:
  using Request = MapRequest<F>;

  // An empty space. `kernel` is the root of a tree whose mappings above the user half every space has, or null; its
  // tables on the level where the bound falls, and those above, must not change any more.
  // Error: no_memory.
  [[nodiscard]] static Result<AddressSpace*> create(VirtualMemory<F>& system, const SpaceLayout& layout, Node* kernel);
  // Ends the space. No CPU may run it or be in one of its operations.
  void destroy();
  AddressSpace(const AddressSpace&) = delete;
  AddressSpace& operator=(const AddressSpace&) = delete;

  // --- running it
  // ------------------------------------------------------------------------------------------------------

  // The physical address of the root table, for the CPU's register.
  [[nodiscard]] PhysAddr root_address() const { return tree.root_address(); }
  // A CPU is told before it loads the root, and after it loaded another one (and so forgot this one's translations).
  void activate(CpuIndex cpu) { tree.cpus.add(cpu); }
  void deactivate(CpuIndex cpu) { tree.cpus.remove(cpu); }

  // --- operations: Linux's system calls without their encoding. Linux's error for each wrong argument
  // -------------------

  // mmap(2). Returns where. Errors: invalid (no length; a fixed address or an offset not at a page; what grows down is
  // not private anonymous memory), no_memory (too long, no room, beyond the end, over a limit, out of pages),
  // not_permitted (fixed, below the lowest address), exists (fixed_no_replace), access_denied (prot not within
  // maximum), overflow (offset + length beyond 2^63). After an error nothing changed.
  [[nodiscard]] Result<VirtAddr> map(const Request& request);
  // munmap(2). Errors: invalid (address not at a page, no length, not within the user half), no_memory; nothing
  // changed.
  [[nodiscard]] Result<void> unmap(VirtAddr address, ByteCount length);
  // mprotect(2). Errors: invalid (address not at a page), no_memory (a hole, or out of pages), access_denied. As on
  // Linux what lies before a hole or before a mapping that may not have the rights is changed all the same.
  [[nodiscard]] Result<void> protect(VirtAddr address, ByteCount length, Prot prot);
  // mremap(2). Returns where. Pages move without being copied, and whole tables where the distance allows. Errors:
  // invalid (address or target not at a page, no new length, a target beyond the user half or over the source, old and
  // new length differ where the source is kept, nothing to be mapped once more), bad_address (not one region),
  // no_memory, not_permitted (below the lowest address). After an error what is beyond the new length, and what was at
  // the target, may be gone, as on Linux.
  [[nodiscard]] Result<VirtAddr> remap(const Remap& request);
  // madvise(2)'s discarding: private memory is what it was when it was mapped; what is shared, its object keeps.
  // `range`, here and in what follows, is of whole pages. Errors: no_memory (not all is mapped; the rest is done),
  // invalid (see Discard; what lies before it is done), try_again (out of pages; nothing is done).
  [[nodiscard]] Result<void> discard(VirtRange range, Discard how);
  // The part of madvise(2) that fork heeds or that concerns large pages, and munlock(2). Errors as of discard().
  [[nodiscard]] Result<void> mark(VirtRange range, const Marking& marking);
  // mlock(2): marks, and brings in. How much may be locked is for the caller to see to. Errors: no_memory (a gap; what
  // may not be touched, or is beyond its file; out of pages for tables), try_again (out of pages), interrupted
  // (VirtualMemory::may_go_on; it is marked).
  [[nodiscard]] Result<void> lock_memory(VirtRange range, LockMemory how);
  // mlockall(2), munlockall(2): all that is mapped (nothing: as it is), and all that will be.
  void lock_all(std::optional<LockMemory> current, LockMemory future);
  // Whether what is mapped from now on is locked.
  [[nodiscard]] bool locks_future() const { return future_locks_.load(std::memory_order_relaxed) != 0; }
  // The heap's start, set once a program is loaded. Page-aligned.
  void set_break_start(VirtAddr start, ByteCount limit);
  // setrlimit(2)'s part: what growing stacks, all mappings together, and data (the heap; private memory that may be
  // written) may come to from now on.
  void set_limits(ByteCount stack, ByteCount size, ByteCount data);
  // What locked memory may come to when a stack grows. Without limit at first.
  void set_lock_limit(ByteCount most) { lock_limit_.store(most.value(), std::memory_order_relaxed); }
  // The part of madvise(2)'s MADV_PAGEOUT that concerns files: gives the memory of an object's clean pages back where
  // this space alone maps them, and the pager may be asked for them again. Returns how many.
  PageCount page_out(MemoryObject<F>& object, IndexRange pages);
  // brk(2): moves the end of the heap and returns it; where that is not possible, the old end.
  VirtAddr set_break(VirtAddr end);
  // fork(2)'s part: a space that is a copy of this one. Costs nothing for each page. Error: no_memory; nothing changed.
  [[nodiscard]] Result<AddressSpace*> fork();
  // A copy for restore(): as a fork, with all that a child is not to have. Error: no_memory; nothing changed.
  [[nodiscard]] Result<AddressSpace*> snapshot();
  // Makes the space mean and contain what `snapshot` does, a copy of it (or of its family) that no CPU runs and nobody
  // changes. Costs what differs between the two, not their size. What is mapped shared shows its object as it is now.
  // Errors: invalid (another family, or the space itself), no_memory; nothing changed.
  [[nodiscard]] Result<void> restore(AddressSpace& snapshot);
  // UFFDIO_COPY's part: puts a page of these contents (none: zeros) where Traits::supplied says that somebody would.
  // Errors: no_entry (nothing is mapped there, or nobody is to supply it), exists (a page is there), no_memory.
  [[nodiscard]] Result<void> supply(VirtAddr page, std::optional<std::span<const std::byte, kPageSize>> contents);
  // A program's access was refused by the hardware. `address` may be any.
  [[nodiscard]] FaultVerdict fault(VirtAddr address, Access access) { return fault(address, access, {}); }
  // The same on behalf of somebody who is about to touch all of `wanted` in the same way.
  [[nodiscard]] FaultVerdict fault(VirtAddr address, Access access, VpnRange wanted);
  // From a page on, how many would be touched without a fault, as far as that is plain to see.
  [[nodiscard]] PageCount pages_there(Vpn page, Access access);
  // prctl(2)'s PR_SET_THP_DISABLE.
  void set_large_pages_permitted(bool permitted) { permits_large_.store(permitted, std::memory_order_relaxed); }
  [[nodiscard]] bool permits_large_pages() const { return permits_large_.load(std::memory_order_relaxed); }

  // --- looking
  // ---------------------------------------------------------------------------------------------------------

  // The first region that ends above `from`, from its own start on; nothing where there is none.
  [[nodiscard]] std::optional<Region<F>> region_at_or_after(VirtAddr from);
  // The same, with a reference to the object, if there is one, for the caller.
  [[nodiscard]] std::optional<Region<F>> hold_region(VirtAddr from) { return find_region(from, Hold::object); }
  // Whether a page is in memory: in the space's tables, or of the object that is mapped there. Some recent answer.
  [[nodiscard]] bool is_resident(VirtAddr address);
  // Pages that are locked. Takes as long as there are mappings.
  [[nodiscard]] PageCount locked();
  // mincore(2): 1 for each page of the range that is in memory, 0 for others. Returns how many from the start on are
  // mapped, and written to.
  [[nodiscard]] PageCount list_resident(VirtRange range, std::span<std::uint8_t> into);
  // Pages that mean something. Exact when quiescent.
  [[nodiscard]] PageCount mapped() const;
  // Pages among them that are promised (Traits::reserved). Exact when quiescent.
  [[nodiscard]] PageCount reserved() const;
  // Frames that the tree names (a frame that two pages name counts twice; the page of zeros does not count), and
  // tables.
  struct Residence {
    PageCount pages{0};
    PageCount tables{0};
  };
  [[nodiscard]] Residence residence();
  [[nodiscard]] const SpaceLayout& layout() const { return layout_; }
  [[nodiscard]] VirtualMemory<F>& system() { return system_; }
  // Panics where nodes contradict each other or the counters. Only while nobody else uses the space or its family.
  void check_invariants();

  using FamilyMember<F>::tree;

 private:
  friend class VirtualMemory<F>;
  friend class TypedCache<AddressSpace<F>>;

  AddressSpace(VirtualMemory<F>& system, const SpaceLayout& layout, Family<F>& family, void* per_cpu);

  // One for each CPU, on lines of its own.
  struct alignas(kCacheLine) PerCpu {
    std::atomic<std::int64_t> mapped{0};
    std::atomic<std::int64_t> reserved{0};
    LeafPath<F> path;  // only for the CPU itself, inside a section
    // Where unmapping left an empty table behind: it may be wanted again at once, so the last few are kept. Only for
    // the CPU itself, inside a section.
    static constexpr unsigned kKept = 6;
    Vpn emptied[kKept] = {};
    unsigned next = 0;
  };
  // What belongs to a CPU alone; null for those that have to share a slot.
  [[nodiscard]] PerCpu* own_per_cpu(CpuIndex cpu) {
    return cpu.value() < VirtualMemory<F>::kMostSlots ? &per_cpu_[cpu.value()] : nullptr;
  }
  [[nodiscard]] LeafPath<F>* path_of(CpuIndex cpu) {
    PerCpu* const own = own_per_cpu(cpu);
    return own != nullptr ? &own->path : nullptr;
  }
  void count_mapped(CpuIndex cpu, std::int64_t pages) {
    per_cpu_[cpu.value() % VirtualMemory<F>::kMostSlots].mapped.fetch_add(pages, std::memory_order_relaxed);
  }
  void count_reserved(CpuIndex cpu, std::int64_t pages) {
    per_cpu_[cpu.value() % VirtualMemory<F>::kMostSlots].reserved.fetch_add(pages, std::memory_order_relaxed);
  }
  // What was unmapped is gone, and promised no more.
  void count_lost(CpuIndex cpu, const MeaningSum& lost) {
    count_mapped(cpu, -static_cast<std::int64_t>(lost.all));
    if (lost.reserved != 0) {
      count_reserved(cpu, -static_cast<std::int64_t>(lost.reserved));
      commitment().uncharge(cpu, PageCount(lost.reserved));
    }
  }
  // Promises pages, where `traits` say that they are reserved. False: refused.
  [[nodiscard]] bool reserve(CpuIndex cpu, Traits traits, PageCount pages) {
    if (!traits.is_reserved()) {
      return true;
    }
    if (!commitment().charge(cpu, pages, [this] { return mapped(); })) {
      return false;
    }
    count_reserved(cpu, static_cast<std::int64_t>(pages.value()));
    return true;
  }
  void unreserve(CpuIndex cpu, Traits traits, PageCount pages) {
    count_lost(cpu, {.all = 0, .reserved = traits.is_reserved() ? pages.value() : 0});
  }
  [[nodiscard]] Commitment& commitment() const { return system_.objects.commitment(); }

  [[nodiscard]] static Result<AddressSpace*> create_in(VirtualMemory<F>& system, const SpaceLayout& layout,
                                                       Family<F>& family);
  [[nodiscard]] Result<void> share_kernel(Node& node, Node& kernel);

  // map.cpp
  [[nodiscard]] Result<VirtAddr> map_as_marked(const Request& request);
  [[nodiscard]] bool is_limited() const {
    return (size_limit_.load(std::memory_order_relaxed) & data_limit_.load(std::memory_order_relaxed)) !=
           ~std::uint64_t{0};
  }
  [[nodiscard]] static bool is_data(Prot prot, Traits traits) {
    return prot.can_write() && !traits.is_shared() && !traits.is_growing_down();
  }
  // Pages of data that there are, where what is limited would become more; nothing otherwise.
  [[nodiscard]] std::optional<PageCount> limited_data(Prot prot, Traits traits);
  [[nodiscard]] bool exceeds_data(std::optional<PageCount> used, PageCount more) const {
    return used && *used + more > whole_pages(ByteCount(data_limit_.load(std::memory_order_relaxed)));
  }
  struct Target {
    VpnRange pages;
    Placement placement;
  };
  [[nodiscard]] std::optional<VirtAddr> map_shortly(const Request& request);
  [[nodiscard]] Result<void> check_request(const Request& request, PageCount pages) const;
  [[nodiscard]] Result<void> check_fixed(VirtAddr address, PageCount pages) const;
  [[nodiscard]] static PageIndex first_page_of(const Request& request);
  [[nodiscard]] Result<VirtAddr> map_fixed(const Request& request, PageCount pages);
  [[nodiscard]] Result<VirtAddr> map_anywhere(const Request& request, PageCount pages);
  [[nodiscard]] Result<void> map_at(const Request& request, const Target& target);
  [[nodiscard]] Result<void> enter(const Target& target, const Meaning& meaning);
  [[nodiscard]] static PageCount alignment_of(PageCount pages);
  [[nodiscard]] std::optional<Vpn> place(Vpn top, PageCount pages, PageCount alignment, PageCount phase) const;
  [[nodiscard]] std::optional<Vpn> find_gap(PageCount pages, PageCount alignment, PageCount phase);
  // What is mapped, with what it is to be known as: whether it is to be reserved.
  [[nodiscard]] Traits promised(const Request& request) const;
  [[nodiscard]] bool exceeds_size(PageCount more) const;
  [[nodiscard]] static MeaningSum meant_in(Cursor<F>& cursor, VpnRange pages);
  void populate(VpnRange pages, const Request& request);
  // Calls visit(piece) -> Result<void> for pieces that do not cross a multiple of VirtualMemory::kPiece, and between
  // them asks whether it is to go on. Errors: visit's; interrupted.
  template <class Visitor>
  [[nodiscard]] Result<void> in_pieces(VpnRange pages, Visitor visit) {
    constexpr std::uint64_t kPiece = VirtualMemory<F>::kPiece.value();
    for (Vpn at = pages.start(); at < pages.end();) {
      const Vpn end = std::min(Vpn((at.value() / kPiece + 1) * kPiece), pages.end());
      VELLUM_TRY(visit(VpnRange::between(at, end)));
      at = end;
      if (at < pages.end() && !system_.go_on()) {
        return Errno::interrupted;
      }
    }
    return {};
  }

  // remap.cpp
  struct Transplant {
    VpnRange from;
    VpnRange to;
    bool keeps_source;
  };
  enum class Transplanted : std::uint8_t { done, target_taken, source_changed, no_memory };
  [[nodiscard]] static Request request_like(const Region<F>& region, VirtAddr address);
  [[nodiscard]] Result<void> cut_off(VirtAddr address, PageCount old_pages, PageCount new_pages);
  [[nodiscard]] Result<void> permits_growth(const Region<F>& region, VirtAddr address, PageCount old_pages,
                                            PageCount new_pages);
  [[nodiscard]] Result<void> extend(const Region<F>& region, PageCount more);
  [[nodiscard]] Result<VirtAddr> remap_to(const Remap& request, PageCount old_pages, PageCount new_pages);
  [[nodiscard]] Result<VirtAddr> move_mapping(const Remap& request, const Region<F>& region, PageCount old_pages,
                                              PageCount new_pages);
  void finish_move(const Transplant& plan, bool placed);
  [[nodiscard]] Transplanted transplant(const Region<F>& region, const Transplant& plan);
  [[nodiscard]] Transplanted transplant_alone(const Region<F>& region, const Transplant& plan,
                                              const Meaning (&meanings)[2], DroppedBackings& dropped);
  [[nodiscard]] static bool still_means(Cursor<F>& cursor, const Region<F>& region, VpnRange pages);

  // brk.cpp
  [[nodiscard]] bool has_room_for_heap(Vpn from, Vpn to);

  // prune.cpp
  [[nodiscard]] std::optional<Vpn> note_emptied(CpuIndex cpu, Vpn page);
  void prune(Vpn page);

  // protect.cpp
  struct Permitted {
    PageCount pages;
    PageCount promised;  // of those
    Result<void> then;
  };
  [[nodiscard]] Result<void> permits_change(const Meaning& meaning, Prot prot, PageCount region, PageCount part,
                                            CpuIndex cpu);
  [[nodiscard]] Permitted permitted_part(Cursor<F>& cursor, VpnRange pages, Prot prot, std::optional<PageCount> data,
                                         CpuIndex cpu);

  // discard.cpp, marks.cpp
  [[nodiscard]] static Result<void> permits_discard(const Meaning& meaning, Discard how);
  [[nodiscard]] VpnRange inside(VirtRange range) const;
  struct Reach {
    PageCount pages;
    Result<void> then;
  };
  template <class Permits>
  [[nodiscard]] static Reach reach_of(Cursor<F>& cursor, VpnRange pages, Gaps gaps, Permits permits);
  [[nodiscard]] static Traits traits_of(LockMemory how);
  [[nodiscard]] static constexpr Traits lock_traits() { return Traits::locked() | Traits::locked_on_fault(); }
  [[nodiscard]] Result<void> bring_in(VirtRange range);
  [[nodiscard]] Result<void> bring_in_pieces(VirtRange range);
  void bring_in_locked(VirtRange range);
  [[nodiscard]] PageCount sum_of(bool (*counts)(const Meaning&));
  [[nodiscard]] Result<void> settle_marks();

  // fault.cpp
  enum class Step : std::uint8_t {
    done,
    again,
    settle,
    open,
    populate,
    swap_in,
    missing,
    exists,
    take_block,
    no_memory
  };
  struct Walk;
  struct Attempt;
  class LargeBlock;
  [[nodiscard]] Walk descend(Vpn page) const;
  [[nodiscard]] bool leads_to(Vpn page, const Node& node) const;
  [[nodiscard]] Step attempt(Attempt& attempt);
  [[nodiscard]] Step add_table(Attempt& attempt, Node& node, const Walk& walk, const Meaning& meaning)
      VELLUM_REQUIRES(node.lock);
  [[nodiscard]] Result<Node*> linked_table(const Node& node, unsigned slot, const Meaning& meaning) const;
  [[nodiscard]] Step fill_empty(Attempt& attempt, Node& leaf, const Walk& walk, const Meaning& meaning)
      VELLUM_REQUIRES(leaf.lock);
  [[nodiscard]] Step fill_from_object(Attempt& attempt, Node& leaf, const Meaning& meaning) VELLUM_REQUIRES(leaf.lock);
  void fill_around(Attempt& attempt, Node& leaf, const Mapping<F>& mapping, EntryRights rights)
      VELLUM_REQUIRES(leaf.lock);
  [[nodiscard]] Step upgrade(Attempt& attempt, Node& leaf, const Walk& walk, const Meaning& meaning, Entry entry)
      VELLUM_REQUIRES(leaf.lock);
  [[nodiscard]] Step copy_page(Attempt& attempt, Node& leaf, const Meaning& meaning, Pfn from)
      VELLUM_REQUIRES(leaf.lock);
  [[nodiscard]] Result<void> swap_in(Vpn page, SwapSlot slot);
  void enter_swapped_in(Vpn page, SwapSlot slot, Pfn frame);
  // large_fault.cpp
  [[nodiscard]] Step add_large(Attempt& attempt, Node& node, const Walk& walk, const Meaning& meaning)
      VELLUM_REQUIRES(node.lock);
  [[nodiscard]] Step use_large(Attempt& attempt, Node& node, const Walk& walk, const Meaning& meaning)
      VELLUM_REQUIRES(node.lock);
  [[nodiscard]] bool pays_to_be_large(const Attempt& attempt, const Node& node, unsigned slot,
                                      const Meaning& meaning) const VELLUM_REQUIRES(node.lock);
  [[nodiscard]] bool is_filled(const Node& node, unsigned slot, const Meaning& meaning) const
      VELLUM_REQUIRES(node.lock);
  // supply.cpp
  [[nodiscard]] Result<void> enter_supplied(Vpn page, Pfn frame);
  // short_fault.cpp
  struct Covered {
    Meaning meaning;
    unsigned last;  // slot of the leaf
  };
  struct Found {
    Vpn page;
    Access access;
    CpuIndex cpu;
    Entry entry;
  };
  [[nodiscard]] bool fault_shortly(Vpn page, Access access);
  [[nodiscard]] std::optional<Covered> covered_by(const Node& leaf, const LeafPath<F>& path, Vpn page)
      VELLUM_REQUIRES(leaf.lock);
  [[nodiscard]] bool upgrade_shortly(Node& leaf, const Covered& covered, const Found& found) VELLUM_RELEASE(leaf.lock);
  [[nodiscard]] bool fill_in_order(Node& leaf, unsigned slot, unsigned last, Prot prot, CpuIndex cpu)
      VELLUM_REQUIRES(leaf.lock);
  void enter_zero_page(Node& leaf, unsigned slot, Prot prot, CpuIndex cpu) VELLUM_REQUIRES(leaf.lock);
  void enter_page(Node& leaf, unsigned slot, Pfn frame, EntryRights rights, bool present = true)
      VELLUM_REQUIRES(leaf.lock);
  [[nodiscard]] Result<void> open_path(Vpn page, TlbGather<F>& gather);
  void allow_links(Vpn page);
  void reload_root();
  void allow_link(Node& node, unsigned slot, Node& child, Prot prot) VELLUM_REQUIRES(node.lock);
  enum class Settled : std::uint8_t { permitted, no_mapping, access_denied, no_memory };
  [[nodiscard]] Settled settle(Vpn page, Access access);
  [[nodiscard]] Settled grow_down(Cursor<F>& cursor, Vpn page, PageCount locked_before, CpuIndex cpu);

  // fork.cpp
  [[nodiscard]] bool promise_again_to(AddressSpace& child, PageCount left_out, CpuIndex cpu);
  [[nodiscard]] Result<AddressSpace*> copy();
  [[nodiscard]] Result<void> share_root_with(AddressSpace& child);

  // restore.cpp
  [[nodiscard]] Result<void> restore_root(AddressSpace& snapshot, TlbGather<F>& gather);
  [[nodiscard]] bool restore_entries(Node& to, Node& from, TlbGather<F>& gather) VELLUM_REQUIRES(to.lock, from.lock);
  [[nodiscard]] bool restore_page(Node& to, Node& from, unsigned slot, TlbGather<F>& gather)
      VELLUM_REQUIRES(to.lock, from.lock);
  [[nodiscard]] bool restore_table(Node& to, Node& from, unsigned slot, TlbGather<F>& gather)
      VELLUM_REQUIRES(to.lock, from.lock);
  [[nodiscard]] bool restore_in_place(Node& to, Node& from, TlbGather<F>& gather);
  [[nodiscard]] Entry share_child(Node& node, unsigned slot, Node& child) VELLUM_REQUIRES(node.lock);

  // query.cpp
  class HeldRegion;
  enum class Hold : std::uint8_t { nothing, object };
  [[nodiscard]] bool is_resident_in(const Region<F>& region, Vpn page) const;
  [[nodiscard]] std::optional<Region<F>> find_region(VirtAddr from, Hold hold);
  [[nodiscard]] std::optional<Region<F>> region_in_leaf(Vpn page, Hold hold);
  void add_residence(Node& node, Residence& sum);
  std::uint64_t check_node(Node& node, const Meaning* above, bool exclusive);
  void check_large(const Node& large, bool writable);

  VirtualMemory<F>& system_;
  SpaceLayout layout_;
  Tables<F> tables_;
  Family<F>* const family_;
  PerCpu* const per_cpu_;
  // Mappings without an address go below this, as long as that is free.
  std::atomic<std::uint64_t> place_below_;
  // Bytes; at first the layout's.
  std::atomic<std::uint64_t> stack_limit_;
  std::atomic<std::uint64_t> size_limit_;
  std::atomic<std::uint64_t> data_limit_;
  std::atomic<std::uint64_t> lock_limit_{~std::uint64_t{0}};
  std::atomic<unsigned> future_locks_{0};  // bits of Traits
  std::atomic<bool> permits_large_{true};
  std::atomic<bool> is_marked_{false};  // fork may find traits that it must heed, or somebody locked pages

  Spinlock lock_{LockRank::space};
  VirtAddr break_start_ VELLUM_GUARDED_BY(lock_){};
  VirtAddr break_end_ VELLUM_GUARDED_BY(lock_){};
  ByteCount break_limit_ VELLUM_GUARDED_BY(lock_){0};
};

// How far from the start of `pages` something may be done, and why no further.
template <PageTableFormat F>
template <class Permits>
typename AddressSpace<F>::Reach AddressSpace<F>::reach_of(Cursor<F>& cursor, VpnRange pages, Gaps gaps,
                                                          Permits permits) {
  Vpn reached = pages.start();
  bool gap = false;
  Result<void> obstacle;
  cursor.for_each(pages, [&](VpnRange stretch, const Meaning& meaning) {
    gap = gap || stretch.start() != reached;
    if (gap && gaps == Gaps::obstacle) {
      return false;
    }
    obstacle = permits(meaning);
    reached = obstacle.ok() ? stretch.end() : stretch.start();
    return obstacle.ok();
  });
  if (obstacle.ok() && (gap || reached != pages.end())) {
    obstacle = Errno::no_memory;
  }
  return {.pages = reached - pages.start(), .then = obstacle};
}

[[nodiscard]] constexpr bool permits(Prot prot, Access access) {
  return access == Access::read ? !prot.is_none() : needed_for(access).within(prot);
}

}  // namespace vellum
