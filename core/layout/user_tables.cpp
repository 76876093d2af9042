// The user halves, from high to low. What a program's own size decides has no borders here: text, data and heap follow
// each other from the address where the text begins, and are parts of one region.
#include "placement.hpp"

namespace vellum::layout_detail {

namespace {

constexpr Prot kReadWrite = Prot::read() | Prot::write();
constexpr VirtAddr kZero{0};

// Rows that are alike in every user half.

constexpr RegionRow nobody(RegionId id, const char* name, const char* symbol, Bound start, Bound end,
                           RegionPlacement placement, const char* purpose) {
  return {id,
          name,
          symbol,
          start,
          end,
          placement,
          Growth::none,
          Accessor::nobody,
          Prot::none(),
          PageSizes::none(),
          id == RegionId::va_hole ? StrayAccess::non_canonical : StrayAccess::never_mapped,
          purpose};
}

constexpr RegionRow mappings(RegionId id, const char* name, const char* symbol, Bound start, Bound end,
                             RegionPlacement placement, Growth growth, const char* purpose,
                             RowKind kind = RowKind::region) {
  return {id,
          name,
          symbol,
          start,
          end,
          placement,
          growth,
          Accessor::user,
          Prot::all(),
          PageSizes::up_to_1g(),
          StrayAccess::user_mapping,
          purpose,
          kind};
}

constexpr RegionRow stack(RegionPlacement placement) {
  return {RegionId::user_stack,
          "user stack",
          "",
          &Landmarks::stack_start,
          &Landmarks::stack_top,
          placement,
          Growth::down,
          Accessor::user,
          kReadWrite,
          PageSizes::small(),
          StrayAccess::user_stack,
          "The program's stack, as low as its limit lets it grow; never executable."};
}

constexpr RegionRow guard(RegionPlacement placement) {
  return nobody(RegionId::stack_guard, "stack guard gap", "", &Landmarks::guard_start, &Landmarks::stack_start,
                placement, "Kept free, so that a stack that overflows faults instead of writing into a mapping.");
}

constexpr RegionRow hole() {
  return nobody(RegionId::va_hole, "VA hole", "", amd64_layout::kHoleStart, amd64_layout::kHoleEnd,
                RegionPlacement::fixed,
                "No addresses: bits 63 to 47 of an address must be equal, and here they are not.");
}

constexpr RegionRow hole_guard() {
  return nobody(RegionId::hole_guard, "last page below the hole", "", amd64_layout::kHoleGuard,
                amd64_layout::kHoleStart, RegionPlacement::fixed,
                "Never mapped, so that no instruction ends, and no SYSCALL returns, in the hole.");
}

constexpr RegionRow out_of_reach(Bound start, Bound end, const char* purpose) {
  return nobody(RegionId::out_of_reach, "out of reach", "", start, end, RegionPlacement::derived, purpose);
}

constexpr RegionRow invalid() {
  return nobody(RegionId::invalid, "invalid", "", kZero, kLowestUserAddress, RegionPlacement::fixed,
                "Never mapped, to catch a bunch of mistakes: values here are small numbers, not pointers.");
}

// Of a 32-bit program, whose root has four entries of 1 GB, none of which can be a page.
constexpr RegionRow narrow(RegionRow row) {
  row.page_sizes = PageSizes::up_to_2m();
  return row;
}

constexpr RegionRow part(RegionId id, const char* name, Bound anchor, RegionPlacement placement, Growth growth,
                         const char* purpose) {
  return mappings(id, name, "", anchor, anchor, placement, growth, purpose, RowKind::part);
}

constexpr RegionRow heap(Bound text) {
  return part(RegionId::user_heap, "user heap", text, RegionPlacement::by_program, Growth::up,
              "What brk gives, for malloc; begins after the data and is not executable.");
}

constexpr RegionRow data(Bound text) {
  return part(RegionId::user_data, "user data", text, RegionPlacement::by_program, Growth::none,
              "The program's variables, after its text and not executable.");
}

constexpr RegionRow text(Bound start) {
  return part(RegionId::user_text, "user text", start, RegionPlacement::fixed, Growth::none,
              "The program's instructions and constants, from this address on; not writable.");
}

constexpr RegionRow shared_objects(Bound top) {
  return part(RegionId::shared_objects, "shared objects", top, RegionPlacement::floating, Growth::down,
              "Shared libraries, shared memory and other mappings without a wish, placed downwards from here.");
}

constexpr RegionRow kIllumosAmd64[] = {
    stack(RegionPlacement::fixed_or_lower),
    guard(RegionPlacement::fixed_or_lower),
    mappings(RegionId::stack_room, "room under the stack", "", &Landmarks::mapping_top, &Landmarks::guard_start,
             RegionPlacement::fixed_or_lower, Growth::none,
             "Left free by mappings without a wish, so that the stack limit can still be raised."),
    mappings(RegionId::shared_objects, "shared objects", "", amd64_layout::kHoleEnd, &Landmarks::mapping_top,
             RegionPlacement::fixed, Growth::down,
             "Shared libraries, shared memory and other mappings without a wish, placed downwards from the top."),
    hole(),
    hole_guard(),
    mappings(RegionId::user_memory, "the program", "", amd64_layout::kUserText, amd64_layout::kHoleGuard,
             RegionPlacement::fixed, Growth::up,
             "The program's text, its data, and the heap that grows upwards after them."),
    heap(amd64_layout::kUserText),
    data(amd64_layout::kUserText),
    text(amd64_layout::kUserText),
    mappings(RegionId::low_programs, "low programs", "", kLowestUserAddress, amd64_layout::kUserText,
             RegionPlacement::fixed, Growth::none,
             "Programs linked to a fixed address below the usual one (often 0x400000) keep it."),
    invalid(),
};

constexpr RegionRow kLinuxAmd64[] = {
    out_of_reach(amd64_layout::kHoleEnd, &Landmarks::user_limit,
                 "The upper user half, which this layout leaves empty: pointers stay below 2^47."),
    hole(),
    hole_guard(),
    stack(RegionPlacement::fixed),
    guard(RegionPlacement::fixed),
    mappings(RegionId::stack_room, "room under the stack", "", &Landmarks::mapping_top, &Landmarks::guard_start,
             RegionPlacement::fixed, Growth::none,
             "Left free by mappings without a wish, so that the stack limit can still be raised."),
    mappings(RegionId::user_memory, "the program", "", amd64_layout::kLinuxUserText, &Landmarks::mapping_top,
             RegionPlacement::fixed, Growth::none,
             "From below text, data and the heap that grows upwards; from above the mappings, placed downwards."),
    shared_objects(&Landmarks::mapping_top),
    heap(amd64_layout::kLinuxUserText),
    data(amd64_layout::kLinuxUserText),
    text(amd64_layout::kLinuxUserText),
    mappings(RegionId::low_programs, "low programs", "", kLowestUserAddress, amd64_layout::kLinuxUserText,
             RegionPlacement::fixed, Growth::none,
             "Programs linked to a fixed address (often 0x400000), their heap, and mappings that ask for this place."),
    invalid(),
};

constexpr const char* kProgram32 =
    "From below text, data and the heap that grows upwards; from above the shared objects, placed downwards.";
constexpr const char* kStackRoom32 =
    "Free unless a program asks for it; a higher stack limit lets the stack grow here.";

constexpr RegionRow kProgram32Amd64[] = {
    out_of_reach(amd64_layout::kHoleEnd, &Landmarks::user_limit, "Above the 4 GB that a 32-bit program can name."),
    hole(),
    out_of_reach(i386_layout::kSpaceEnd, amd64_layout::kHoleStart, "Above the 4 GB that a 32-bit program can name."),
    nobody(RegionId::out_of_reach, "gap above USERLIMIT32", "USERLIMIT32", amd64_layout::kUserLimit32,
           i386_layout::kSpaceEnd, RegionPlacement::fixed, "The end of the 4 GB, not given to 32-bit programs."),
    narrow(mappings(RegionId::user_memory, "the program", "USRSTACK32", i386_layout::kUserText,
                    amd64_layout::kUserLimit32, RegionPlacement::fixed, Growth::none, kProgram32)),
    narrow(shared_objects(&Landmarks::mapping_top)),
    narrow(heap(i386_layout::kUserText)),
    narrow(data(i386_layout::kUserText)),
    narrow(text(i386_layout::kUserText)),
    stack(RegionPlacement::fixed),
    guard(RegionPlacement::fixed),
    narrow(mappings(RegionId::stack_room, "room under the stack", "", kLowestUserAddress, &Landmarks::guard_start,
                    RegionPlacement::fixed, Growth::none, kStackRoom32)),
    invalid(),
};

constexpr RegionRow kIllumosI386[] = {
    narrow(mappings(RegionId::user_memory, "the program", "USRSTACK", i386_layout::kUserText, &Landmarks::kernelbase,
                    RegionPlacement::fixed, Growth::none, kProgram32)),
    narrow(shared_objects(&Landmarks::mapping_top)),
    narrow(heap(i386_layout::kUserText)),
    narrow(data(i386_layout::kUserText)),
    narrow(text(i386_layout::kUserText)),
    stack(RegionPlacement::fixed),
    guard(RegionPlacement::fixed),
    narrow(mappings(RegionId::stack_room, "room under the stack", "", kLowestUserAddress, &Landmarks::guard_start,
                    RegionPlacement::fixed, Growth::none, kStackRoom32)),
    invalid(),
};

}  // namespace

std::span<const RegionRow> user_table(Arch arch, UserModel model) {
  if (arch == Arch::i386) {
    return kIllumosI386;
  }
  switch (model) {
    case UserModel::illumos:
      return kIllumosAmd64;
    case UserModel::linux_low:
      return kLinuxAmd64;
    case UserModel::program32:
      return kProgram32Amd64;
  }
  return kIllumosAmd64;
}

constexpr RegionRow kUnusedRow =
    nobody(RegionId::unused, "unused", "", kZero, kZero, RegionPlacement::derived, "Nothing lives here.");

}  // namespace vellum::layout_detail
