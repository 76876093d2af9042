// One program on a system of its own.
#pragma once

#include "advice_fuzz.hpp"
#include "fixture.hpp"
#include "fuzz_world.hpp"
#include "mark_fuzz.hpp"
#include "remap_oracle.hpp"

namespace vellum::test {

template <PageTableFormat F>
class SpaceFuzz : private FuzzWorld<F> {
 public:
  using World = FuzzWorld<F>;
  using Space = typename World::Space;

  explicit SpaceFuzz(FuzzInput& input) : World(input.take_u8()), source_(input) {
    for (const VirtAddr at : this->windows()) {
      source_.add_window(at);
    }
  }

  void run() {
    for (std::uint64_t number = 0; !source_.empty(); ++number) {
      const Operation op = source_.take();
      if (!ProgramRecord::of_process().add(op)) {
        continue;
      }
      ++vellum_fuzz_operations;
      perform(op);
      if (number % kCheckEvery == 0) {
        this->check_all();
      }
      if (number % kCheckPromisesEvery == 0) {
        this->check_promises();
      }
    }
    this->check_all();
    this->check_promises();
    this->end();
  }

 private:
  static constexpr std::uint64_t kMostBroughtIn = 64;  // pages
  static constexpr std::uint64_t kCheckEvery = VELLUM_DEBUG ? 1 : 256;
  static constexpr std::uint64_t kCheckPromisesEvery = VELLUM_DEBUG ? 16 : 256;

  void perform(const Operation& op) {
    using Kind = Operation::Kind;
    Space& space = this->space(op.which);
    const hosted::CpuScope scope(this->machine(), CpuIndex(op.cpu));
    switch (op.kind) {
      case Kind::load:
      case Kind::store:
      case Kind::fetch:
        access(op);
        return;
      case Kind::run:
        this->load_root(op.cpu, space);
        return;
      case Kind::map:
        map(op, space);
        break;
      case Kind::unmap:
        unmap(op, space);
        break;
      case Kind::protect:
        protect(op, space);
        break;
      case Kind::remap:
        remap(op, space);
        break;
      case Kind::discard:
      case Kind::mark:
      case Kind::lock:
      case Kind::lock_all:
        MarkFuzz<F>(*this, op, space).run();
        break;
      case Kind::advise:
        AdviceFuzz<F>(*this, op, space).run();
        break;
      case Kind::set_break:
        set_break(op, space);
        break;
      case Kind::fork:
        this->fork(op, space);
        break;
      case Kind::restore:
        this->restore(op, space);
        break;
      case Kind::destroy:
        this->destroy(space);
        return;
      case Kind::swap_out:
        if (space.real->layout().contains(op.address)) {
          this->note_swapped();
          (void)swap_out<F>(*space.real, vpn_of<F>(op.address), this->swap(), [&] { this->forget_all(); });
        }
        return;
      case Kind::look:
        AdviceFuzz<F>(*this, op, space).check_residence();
        look(op, space);
        break;
      case Kind::resize:
        this->resize(op);
        break;
      case Kind::write_back:
        this->write_back(op);
        break;
      case Kind::read_object:
        this->read_object(op);
        break;
      case Kind::write_object:
        this->write_object(op);
        break;
      case Kind::replace_object:
        this->replace_object(op);
        break;
      case Kind::punch:
        this->punch(op);
        break;
    }
    this->check_mapped(space);
  }

  [[nodiscard]] static bool same(const Result<void>& one, const Result<void>& other) {
    return one.ok() == other.ok() && (one.ok() || one.error() == other.error());
  }
  [[nodiscard]] static int number_of(const Result<void>& result) {
    return result.ok() ? 0 : static_cast<int>(result.error());
  }
  // Whether an operation failed for a failure made for it.
  [[nodiscard]] static bool is_injected(const Result<void>& result, std::uint64_t failures) {
    return failures > 0 && !result.ok() && result.error() == Errno::no_memory;
  }

  void access(const Operation& op) {
    Space* const space = this->running(op.cpu);
    if (space == nullptr) {
      return;
    }
    const Access kind = op.kind == Operation::Kind::load    ? Access::read
                        : op.kind == Operation::Kind::store ? Access::write
                                                            : Access::execute;
    const auto expected = this->oracle().fault(op.address, kind, space->model);
    Outcome wanted = static_cast<Outcome>(expected.verdict);
    if (!is_canonical<F>(op.address)) {
      wanted = Outcome::general_protection;
    }
    Program<F>& program = this->program(op.cpu);
    std::uint64_t value = 0;
    Outcome outcome{};
    const typename World::Failing failing(*this, op);
    switch (kind) {
      case Access::read:
        outcome = program.load(op.address, value);
        break;
      case Access::write:
        outcome = program.store(op.address, op.value);
        break;
      case Access::execute:
        outcome = program.fetch(op.address);
        break;
    }
    const bool made_to_fail = (outcome == Outcome::out_of_memory && failing.allocations() > 0) ||
                              (outcome == Outcome::bus_error && failing.devices() > 0);
    if (made_to_fail && outcome != wanted) {
      // Whether the stack grew before memory ran out is not said.
      if (expected.growth && space->real->mapped() != space->model.mapped()) {
        space->model.map(*expected.growth);
      }
      this->check_mapped(*space);
      return;
    }
    if (outcome != wanted) {
      differ("outcome %u, expected %u", static_cast<unsigned>(outcome), static_cast<unsigned>(wanted));
    }
    if (expected.growth) {
      space->model.map(*expected.growth);
      this->check_mapped(*space);
    }
    if (outcome == Outcome::done) {
      settle_access(op, *space, *expected.stretch, value);
    }
  }
  void settle_access(const Operation& op, Space& space, const Stretch& stretch, std::uint64_t value) {
    const Vpn page = vpn_of<F>(op.address);
    const std::uint64_t offset = op.address.offset_in_page().value();
    if (op.kind == Operation::Kind::store) {
      space.model.store(stretch, page, offset, op.value);
    } else if (op.kind == Operation::Kind::load) {
      const std::uint64_t expected = space.model.page(stretch, page).at(offset);
      if (value != expected) {
        differ("read 0x%llx, expected 0x%llx", static_cast<unsigned long long>(value),
               static_cast<unsigned long long>(expected));
      }
    }
  }

  void map(Operation op, Space& space) {
    if (op.object != 0 && this->object(op.object).real == nullptr) {
      op.object = 0;
    }
    const bool copies = op.object != 0 && !op.traits.is_shared() && op.prot.can_write();
    const PageCount pages = pages_for(op.length);
    const Traits future = space.model.future_locks;
    op.traits = op.traits | future;
    op.traits = this->is_strict() ? op.traits.without(Traits::no_reserve()) : op.traits;
    if (future == Traits::locked()) {
      if (pages.value() > kMostBroughtIn) {
        return;
      }
      op.populate = Populate::now;
    }
    if (copies && (op.fail_nth != 0 || op.device_fails)) {  // how many copies it would make could not be told
      op.populate = future == Traits::locked() ? op.populate : Populate::on_demand;
      op.fail_nth = future == Traits::locked() ? 0 : op.fail_nth;
      op.device_fails = future != Traits::locked() && op.device_fails;
    }
    Result<void> expected = this->oracle().request(op);
    std::optional<VirtAddr> wanted;
    if (expected.ok() && op.placement != Placement::anywhere) {
      expected = this->oracle().map_fixed(op, space.model);
      wanted = op.address;
    } else if (expected.ok()) {
      wanted = this->oracle().hint(op, space.model);
      if ((!wanted && !this->oracle().has_room(space.model, pages)) ||
          this->oracle().exceeds_size(space.model, pages) ||
          this->oracle().exceeds_data(space.model, op.prot, op.traits, pages)) {
        expected = Errno::no_memory;
      }
    }
    const MapRequest<F> request = {.address = op.address,
                                   .length = op.length,
                                   .prot = op.prot,
                                   .maximum = op.maximum,
                                   .traits = op.traits,
                                   .placement = op.placement,
                                   .populate = op.populate,
                                   .object = op.object != 0 ? this->object(op.object).real : nullptr,
                                   .offset = op.offset};
    const typename World::Failing failing(*this, op);
    const Result<VirtAddr> mapped = space.real->map(request);
    const Result<void> result = mapped.ok() ? Result<void>() : Result<void>(mapped.error());
    if (!same(result, expected)) {
      if (!is_injected(result, failing.allocations())) {
        differ("map gave %d, expected %d", number_of(result), number_of(expected));
      }
      return;
    }
    if (!result.ok()) {
      return;
    }
    const VirtAddr at = mapped.value();
    if (wanted ? at != *wanted : !fits(space, at, pages)) {
      differ("mapped at 0x%llx", static_cast<unsigned long long>(at.value()));
    }
    enter(op, space, vpn_of<F>(at), pages);
  }
  [[nodiscard]] static bool fits(const Space& space, VirtAddr at, PageCount pages) {
    const SpaceLayout& layout = space.real->layout();
    return at.is_page_aligned() && at >= layout.placement_bottom && at < layout.placement_top &&
           bytes_of(pages) <= layout.placement_top - at && space.model.is_free(vpn_of<F>(at), vpn_of<F>(at) + pages);
  }
  void enter(const Operation& op, Space& space, Vpn at, PageCount pages) {
    Stretch stretch = {.start = at,
                       .end = at + pages,
                       .prot = op.prot,
                       .maximum = op.maximum,
                       .traits = promised(op.prot, op.traits),
                       .object = {},
                       .call = 0,
                       .first = PageIndex(0)};
    if (op.object != 0) {
      stretch.object = this->object(op.object).model;
      stretch.first = PageIndex(op.offset.value() >> kPageShift);
      stretch.call = ++calls_;
    } else if (op.traits.is_shared()) {
      stretch.object = std::make_shared<ObjectModel>(bytes_of(pages));
      stretch.call = ++calls_;
    }
    space.model.map(stretch);
    if (op.populate == Populate::now && op.prot.can_write() && stretch.object && !op.traits.is_shared()) {
      for (Vpn page = at; page < stretch.end && stretch.object->has(stretch.index_of(page)); page += PageCount(1)) {
        static_cast<void>(space.model.own(stretch, page));
      }
    }
  }

  void unmap(const Operation& op, Space& space) {
    const Result<void> expected = this->oracle().unmap(op);
    const typename World::Failing failing(*this, op);
    const Result<void> result = space.real->unmap(op.address, op.length);
    if (!same(result, expected)) {
      if (!is_injected(result, failing.allocations())) {
        differ("unmap gave %d, expected %d", number_of(result), number_of(expected));
      }
    } else if (result.ok()) {
      space.model.unmap(vpn_of<F>(op.address), vpn_of<F>(op.address) + pages_for(op.length));
    }
  }
  void protect(const Operation& op, Space& space) {
    const auto expected = this->oracle().protect(op, space.model);
    Operation tried = op;
    if (!expected.result.ok()) {
      tried.fail_nth = 0;  // lest one error hide the other
    }
    const typename World::Failing failing(*this, tried);
    const Result<void> result = space.real->protect(op.address, op.length, op.prot);
    if (!same(result, expected.result)) {
      if (!is_injected(result, failing.allocations())) {
        differ("protect gave %d, expected %d", number_of(result), number_of(expected.result));
      }
    } else if (expected.start < expected.end) {
      space.model.protect(expected.start, expected.end, op.prot);
    }
  }
  void remap(Operation op, Space& space) {
    const RemapOracle<F> oracle(this->oracle(), space.real->layout(), op, space.model);
    if (oracle.brings_in()) {
      if (oracle.new_pages().value() > kMostBroughtIn) {
        return;
      }
      op.fail_nth = 0;
      op.device_fails = false;
    }
    const typename World::Failing failing(*this, op);
    const Result<VirtAddr> moved = space.real->remap({.address = op.address,
                                                      .old_length = op.length,
                                                      .new_length = op.new_length,
                                                      .move = op.move,
                                                      .keeps_source = op.keeps_source,
                                                      .target = op.target});
    const Result<void> result = moved.ok() ? Result<void>() : Result<void>(moved.error());
    if (!same(result, oracle.result()) && !is_injected(result, failing.allocations())) {
      differ("remap gave %d, expected %d", number_of(result), number_of(oracle.result()));
    }
    if (!result.ok()) {
      // How far it came, if memory ran out on the way, shows in how much is mapped.
      const SpaceModel* reached = &oracle.stages().back();
      for (const SpaceModel& stage : oracle.stages()) {
        reached = failing.allocations() > 0 && stage.mapped() == space.real->mapped() ? &stage : reached;
      }
      space.model = SpaceModel(*reached);
      return;
    }
    const VirtAddr at = moved.value();
    if (oracle.wanted() ? at != *oracle.wanted() : !fits(space, at, oracle.new_pages())) {
      differ("moved to 0x%llx", static_cast<unsigned long long>(at.value()));
    }
    space.model = oracle.after(at, calls_ + 1);
    calls_ += 2;
  }
  void set_break(const Operation& op, Space& space) {
    const VirtAddr before = space.model.break_end;
    const VirtAddr expected = this->oracle().set_break(op.address, World::kBreakLimit, space.model);
    const typename World::Failing failing(*this, op);
    const VirtAddr result = space.real->set_break(op.address);
    if (result != expected && (failing.allocations() == 0 || result != before)) {
      differ("brk gave 0x%llx, expected 0x%llx", static_cast<unsigned long long>(result.value()),
             static_cast<unsigned long long>(expected.value()));
    }
    const Vpn old_top = vpn_of<F>(before + ByteCount(kPageSize - 1));
    const Vpn new_top = vpn_of<F>(result + ByteCount(kPageSize - 1));
    if (new_top < old_top) {
      space.model.unmap(new_top, old_top);
    } else if (old_top < new_top) {
      space.model.map({.start = old_top,
                       .end = new_top,
                       .prot = Prot::read() | Prot::write(),
                       .maximum = Prot::all(),
                       .traits = space.model.future_locks | Traits::reserved(),
                       .object = {},
                       .call = 0,
                       .first = PageIndex(0)});
    }
    space.model.break_end = result;
  }

  void look(const Operation& op, Space& space) {
    const std::optional<Region<F>> region = space.real->region_at_or_after(op.address);
    const SpaceLayout& layout = space.real->layout();
    const bool in_hole = op.address >= layout.user[0].end() && op.address < layout.user[1].start();
    const auto at = op.address >= layout.end()
                        ? space.model.stretches().end()
                        : space.model.first_behind(vpn_of<F>(in_hole ? layout.user[1].start() : op.address));
    if (region.has_value() != (at != space.model.stretches().end())) {
      differ("a region was %s", region ? "found" : "not found");
    }
    if (!region) {
      return;
    }
    const Stretch expected = space.model.joined(at);
    const MemoryObject<F>* const object = this->real_of(expected.object.get());
    const bool same_object =
        object != nullptr ? region->object == object : (region->object != nullptr) == (expected.object != nullptr);
    if (region->range.start() != address_of<F>(expected.start) || pages_for(region->range.size()) != expected.size() ||
        region->prot != expected.prot || region->maximum != expected.maximum || region->traits != expected.traits ||
        !same_object || (expected.object && region->first != expected.first)) {
      differ("the region is 0x%llx, 0x%llx bytes, prot %u, maximum %u, traits %u",
             static_cast<unsigned long long>(region->range.start().value()),
             static_cast<unsigned long long>(region->range.size().value()), region->prot.bits(), region->maximum.bits(),
             region->traits.bits());
    }
  }

  OperationSource<F> source_;
  std::uint64_t calls_ = 0;
};

}  // namespace vellum::test
