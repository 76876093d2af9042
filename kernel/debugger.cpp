#include "debugger.hpp"

#include <vellum/heap/backed_pages.hpp>
#include <vellum/layout/explain.hpp>
#include <vellum/layout/text.hpp>
#include <vellum/pc/console.hpp>
#include <vellum/pc/failure.hpp>
#include <vellum/pc/trap.hpp>

#include "image.hpp"
#include "layout.hpp"
#include "symbols.hpp"
#include "table_walk.hpp"

namespace vellum::kernel {

namespace {

constexpr ByteCount kPage{kPageSize};
constexpr ByteCount kStackSize = kPage * 8;
constexpr unsigned kMostFrames = 40;

PhysAddr current_root() { return PhysAddr(pc::read_cr3()).page(); }

// A line of the report is put together here: the stack stays small.
char* line_room = nullptr;
constexpr std::size_t kLineRoom = 512;

class Line {
 public:
  Line() : out_({line_room, kLineRoom}) {}
  ~Line() { pc::console().write(out_.text("\n").c_str()); }
  Line(const Line&) = delete;
  Line& operator=(const Line&) = delete;

  Line& text(const char* words) {
    out_.text(words);
    return *this;
  }
  Line& number(std::uint64_t value) {
    out_.decimal(value);
    return *this;
  }
  Line& hex(std::uint64_t value) {
    out_.hex(value);
    return *this;
  }
  Line& address(VirtAddr address) {
    out_.address(address, Arch::amd64);
    return *this;
  }
  TextBuffer& out() { return out_; }

 private:
  TextBuffer out_;
};

void print_place(const char* name, VirtAddr address) {
  Line line;
  line.text("  ").text(name).text(" ").address(address);
  if (const auto symbol = find_symbol(address)) {
    line.text(" ").text(symbol->name).text("+").hex(symbol->offset);
  }
  if (const auto explanation = explain(address_map(), address)) {
    line.text(" in ").text(explanation->region->row->name).text(". ");
    describe(line.out(), address_map(), *explanation);
  }
}

void print_walk(VirtAddr address) {
  Line line;
  const TablePath path = walk_to(current_root(), address);
  line.text("  tables:");
  for (unsigned i = 0; i < path.count; ++i) {
    line.text(i == 0 ? " root " : " > ").hex(path.entries[i]);
  }
  if (!path.page) {
    line.text(", not present");
    return;
  }
  line.text(", ").text(path.page->rights.user ? "user " : "kernel ").text("r");
  line.text(path.page->rights.write ? "w" : "-").text(path.page->rights.execute ? "x" : "-");
}

std::optional<std::uint64_t> read_word(VirtAddr address) {
  if (!address.is_aligned(ByteCount(8)) || !is_readable(address)) {
    return std::nullopt;
  }
  return *reinterpret_cast<const std::uint64_t*>(address.value());
}

// Follows frame pointers upwards as long as they rise, through whatever stacks.
void print_backtrace(VirtAddr frame) {
  for (unsigned depth = 0; depth < kMostFrames; ++depth) {
    const auto caller = read_word(frame);
    const auto return_address = read_word(frame + ByteCount(8));
    if (!caller || !return_address || !image_text().contains(VirtAddr(*return_address))) {
      return;
    }
    // The call is before the address that it returns to.
    const VirtAddr call(*return_address - 1);
    Line line;
    line.text("  from ").address(VirtAddr(*return_address));
    if (const auto symbol = find_symbol(call)) {
      line.text(" ").text(symbol->name).text("+").hex(symbol->offset + 1);
    }
    if (*caller <= frame.value()) {
      return;
    }
    frame = VirtAddr(*caller);
  }
}

struct NamedRegister {
  const char* name;
  std::uint64_t value;
};

// What the registers point to, where that is anything of the kernel's.
void print_register_places(const pc::TrapFrame& frame) {
  const NamedRegister registers[] = {
      {"rax", frame.rax}, {"rbx", frame.rbx}, {"rcx", frame.rcx}, {"rdx", frame.rdx}, {"rsi", frame.rsi},
      {"rdi", frame.rdi}, {"r8 ", frame.r8},  {"r9 ", frame.r9},  {"r10", frame.r10}, {"r11", frame.r11},
      {"r12", frame.r12}, {"r13", frame.r13}, {"r14", frame.r14}, {"r15", frame.r15},
  };
  for (const NamedRegister& each : registers) {
    const LayoutRegion* const region = address_map().find(VirtAddr(each.value));
    if (region != nullptr && region->row->accessor == Accessor::kernel) {
      print_place(each.name, VirtAddr(each.value));
    }
  }
}

void report(const pc::Failure& failure) {
  if (failure.trap == nullptr) {
    print_backtrace(VirtAddr(failure.stack_frame));
    return;
  }
  const pc::TrapFrame& frame = *failure.trap;
  print_place("rip", VirtAddr(frame.rip));
  print_place("rsp", VirtAddr(frame.rsp));
  print_register_places(frame);
  if (frame.vector == pc::kPageFaultVector || frame.vector == pc::kDoubleFaultVector) {
    const VirtAddr address(pc::read_cr2());
    print_place("cr2", address);
    print_walk(address);
  }
  print_backtrace(VirtAddr(frame.rbp));
}

}  // namespace

bool is_readable(VirtAddr address) {
  const LayoutRegion* const region = address_map().find(address);
  return region != nullptr && region->row->stray != StrayAccess::toxic &&
         region->row->stray != StrayAccess::non_canonical && walk_to(current_root(), address).page.has_value();
}

const char* stack_overflow(const pc::TrapFrame& frame) {
  if (frame.vector != pc::kDoubleFaultVector) {
    return nullptr;
  }
  const VirtAddr address(pc::read_cr2());
  if (image_guard().contains(address)) {
    return "the boot stack overflowed";
  }
  const bool red_zone =
      region(RegionId::segkp).contains(address) && !is_readable(address.page()) && is_readable(address.page() + kPage);
  return red_zone ? "a kernel stack overflowed into its red zone" : nullptr;
}

Result<void> start_debugger(Kernel& kernel) {
  // A page below the stack stays unmapped; above it is the room for a line.
  const VirtAddr stack = region(RegionId::debugger).start() + kPage;
  VELLUM_TRY(back_with_memory(kernel.tables.space(), VirtRange::must(stack, kStackSize + kPage), Contents::zeroed));
  line_room = reinterpret_cast<char*>((stack + kStackSize).value());
  pc::set_failure_report(report, stack + kStackSize);
  return {};
}

}  // namespace vellum::kernel
