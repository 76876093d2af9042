// The names and sentences for what a layout says as data.
#include <vellum/layout/text.hpp>

namespace vellum {

namespace {

constexpr std::uint64_t kFarthestOverrun = std::uint64_t{1} << 32;

}  // namespace

const char* name_of(Arch arch) { return arch == Arch::amd64 ? "amd64" : "i386"; }

const char* name_of(UserModel model) {
  switch (model) {
    case UserModel::illumos:
      return "illumos";
    case UserModel::linux_low:
      return "linux";
    case UserModel::program32:
      return "i386";
  }
  return "";
}

const char* name_of(RegionPlacement placement) {
  switch (placement) {
    case RegionPlacement::fixed:
      return "fixed";
    case RegionPlacement::fixed_or_lower:
      return "fixed, lower above 256 GB";
    case RegionPlacement::derived:
      return "derived";
    case RegionPlacement::floating:
      return "floats";
    case RegionPlacement::by_program:
      return "floats inside";
  }
  return "";
}

const char* name_of(Growth growth) {
  switch (growth) {
    case Growth::none:
      return "none";
    case Growth::up:
      return "up";
    case Growth::down:
      return "down";
  }
  return "";
}

const char* name_of(Accessor accessor) {
  switch (accessor) {
    case Accessor::nobody:
      return "nobody";
    case Accessor::user:
      return "user";
    case Accessor::kernel:
      return "kernel";
  }
  return "";
}

const char* name_of(StrayAccess stray) {
  switch (stray) {
    case StrayAccess::never_mapped:
      return "never_mapped";
    case StrayAccess::non_canonical:
      return "non_canonical";
    case StrayAccess::wired:
      return "wired";
    case StrayAccess::toxic:
      return "toxic";
    case StrayAccess::direct_map:
      return "direct_map";
    case StrayAccess::kernel_stacks:
      return "kernel_stacks";
    case StrayAccess::file_window:
      return "file_window";
    case StrayAccess::user_mapping:
      return "user_mapping";
    case StrayAccess::user_stack:
      return "user_stack";
  }
  return "";
}

const char* name_of(Clue clue) {
  switch (clue) {
    case Clue::none:
      return "none";
    case Clue::null_pointer:
      return "null_pointer";
    case Clue::negative_number:
      return "negative_number";
    case Clue::on_stack:
      return "on_stack";
    case Clue::stack_overflow:
      return "stack_overflow";
    case Clue::tagged_pointer:
      return "tagged_pointer";
    case Clue::end_of_low_half:
      return "end_of_low_half";
    case Clue::overran_user_half:
      return "overran_user_half";
    case Clue::physical_memory:
      return "physical_memory";
    case Clue::beyond_memory:
      return "beyond_memory";
    case Clue::device_registers:
      return "device_registers";
    case Clue::kernel_stack:
      return "kernel_stack";
  }
  return "";
}

const char* name_of(Outcome outcome) {
  switch (outcome) {
    case Outcome::as_mapped:
      return "as_mapped";
    case Outcome::grows_stack:
      return "grows_stack";
    case Outcome::works_where_used:
      return "works_where_used";
    case Outcome::works_on_memory:
      return "works_on_memory";
    case Outcome::touches_device:
      return "touches_device";
    case Outcome::pages_in:
      return "pages_in";
    case Outcome::reads_file:
      return "reads_file";
    case Outcome::only_in_user_copy:
      return "only_in_user_copy";
    case Outcome::copy_fails_or_panics:
      return "copy_fails_or_panics";
    case Outcome::signal_unmapped:
      return "signal_unmapped";
    case Outcome::signal_denied:
      return "signal_denied";
    case Outcome::signal_non_canonical:
      return "signal_non_canonical";
    case Outcome::panics:
      return "panics";
  }
  return "";
}

const char* name_of(LayoutRule rule) {
  switch (rule) {
    case LayoutRule::enough_memory:
      return "enough_memory";
    case LayoutRule::addressable_memory:
      return "addressable_memory";
    case LayoutRule::model_fits_arch:
      return "model_fits_arch";
    case LayoutRule::regions_fit:
      return "regions_fit";
    case LayoutRule::heap_large_enough:
      return "heap_large_enough";
    case LayoutRule::user_space_large_enough:
      return "user_space_large_enough";
    case LayoutRule::regions_in_order:
      return "regions_in_order";
  }
  return "";
}

const char* describe(StrayAccess stray) {
  switch (stray) {
    case StrayAccess::never_mapped:
      return "always faults";
    case StrayAccess::non_canonical:
      return "general-protection fault";
    case StrayAccess::wired:
      return "what is in use is mapped; a fault panics";
    case StrayAccess::toxic:
      return "toxic: may change the device";
    case StrayAccess::direct_map:
      return "succeeds where there is memory; a fault panics";
    case StrayAccess::kernel_stacks:
      return "paged in again; a red-zone page panics";
    case StrayAccess::file_window:
      return "brings in the file's page; I/O error in an empty slot";
    case StrayAccess::user_mapping:
      return "as mapped, else SIGSEGV";
    case StrayAccess::user_stack:
      return "the stack grows, up to its limit";
  }
  return "";
}

const char* describe(Outcome outcome) {
  switch (outcome) {
    case Outcome::as_mapped:
      return "as the mapping there permits; SIGSEGV where there is none";
    case Outcome::grows_stack:
      return "works: the stack grows down to there, up to its limit";
    case Outcome::works_where_used:
      return "works where the kernel has something; elsewhere it panics";
    case Outcome::works_on_memory:
      return "works where there is memory at that physical address; elsewhere it panics";
    case Outcome::touches_device:
      return "works, and may change the state of the device";
    case Outcome::pages_in:
      return "works where allocated, after paging in if need be; on a red-zone or free page it panics";
    case Outcome::reads_file:
      return "works, after reading the page of the file; an I/O error in a slot without one";
    case Outcome::only_in_user_copy:
      return "works in the routines that copy from and to user memory; elsewhere SMAP stops it, and it panics";
    case Outcome::copy_fails_or_panics:
      return "EFAULT in the routines that copy from and to user memory; elsewhere it panics";
    case Outcome::signal_unmapped:
      return "SIGSEGV (SEGV_MAPERR): nothing is mapped there for a program";
    case Outcome::signal_denied:
      return "SIGSEGV (SEGV_ACCERR): no page there ever has that right";
    case Outcome::signal_non_canonical:
      return "SIGSEGV (SI_KERNEL, si_addr 0): a general-protection fault";
    case Outcome::panics:
      return "panics";
  }
  return "";
}

void describe(TextBuffer& out, const AddressMap& map, const Explanation& explanation) {
  const std::uint64_t value = explanation.clue_value;
  switch (explanation.clue) {
    case Clue::none:
      return;
    case Clue::null_pointer:
      if (value == 0) {
        out.text("The null pointer.");
        return;
      }
      out.text("A null pointer plus ").hex(value).text(" (").decimal(value);
      out.text("): most likely a member or an array element at that offset of something that is not there.");
      return;
    case Clue::negative_number:
      out.text("The number -")
          .decimal(value)
          .text(" taken for a pointer: often an error number returned instead of one.");
      return;
    case Clue::on_stack:
      out.decimal(value).text(" bytes below the top of the stack.");
      return;
    case Clue::stack_overflow:
      out.text("A stack overflow: ").decimal(value).text(" bytes below the lowest address that the stack may reach.");
      return;
    case Clue::tagged_pointer:
      out.text("Not an address: bits 63 to 47 are not all equal. If the upper bits are a tag, the pointer is ");
      out.address(VirtAddr(value), map.arch()).text("; otherwise it is no pointer, or was overwritten.");
      return;
    case Clue::end_of_low_half:
      out.text("The very end of the lower half: the hole begins ").decimal(value).text(" bytes above.");
      return;
    case Clue::overran_user_half:
      out.hex(value).text(" bytes above the end of user memory: ");
      out.text(value < kFarthestOverrun ? "where a copy ends up that runs past it."
                                        : "too far for a copy that ran past it.");
      return;
    case Clue::physical_memory:
      out.text("Physical address ").hex(value).text(", as the direct map shows it.");
      return;
    case Clue::beyond_memory:
      out.text("Would be physical address ").hex(value).text(", which is above all memory.");
      return;
    case Clue::device_registers:
      out.text("Toxic: a mere read may change what a device does, and cannot be undone.");
      return;
    case Clue::kernel_stack:
      out.text("If this is the lowest page of an allocation, it is its red zone: a kernel stack overflowed.");
      return;
  }
}

void describe(TextBuffer& out, const LayoutProblem& problem) {
  const ByteCount missing = problem.required - problem.available;
  switch (problem.rule) {
    case LayoutRule::enough_memory:
      out.text("too little memory: ").size(problem.available).text(", at least ").size(problem.required);
      out.text(" are needed");
      return;
    case LayoutRule::addressable_memory:
      out.text("more memory than the processor can address: ").size(problem.required).text(", at most ");
      out.size(problem.available);
      return;
    case LayoutRule::model_fits_arch:
      out.text("this user layout belongs to the 64-bit kernel");
      return;
    case LayoutRule::regions_fit:
      out.text("the kernel half is too small for this memory: its regions need ").size(problem.required).text(" of ");
      out.size(problem.available).text(", ").size(missing).text(" too much");
      return;
    case LayoutRule::heap_large_enough:
      out.text("the kernel heap would be too small: ").size(problem.available).text(" of at least ");
      out.size(problem.required).text(", ").size(missing).text(" are missing");
      return;
    case LayoutRule::user_space_large_enough:
      out.text("the user half would be too small: kernelbase is ").size(missing).text(" too low");
      return;
    case LayoutRule::regions_in_order:
      out.text("regions overlap: ").text(problem.row != nullptr ? problem.row->name : "one").text(" reaches ");
      out.size(missing).text(" into the region above it");
      return;
  }
}

}  // namespace vellum
