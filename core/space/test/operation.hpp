// The operations of a fuzzer's program: taken from bytes, and written as text.
#pragma once

#include <cstdio>

#include <vellum/fuzz/fuzz.hpp>
#include <vellum/space/space.hpp>

#include "model.hpp"

namespace vellum::test {

struct Operation {
  enum class Kind : std::uint8_t {
    load,
    store,
    fetch,
    run,  // a CPU loads a space's root
    map,
    unmap,
    protect,
    remap,
    discard,
    mark,
    lock,
    lock_all,
    advise,
    set_break,
    fork,
    restore,
    destroy,
    swap_out,
    resize,
    write_back,
    read_object,
    write_object,
    replace_object,
    punch,
    look,
  };

  Kind kind = Kind::load;
  unsigned cpu = 0;
  std::uint64_t which = 0;  // the space, of those that live; the object
  VirtAddr address{};
  ByteCount length{0};
  ByteCount offset{0};
  Prot prot;
  Prot maximum = Prot::all();
  Traits traits;
  Placement placement = Placement::anywhere;
  Populate populate = Populate::on_demand;
  unsigned object = 0;  // 0: none
  ByteCount new_length{0};
  Remap::Move move = Remap::Move::forbidden;
  bool keeps_source = false;
  VirtAddr target{};
  unsigned how = 0;  // which discard, mark, lock
  std::uint64_t value = 0;
  unsigned fail_nth = 0;  // this allocation fails; 0: none
  bool device_fails = false;

  void print(std::FILE* to) const {
    static constexpr const char* kNames[] = {"load",        "store",        "fetch",          "run",       "map",
                                             "unmap",       "protect",      "remap",          "discard",   "mark",
                                             "lock",        "lock_all",     "advise",         "set_break", "fork",
                                             "restore",     "destroy",      "swap_out",       "resize",    "write_back",
                                             "read_object", "write_object", "replace_object", "punch",     "look"};
    static constexpr const char* kPlacements[] = {"anywhere", "fixed", "fixed_no_replace"};
    const auto number = [](std::uint64_t n) { return static_cast<unsigned long long>(n); };
    std::fprintf(to, "cpu(%u).%s(space %llu, 0x%llx, length 0x%llx", cpu, kNames[static_cast<unsigned>(kind)],
                 number(which), number(address.value()), number(length.value()));
    if (kind == Kind::discard || kind == Kind::mark || kind == Kind::lock || kind == Kind::lock_all ||
        kind == Kind::advise) {
      std::fprintf(to, ", how %u", how);
    }
    if (kind == Kind::map || kind == Kind::protect) {
      std::fprintf(to, ", prot %u", prot.bits());
    }
    if (kind == Kind::map) {
      std::fprintf(to, ", maximum %u, traits %u, %s%s, object %u, offset 0x%llx", maximum.bits(), traits.bits(),
                   kPlacements[static_cast<unsigned>(placement)], populate == Populate::now ? ", populate" : "", object,
                   number(offset.value()));
    } else if (kind == Kind::remap) {
      static constexpr const char* kMoves[] = {"stays", "anywhere", "to"};
      std::fprintf(to, ", new length 0x%llx, %s 0x%llx%s", number(new_length.value()),
                   kMoves[static_cast<unsigned>(move)], number(target.value()), keeps_source ? ", keeps source" : "");
    } else if (kind >= Kind::resize) {
      std::fprintf(to, ", object %u, offset 0x%llx", object, number(offset.value()));
    }
    if (kind == Kind::store || kind == Kind::write_object) {
      std::fprintf(to, ", value 0x%llx", number(value));
    }
    std::fprintf(to, ");%s", device_fails ? "  // the device fails" : "");
    if (fail_nth != 0) {
      std::fprintf(to, "  // allocation %u fails", fail_nth);
    }
    std::fprintf(to, "\n");
  }
};

// Where a program's operations take place: few addresses around which tables of all levels meet.
template <PageTableFormat F>
class OperationSource {
 public:
  static constexpr unsigned kCpus = 3;
  static constexpr unsigned kObjects = 4;
  static constexpr bool kIsNarrow = F::kVirtualBits <= 24;

  explicit OperationSource(FuzzInput& input) : input_(input) {}

  void add_window(VirtAddr at) { windows_.push_back(vpn_of<F>(at)); }
  [[nodiscard]] bool empty() const { return input_.empty(); }

  [[nodiscard]] Operation take() {
    using Kind = Operation::Kind;
    Operation op;
    op.kind = kind_of(input_.take_u8());
    const std::uint8_t who = input_.take_u8();
    op.cpu = who % kCpus;
    op.which = (who >> 2U) % 8U;
    const bool fails = who >= 0xF0;
    switch (op.kind) {
      case Kind::load:
      case Kind::store:
      case Kind::fetch:
        op.address = take_address();
        if (op.kind == Kind::store && op.address.offset_in_page().value() % 0x108 == 0) {
          op.address = op.address.page();  // only loads may show that all else is zeros
        }
        op.value = ++counter_;
        break;
      case Kind::run:
      case Kind::fork:
      case Kind::restore:
      case Kind::destroy:
        break;
      case Kind::map:
        take_map(op);
        break;
      case Kind::unmap:
      case Kind::protect:
        op.address = address_of<F>(take_page());
        op.length = take_length();
        op.prot = take_prot();
        take_nonsense(op);
        break;
      case Kind::remap:
        take_remap(op);
        break;
      case Kind::discard:
      case Kind::mark:
      case Kind::lock:
      case Kind::lock_all:
      case Kind::advise:
        op.address = address_of<F>(take_page());
        op.length = take_length();
        op.how = input_.take_u8();
        break;
      case Kind::set_break:
      case Kind::look:
      case Kind::swap_out:
        op.address = take_address();
        break;
      case Kind::replace_object:
      case Kind::resize:
        op.object = 1 + input_.take_u8() % kObjects;
        op.length = take_size();
        break;
      case Kind::write_back:
      case Kind::read_object:
      case Kind::write_object:
      case Kind::punch:
        op.object = 1 + input_.take_u8() % kObjects;
        op.offset = take_size();
        op.length = take_length();
        op.value = counter_ += 16;
        break;
    }
    if (fails) {
      const std::uint8_t how = input_.take_u8();
      op.fail_nth = (how & 8U) != 0 ? 0 : 1 + how % 8U;
      op.device_fails = (how & 16U) != 0;
    }
    return op;
  }

 private:
  [[nodiscard]] static Operation::Kind kind_of(std::uint8_t byte) {
    using Kind = Operation::Kind;
    struct Share {
      unsigned below;
      Kind kind;
    };
    static constexpr Share kShares[] = {
        {62, Kind::load},        {117, Kind::store},       {124, Kind::advise},       {126, Kind::punch},
        {128, Kind::restore},    {133, Kind::discard},     {137, Kind::mark},         {139, Kind::lock},
        {140, Kind::lock_all},   {144, Kind::fetch},       {152, Kind::run},          {180, Kind::map},
        {195, Kind::unmap},      {211, Kind::protect},     {218, Kind::remap},        {221, Kind::set_break},
        {226, Kind::fork},       {230, Kind::destroy},     {241, Kind::swap_out},     {244, Kind::resize},
        {247, Kind::write_back}, {249, Kind::read_object}, {252, Kind::write_object}, {253, Kind::replace_object},
        {256, Kind::look},
    };
    for (const Share& share : kShares) {
      if (byte < share.below) {
        return share.kind;
      }
    }
    return Kind::load;
  }

  [[nodiscard]] Vpn take_page() {
    const std::uint8_t where = input_.take_u8();
    if constexpr (kIsNarrow) {
      return Vpn(where % (1U << (F::kVirtualBits - kPageShift)));
    } else {
      Vpn page = windows_[where % windows_.size()];
      const unsigned how = where / 32U;
      const std::uint8_t step = input_.take_u8();
      if (how < 5) {
        return page + PageCount(step % 33U) - PageCount(16);
      }
      const PageCount table = entry_span<F>(how == 7 ? 3U : 2U);
      page = page + table * (step % 5U) - table * 2;
      return page + PageCount(step / 5U % 5U) - PageCount(2);
    }
  }
  [[nodiscard]] VirtAddr take_address() {
    const Vpn page = take_page();
    const std::uint8_t at = input_.take_u8();
    std::uint64_t offset = PageWords::kOffsets[at % 4U];
    if (at == 255) {
      return strange_address();
    }
    if (at >= 240) {
      offset = (at % 16U) * 0x108;
    }
    return address_of<F>(page) + ByteCount(offset);
  }
  [[nodiscard]] VirtAddr strange_address() {
    static constexpr std::uint64_t kStrange[] = {0,
                                                 0x7FFF'FFFF'F000,
                                                 0x8000'0000'0000,
                                                 0xFFFF'7FFF'FFFF'F000,
                                                 ~std::uint64_t{0} << 12,
                                                 std::uint64_t{1} << F::kVirtualBits,
                                                 0x1'0000'0000,
                                                 0xFFFF'F000};
    return VirtAddr(kStrange[input_.take_u8() % 8U]);
  }
  [[nodiscard]] ByteCount take_length() {
    const std::uint8_t how = input_.take_u8();
    PageCount pages(1 + how % 16U);
    if (how >= 240) {
      pages = PageCount(std::uint64_t{1} << (input_.take_u8() % (F::kVirtualBits - kPageShift)));
    } else if (how >= 208) {
      pages = entry_span<F>(2) * (1 + how % 4U) + PageCount(how / 4U % 3U) - PageCount(1);
    } else if (how >= 192) {
      pages = PageCount(how % 16U * 4 + 1);
    }
    const ByteCount bytes = bytes_of(pages);
    return how % 11U == 0 ? bytes - ByteCount(how * 3U) : bytes;
  }
  // Of an object, or a place in it.
  [[nodiscard]] ByteCount take_size() {
    const std::uint8_t how = input_.take_u8();
    const std::uint64_t pages = input_.take_u8() % 24U;
    const std::uint64_t table = entry_span<F>(2).value();
    static constexpr std::uint64_t kInPage[] = {0, 0, 1, 5, 0x7F8, 0x7FC, 0x801, 0xFFF};
    return ByteCount(((how >= 128 ? how % 4U * table : 0) + pages) * kPageSize + kInPage[how / 4U % 8U]);
  }
  [[nodiscard]] Prot take_prot() {
    const std::uint8_t bits = input_.take_u8();
    return bits < 144 ? Prot::read() | Prot::write() : Prot::from_bits(bits);
  }
  void take_map(Operation& op) {
    op.address = address_of<F>(take_page());
    op.length = take_length();
    op.prot = take_prot();
    const std::uint8_t how = input_.take_u8();
    op.placement = how < 24 ? Placement::anywhere : how < 224 ? Placement::fixed : Placement::fixed_no_replace;
    if (how < 12) {
      op.address = VirtAddr(how % 3U);
    }
    const std::uint8_t what = input_.take_u8();
    unsigned traits = (what & 1U) | ((what & 0x30U) == 0x30 ? 4U : 0U);
    if ((what & 6U) == 0) {
      op.object = 1 + what / 64U;
      const std::uint64_t pages = op.address.value() >> kPageShift;
      op.offset = ByteCount((what & 8U) != 0 ? kPageSize * (input_.take_u8() % 24U)
                                             : kPageSize * (pages & (entry_span<F>(2).value() - 1)));
    } else if ((what & 6U) == 6 && (what & 8U) != 0) {
      traits |= 2U;
    } else if ((what & 6U) != 2) {
      traits &= ~1U;
    }
    op.traits = Traits::from_bits(traits);
    const std::uint8_t rare = input_.take_u8();
    op.maximum = rare >= 224 ? Prot::from_bits(rare) : Prot::all();
    if (rare % 8U == 1 && op.object == 0) {  // what large pages may fill
      op.address = address_of<F>(round_to_table(vpn_of<F>(op.address), Vpn(0)));
      op.length = bytes_of(entry_span<F>(2) * (1 + rare / 8U % 2U));
      op.prot = Prot::read() | Prot::write();
      op.traits = Traits();
    }
    take_nonsense(op);
    op.populate = rare % 8U == 0 && pages_for(op.length).value() <= 64 ? Populate::now : Populate::on_demand;
  }
  void take_remap(Operation& op) {
    op.address = address_of<F>(take_page());
    op.length = take_length();
    const std::uint8_t how = input_.take_u8();
    op.new_length = how % 4U == 0 ? take_length() : how == 1 ? ByteCount(0) : op.length;
    op.length = how == 2 ? ByteCount(0) : how == 3 ? ByteCount(~std::uint64_t{0}) : op.length;
    const std::uint8_t where = input_.take_u8();
    op.move = where < 32 ? Remap::Move::forbidden : where < 80 ? Remap::Move::anywhere : Remap::Move::to_target;
    op.keeps_source = where % 5U == 0;
    if (where >= 64) {
      op.target = where == 255 ? strange_address() : address_of<F>(take_page()) + ByteCount(where == 254 ? 8 : 0);
    }
    if (where >= 192 && where < 250) {  // as far away as tables are
      op.target = address_of<F>(round_to_table(vpn_of<F>(op.target), vpn_of<F>(op.address)));
    }
  }
  [[nodiscard]] static Vpn round_to_table(Vpn page, Vpn like) {
    const std::uint64_t mask = entry_span<F>(2).value() - 1;
    return Vpn((page.value() & ~mask) | (like.value() & mask));
  }
  // Now and then an argument that no program should use.
  void take_nonsense(Operation& op) {
    const std::uint8_t how = input_.take_u8();
    switch (how) {
      case 0:
        op.address += ByteCount(0x123);
        break;
      case 1:
        op.address = strange_address();
        break;
      case 2:
        op.length = ByteCount(0);
        break;
      case 3:
        op.length = ByteCount(~std::uint64_t{0} - input_.take_u8() * 0x100);
        break;
      case 4:
        op.offset += ByteCount(0x10);
        break;
      case 5:
        op.offset = ByteCount(~std::uint64_t{0} << 12);
        break;
      case 6:
        op.length = ByteCount(std::uint64_t{1} << (F::kVirtualBits - 1));
        break;
      default:
        break;
    }
  }

  FuzzInput& input_;
  std::vector<Vpn> windows_;
  std::uint64_t counter_ = 0;
};

}  // namespace vellum::test
